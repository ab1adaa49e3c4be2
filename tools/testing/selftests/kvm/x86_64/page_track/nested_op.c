// SPDX-License-Identifier: GPL-2.0-only
/*
 * A nested guest that does one operation at a time, see nested_op.h.
 *
 * L1 starts L2 over for each, so that nobody has to keep its registers.
 */
#include <string.h>

#include "apic.h"
#include "nested_op.h"
#include "processor.h"
#include "svm_util.h"
#include "ucall_common.h"
#include "vmx.h"

#define TRAP_FLAG	0x100ul
#define RF		0x10000ul
#define L2_RFLAGS	0x202ul	/* IF */
#define DR6_CLEAR	0xffff0ff0ul
/* A #DE to be injected: both vendors have these bits. */
#define INJECT_DE	(BIT(31) | 3 << 8 | DE_VECTOR)

static struct nested_op op;
static struct nested_op_outcome out;
static uint64_t l2_stack;

static void handle_exception(struct ex_regs *regs)
{
	uint64_t dr6;

	out.nr_exceptions++;
	out.vector = regs->vector;
	out.error_code = regs->error_code;
	out.exception_rip = regs->rip;
	/* Emulated CPUs have RF in a frame, or not. */
	out.exception_rflags = regs->rflags & ~RF;

	if (regs->vector == DB_VECTOR) {
		asm volatile("mov %%dr6, %0" : "=r"(dr6));
		asm volatile("mov %0, %%dr6" : : "r"(DR6_CLEAR));
		out.dr6 = dr6;
		regs->rflags &= ~TRAP_FLAG;
	} else if (!op.inject) {
		regs->rip = out.behind;
	}
}

static void handle_interrupt(struct ex_regs *regs)
{
	if (regs->vector == NMI_VECTOR) {
		out.nr_nmis++;
		return;
	}

	out.nr_interrupts++;
	x2apic_write_reg(APIC_EOI, 0);
}

/* What the compiler has below its stack stays. */
#define DO(prepare, insn) ({							\
	asm volatile("lea -128(%%rsp), %%rsp\n\t"				\
		     "lea 1f(%%rip), %%rax\n\tmov %%rax, %[rip]\n\t"		\
		     "lea 2f(%%rip), %%rax\n\tmov %%rax, %[behind]\n\t"		\
		     prepare "\n"						\
		     "1:\t" insn "\n"						\
		     "2:\tpushfq\n\tpopq %%rax\n\tmov %%rax, %[flags]\n\t"	\
		     "lea 128(%%rsp), %%rsp"					\
		     : [rip] "=m"(out.rip), [behind] "=m"(out.behind),		\
		       [flags] "=m"(out.rflags)					\
		     : "D"(op.va), "c"(0)					\
		     : "rax", "rdx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
		       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
		       "xmm13", "xmm14", "xmm15", "cc", "memory");		\
})

/* What FXSAVE stores is the same each time. */
#define SET_FPU	"fninit\n\t"						\
		".irp nr, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t" \
		"pxor %%xmm\\nr, %%xmm\\nr\n\t"			\
		".endr\n\t"

#define IRET	"mov %%rsp, %%rdx\n\tmov %%ss, %%eax\n\tpush %%rax\n\tpush %%rdx\n\t" \
		"pushfq\n\tmov %%cs, %%eax\n\tpush %%rax\n\t"		\
		"lea 2f(%%rip), %%rax\n\tpush %%rax\n\tiretq"

