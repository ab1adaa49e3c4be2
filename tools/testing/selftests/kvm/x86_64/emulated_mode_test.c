// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an instruction that KVM emulates does elsewhere than in the 64-bit kernel of a guest:
 * INT n in real mode, SYSCALL in compatibility mode, and what never exits to a hypervisor in
 * a nested guest.
 *
 * Each is there twice, without the forced emulation prefix and with it.
 */
#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

#define FEP_LEN		5
#define END_PORT	0x80
#define WRONG_PORT	0x81
#define CARRY		0x1ul
#define SET_FLAGS	"cmp %%rsp, %%rsp; stc; "
#define L2_STACK_SIZE	256

static const char *const ways[] = { "by the CPU", "emulated" };

/*
 * At @code the instruction is, without the prefix and with it, and an OUT that the guest is
 * not to come to; at @end the one that it is.
 */
static void put_code(void *code, int way, const uint8_t insn[2], void *end)
{
	static const uint8_t prefix[FEP_LEN] = { 0x0f, 0x0b, 'k', 'v', 'm' };
	static const uint8_t wrong[] = { 0xe6, WRONG_PORT }, out[] = { 0xe6, END_PORT };

	memcpy(code, prefix, way * FEP_LEN);
	memcpy(code + way * FEP_LEN, insn, 2);
	memcpy(code + way * FEP_LEN + 2, wrong, sizeof(wrong));
	memcpy(end, out, sizeof(out));
}

/* The guest has come to the OUT at @rip. */
static void run_to(struct kvm_vcpu *vcpu, const char *what, int way, uint64_t rip)
{
	struct kvm_regs regs;

	pr_info("%s, %s\n", what, ways[way]);
	vcpu_run(vcpu);
	vcpu_regs_get(vcpu, &regs);
	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == END_PORT,
		    "%s, %s: exit reason %d at 0x%llx", what, ways[way],
		    vcpu->run->exit_reason, regs.rip);
	/* KVM moves on when it is called again, if it does not emulate the OUT. */
	TEST_ASSERT(regs.rip == rip || regs.rip == rip + 2, "%s, %s: RIP is 0x%llx and not 0x%lx",
		    what, ways[way], regs.rip, rip);
}

#define REAL_CODE	0x1000ul
#define REAL_HANDLER	0x2000ul
#define REAL_STACK	0x4000ul
#define REAL_IDT	0x5000ul
#define REAL_PAGES	8

/* The frame of an interrupt in real mode. */
struct real_frame {
	uint16_t ip, cs, flags;
};

static void test_real_int(uint8_t vector, int way)
{
	struct kvm_regs regs = {
		.rip = REAL_CODE,
		.rsp = REAL_STACK,
		.rflags = X86_EFLAGS_FIXED | CARRY,
	};
	const uint8_t insn[] = { 0xcd, vector };
	struct kvm_vm *vm = vm_create_barebones();
	struct real_frame *frame;
	struct kvm_sregs sregs;
	struct kvm_vcpu *vcpu;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, REAL_PAGES, 0);
	put_code(addr_gpa2hva(vm, REAL_CODE), way, insn, addr_gpa2hva(vm, REAL_HANDLER));
	/* A vector that is taken for signed finds entries in front of the table: HLT at 0. */
	*(uint8_t *)addr_gpa2hva(vm, 0) = 0xf4;
	*(uint32_t *)addr_gpa2hva(vm, REAL_IDT + 4 * vector) = REAL_HANDLER;

	vcpu = __vm_vcpu_add(vm, 0);
	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.idt.base = REAL_IDT;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);

	run_to(vcpu, vector < 0x80 ? "INT 7fh in real mode" : "INT 80h in real mode", way,
	       REAL_HANDLER);
	frame = addr_gpa2hva(vm, REAL_STACK - sizeof(*frame));
	TEST_ASSERT_EQ(frame->ip, REAL_CODE + way * FEP_LEN + sizeof(insn));
	TEST_ASSERT_EQ(frame->cs, 0);
	TEST_ASSERT_EQ(frame->flags, regs.rflags);
	kvm_vm_free(vm);
}

#define KERNEL_VA	0x7f0000000000ul
#define KERNEL_CS	0x10ul