static void do_op(void)
{
	switch (op.nr) {
	case NESTED_OP_NOTHING:
		DO("", "nop");
		break;
	case NESTED_OP_SSE:
		DO("mov $0x600df00d, %%eax\n\tmovd %%eax, %%xmm0", "movss %%xmm0, (%%rdi)");
		break;
	case NESTED_OP_SSE_MOV:
		DO("xorps %%xmm0, %%xmm0", "movss %%xmm0, (%%rdi)\n\tmovl $0, 0x1000(%%rdi)");
		break;
	case NESTED_OP_SSE_IRET:
		DO("xorps %%xmm0, %%xmm0", "movss %%xmm0, (%%rdi)\n\t" IRET);
		break;
	case NESTED_OP_X87:
		DO("fninit\n\tfld1", "fstps (%%rdi)");
		break;
	case NESTED_OP_FXSAVE:
		DO(SET_FPU, "fxsave (%%rdi)");
		break;
	case NESTED_OP_TF_FXSAVE:
		DO(SET_FPU "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq", "fxsave (%%rdi)");
		break;
	case NESTED_OP_DIVIDE:
		DO("mov $1, %%eax\n\txor %%edx, %%edx", "div %%ecx");
		break;
	case NESTED_OP_CALL:
		op.fn();
		break;
	}
}

static void l2_code(void)
{
	asm volatile("mov %0, %%cr2" : : "r"(0ul));
	do_op();
	asm volatile("mov %%cr2, %%rax\n\tmov %%rax, %0" : "=m"(out.cr2) : : "rax");

	if (host_cpu_is_intel)
		vmcall();
	else
		vmmcall();
}

/* The interrupt, or NMI, that L1 has had an exit for.  False if it was another exit. */
static bool take_interrupt_vmx(void)
{
	if (vmreadz(VM_EXIT_REASON) == EXIT_REASON_EXTERNAL_INTERRUPT)
		asm volatile("sti\n\tnop\n\tcli");
	else if (vmreadz(VM_EXIT_REASON) == EXIT_REASON_EXCEPTION_NMI &&
		 (vmreadz(VM_EXIT_INTR_INFO) & 0xff) == NMI_VECTOR)
		asm volatile("int $2");	/* its IRET unblocks them */
	else
		return false;

	return true;
}

static bool take_interrupt_svm(struct vmcb *vmcb)
{
	if (vmcb->control.exit_code != SVM_EXIT_INTR && vmcb->control.exit_code != SVM_EXIT_NMI)
		return false;

	stgi();
	asm volatile("sti\n\tnop\n\tcli");
	return true;
}

static void start_vmx(void)
{
	uint64_t control = vmreadz(CPU_BASED_VM_EXEC_CONTROL) & ~CPU_BASED_NMI_WINDOW_EXITING;

	vmwrite(GUEST_RIP, (uint64_t)l2_code);
	vmwrite(GUEST_RSP, l2_stack);
	vmwrite(GUEST_RFLAGS, L2_RFLAGS);
	vmwrite(CPU_BASED_VM_EXEC_CONTROL,
		control | (op.nmi_window ? CPU_BASED_NMI_WINDOW_EXITING : 0));
	/* By an NMI. */
	vmwrite(GUEST_INTERRUPTIBILITY_INFO, op.nmi_window ? 8 : 0);
	vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmwrite(EXCEPTION_BITMAP, op.exceptions);
	vmwrite(PAGE_FAULT_ERROR_CODE_MASK, op.pf_mask);
	vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(VM_ENTRY_INTR_INFO_FIELD, op.inject ? INJECT_DE : 0);
}

static void run_vmx(bool *launched)
{
	start_vmx();
	do {
		GUEST_ASSERT(!(*launched ? vmresume() : vmlaunch()));
		*launched = true;
	} while (take_interrupt_vmx());

	if (vmreadz(VM_EXIT_REASON) == EXIT_REASON_VMCALL)
		return;

	out.exit = vmreadz(VM_EXIT_REASON);
	out.info[0] = vmreadz(EXIT_QUALIFICATION);
	out.info[1] = vmreadz(VM_EXIT_INTR_INFO);
	out.info[2] = vmreadz(VM_EXIT_INTR_ERROR_CODE);
	out.info[3] = vmreadz(IDT_VECTORING_INFO_FIELD);
	out.info[4] = vmreadz(GUEST_INTERRUPTIBILITY_INFO);
	out.info[5] = vmreadz(GUEST_PENDING_DBG_EXCEPTIONS);
	if (out.exit == EXIT_REASON_EPT_VIOLATION)
		out.info[6] = vmreadz(GUEST_PHYSICAL_ADDRESS);
	out.exit_rip = vmreadz(GUEST_RIP);
	out.exit_rflags = vmreadz(GUEST_RFLAGS) & ~RF;
}

/* L2 gets no registers, and leaves none. */
static void vmrun(uint64_t vmcb_gpa)
{
	asm volatile("push %%rbp\n\tvmload %%rax\n\tvmrun %%rax\n\tvmsave %%rax\n\tpop %%rbp"
		     : "+a"(vmcb_gpa) :
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "cc", "memory");
}

static void start_svm(struct vmcb *vmcb)
{
	vmcb->save.rip = (uint64_t)l2_code;
	vmcb->save.rsp = l2_stack;
	vmcb->save.rflags = L2_RFLAGS;
	vmcb->save.dr6 = DR6_CLEAR;
	vmcb->control.int_state = 0;
	vmcb->control.intercept_exceptions = op.exceptions;
	vmcb->control.event_inj = op.inject ? INJECT_DE : 0;
}

static void run_svm(struct svm_test_data *svm)
{
	struct vmcb *vmcb = svm->vmcb;

	start_svm(vmcb);
	do {
		vmrun(svm->vmcb_gpa);
	} while (take_interrupt_svm(vmcb));

	if (vmcb->control.exit_code == SVM_EXIT_VMMCALL)
		return;

	out.exit = vmcb->control.exit_code;
	out.info[0] = vmcb->control.exit_info_1;
	out.info[1] = vmcb->control.exit_info_2;
	out.info[2] = vmcb->control.exit_int_info;
	out.info[3] = vmcb->control.int_state;
	out.info[4] = vmcb->control.int_ctl;
	out.exit_rip = vmcb->save.rip;
	out.exit_rflags = vmcb->save.rflags & ~RF;
	out.dr6 = vmcb->save.dr6;
}

static void setup_l2(void *nested, uint64_t ncr3)
{
	struct svm_test_data *svm = nested;

	if (host_cpu_is_intel) {
		GUEST_ASSERT(prepare_for_vmx_operation(nested));
		GUEST_ASSERT(load_vmcs(nested));
		prepare_vmcs(nested, l2_code, (void *)l2_stack);
		vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmreadz(PIN_BASED_VM_EXEC_CONTROL) |
						   PIN_BASED_EXT_INTR_MASK |
						   PIN_BASED_NMI_EXITING |
						   PIN_BASED_VIRTUAL_NMIS);
		vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmreadz(CPU_BASED_VM_EXEC_CONTROL) |
						   CPU_BASED_USE_MSR_BITMAPS);
		return;
	}

	generic_svm_setup(svm, l2_code, (void *)l2_stack);
	svm->vmcb->control.intercept |= BIT(INTERCEPT_INTR) | BIT(INTERCEPT_NMI);
	svm->vmcb->control.nested_ctl = ncr3 ? SVM_NESTED_CTL_NP_ENABLE : 0;
	svm->vmcb->control.nested_cr3 = ncr3;
}

static void l1_code(void *nested, uint64_t ncr3)
{
	bool launched = false;

	x2apic_enable();
	setup_l2(nested, ncr3);

	for (;;) {
		GUEST_SYNC(0);

		if (host_cpu_is_intel)
			run_vmx(&launched);
		else
			run_svm(nested);
	}
}