static void test_compat_syscall(int way)
{
	static const uint8_t insn[] = { 0x0f, 0x05 };
	struct kvm_regs regs = { .rflags = X86_EFLAGS_FIXED };
	struct kvm_sregs sregs;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, NULL);
	vm_vaddr_t code = vm_vaddr_alloc_page(vm), kernel = vm_vaddr_alloc_page(vm);

	put_code(addr_gva2hva(vm, code), way, insn, addr_gva2hva(vm, kernel));
	virt_map(vm, KERNEL_VA, addr_gva2gpa(vm, kernel), 1);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.efer |= EFER_SCE;
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_set_msr(vcpu, MSR_STAR, KERNEL_CS << 32);
	vcpu_set_msr(vcpu, MSR_CSTAR, KERNEL_VA);
	regs.rip = code;
	vcpu_regs_set(vcpu, &regs);

	run_to(vcpu, "SYSCALL in compatibility mode", way, KERNEL_VA);
	vcpu_regs_get(vcpu, &regs);
	TEST_ASSERT_EQ(regs.rcx, code + way * FEP_LEN + sizeof(insn));
	vcpu_sregs_get(vcpu, &sregs);
	TEST_ASSERT_EQ(sregs.cs.l, 1);
	TEST_ASSERT_EQ(sregs.cs.selector, KERNEL_CS);
	kvm_vm_free(vm);
}

/* What PUSHF pushes, with all flags of arithmetic known. */
static __always_inline uint64_t pushed_flags(bool forced)
{
	uint64_t flags;

	if (forced)
		asm volatile(SET_FLAGS KVM_FEP "pushfq; pop %0" : "=r"(flags) : : "cc", "memory");
	else
		asm volatile(SET_FLAGS "pushfq; pop %0" : "=r"(flags) : : "cc", "memory");
	return flags;
}

static __always_inline bool popped_carry(bool forced, uint64_t flags)
{
	uint8_t carry;

	if (forced)
		asm volatile("push %1; " KVM_FEP "popfq; setc %0"
			     : "=r"(carry) : "r"(flags) : "cc", "memory");
	else
		asm volatile("push %1; popfq; setc %0"
			     : "=r"(carry) : "r"(flags) : "cc", "memory");
	return carry;
}

static bool has_vmx;

static void l2_code(void)
{
	uint64_t flags = pushed_flags(false);

	GUEST_ASSERT(flags & CARRY);
	GUEST_ASSERT_EQ(pushed_flags(true), flags);

	GUEST_ASSERT(popped_carry(false, flags));
	GUEST_ASSERT(popped_carry(true, flags));
	GUEST_ASSERT(!popped_carry(true, flags & ~CARRY));

	if (has_vmx)
		vmcall();
	else
		vmmcall();
}

static void l1_vmx_code(struct vmx_pages *vmx)
{
	uint64_t stack[L2_STACK_SIZE];

	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_code, &stack[L2_STACK_SIZE]);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	GUEST_DONE();
}

static void l1_svm_code(struct svm_test_data *svm)
{
	uint64_t stack[L2_STACK_SIZE];

	generic_svm_setup(svm, l2_code, &stack[L2_STACK_SIZE]);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_DONE();
}

static void test_nested(void)
{
	struct kvm_vcpu *vcpu;
	vm_vaddr_t pages;
	struct kvm_vm *vm;
	struct ucall uc;

	pr_info("PUSHF and POPF of a nested guest\n");
	has_vmx = kvm_cpu_has(X86_FEATURE_VMX);
	if (has_vmx) {
		vm = vm_create_with_one_vcpu(&vcpu, l1_vmx_code);
		vcpu_alloc_vmx(vm, &pages);
	} else {
		vm = vm_create_with_one_vcpu(&vcpu, l1_svm_code);
		vcpu_alloc_svm(vm, &pages);
	}
	vcpu_args_set(vcpu, 1, pages);
	sync_global_to_guest(vm, has_vmx);

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	kvm_vm_free(vm);
}

int main(void)
{
	int way;

	TEST_REQUIRE(kvm_is_forced_emulation_enabled());

	for (way = 0; way < ARRAY_SIZE(ways); way++) {
		/* It is virtual-8086 mode otherwise, and KVM emulates any INT n, or cannot. */
		if (!host_cpu_is_intel || vm_is_unrestricted_guest(NULL)) {
			test_real_int(0x7f, way);
			test_real_int(0x80, way);
		}
		/* On others, there is none. */
		if (host_cpu_is_amd)
			test_compat_syscall(way);
	}

	if (kvm_cpu_has(X86_FEATURE_VMX) || kvm_cpu_has(X86_FEATURE_SVM))
		test_nested();
	else
		pr_info("No nested guests here\n");
	return 0;
}