/* The entry of @table for @gpa at @level, with the tables that it takes. */
static uint64_t *walk(struct kvm_vm *vm, uint64_t table, uint64_t gpa, int level)
{
	uint64_t *entry, flags = host_cpu_is_intel ? 0x107 : 0x67;
	int l;

	for (l = PG_LEVEL_512G; ; l--) {
		entry = (uint64_t *)addr_gpa2hva(vm, table) + (gpa >> PG_LEVEL_SHIFT(l) & 511);
		if (l == level)
			return entry;
		if (!*entry)
			*entry = vm_alloc_page_table(vm) | flags;
		table = PTE_GET_PA(*entry);
	}
}

/* L2 has what L1 has, at the same addresses, but for the page at @hole. */
static uint64_t create_tdp(struct kvm_vm *vm, uint64_t hole)
{
	uint64_t size = memslot2region(vm, 0)->region.memory_size, gpa;
	uint64_t root = vm_alloc_page_table(vm);

	/* All, accessed, dirty; EPT: write-back as well. */
	for (gpa = 0; gpa < size; gpa += PAGE_SIZE) {
		if (gpa != hole)
			*walk(vm, root, gpa, PG_LEVEL_4K) = gpa |
				(host_cpu_is_intel ? 0x337 : 0x67);
	}

	return root;
}

void nested_op_create(struct nested_vm *n, bool tdp)
{
	static const int vectors[] = { DE_VECTOR, DB_VECTOR, UD_VECTOR, GP_VECTOR, PF_VECTOR };
	uint64_t gva, ncr3 = 0;
	int i;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));

	n->vm = vm_create_with_one_vcpu(&n->vcpu, l1_code);
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		vm_install_exception_handler(n->vm, vectors[i], handle_exception);
	vm_install_exception_handler(n->vm, NESTED_OP_VECTOR, handle_interrupt);
	vm_install_exception_handler(n->vm, NMI_VECTOR, handle_interrupt);

	n->gpa = vm_phy_pages_alloc(n->vm, NESTED_OP_PAGES, KVM_GUEST_PAGE_TABLE_MIN_PADDR, 0);
	for (i = 0; i < NESTED_OP_PAGES; i++) {
		if (i != 1)
			virt_pg_map(n->vm, NESTED_OP_VA + i * PAGE_SIZE,
				    n->gpa + i * PAGE_SIZE);
	}

	l2_stack = vm_vaddr_alloc_page(n->vm);
	n->stack_gpa = addr_gva2gpa(n->vm, l2_stack);
	/* As behind a CALL. */
	l2_stack += PAGE_SIZE - 8;
	sync_global_to_guest(n->vm, l2_stack);

	if (tdp)
		ncr3 = create_tdp(n->vm, n->gpa + (NESTED_OP_PAGES - 1) * PAGE_SIZE);
	if (host_cpu_is_intel)
		vcpu_alloc_vmx(n->vm, &gva)->eptp_gpa = ncr3;
	else
		vcpu_alloc_svm(n->vm, &gva);
	vcpu_args_set(n->vcpu, 2, gva, ncr3);

	vcpu_run(n->vcpu);
	nested_op_end(n, NULL);
}

void nested_op_start(struct nested_vm *n, const struct nested_op *new)
{
	op = *new;
	memset(&out, 0, sizeof(out));
	sync_global_to_guest(n->vm, op);
	sync_global_to_guest(n->vm, out);
}

void nested_op_end(struct nested_vm *n, struct nested_op_outcome *outcome)
{
	struct ucall uc;

	if (get_ucall(n->vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(uc.cmd == UCALL_SYNC, "exit reason %u (%s)", n->vcpu->run->exit_reason,
		    exit_reason_str(n->vcpu->run->exit_reason));

	if (!outcome)
		return;
	sync_global_from_guest(n->vm, out);
	*outcome = out;
}

void nested_op_run(struct nested_vm *n, const struct nested_op *new,
		   struct nested_op_outcome *outcome)
{
	nested_op_start(n, new);
	vcpu_run(n->vcpu);
	nested_op_end(n, outcome);
}
