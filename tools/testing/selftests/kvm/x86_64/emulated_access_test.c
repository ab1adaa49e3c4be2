// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an instruction that KVM emulates does to memory is what it does on the CPU.
 *
 * Each instruction is there twice, without the forced emulation prefix and with it.  The
 * host sets the registers, has the guest execute one of the two, and compares registers,
 * memory, the exception, and what KVM_RUN returns.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "kvm_util.h"
#include "processor.h"

#define DATA_SLOT	1
#define DATA_GPA	0x10000000ul
#define DATA_VA(second)	(0x40000000ul + (second) * 0x10000ul)
#define STACK_SLOT	2
#define STACK_GPA	0x20000000ul
#define STACK_VA	0x48000000ul
#define DEVICE_GPA	0x30000000ul
#define DEVICE_VA	0x4a000000ul

/* Places in the first page of data. */
#define SOURCE		0x100
#define DEST		0x200

#define TRAP_FLAG	0x100ul
#define RF		0x10000ul
#define FEP_LEN		5
#define NR_STEPS	8

/* The guest ends with a write to this port, plus the vector of an exception. */
#define END_PORT	0x80
#define DEVICE_PORT	0x60

#define CODE(_name, _asm) static __attribute__((naked)) void _name(void) { asm(_asm); }

struct insn {
	const char *name;
	void (*code)(void);	/* at FORCED_OFFSET, the same with the prefix */
};

#define FORCED_OFFSET	32
#define DEFINE_INSN(_sym, _asm)						\
CODE(_sym##_code, ".irp forced, 0, 1\n"					\
		  "1: .if \\forced\n" KVM_FEP "\n.endif\n"		\
		  _asm "; out %al, $0x80\n"				\
		  ".fill 32 - (. - 1b), 1, 0xf4\n.endr")		\
static const struct insn _sym = { #_sym, _sym##_code }

DEFINE_INSN(mov_ds, "rex.w mov %ds, (%rdi)");
DEFINE_INSN(str, "rex.w str (%rdi)");
DEFINE_INSN(sldt, "rex.w sldt (%rdi)");
DEFINE_INSN(rep_movsb, "rep movsb");
DEFINE_INSN(rep_stosq, "rep stosq");
DEFINE_INSN(repe_cmpsb, "repe cmpsb");
DEFINE_INSN(rep_stosb, "rep stosb");
DEFINE_INSN(rep_outsb, "rep outsb");
DEFINE_INSN(store2, "mov %ax, (%rdi)");
DEFINE_INSN(store4, "mov %eax, (%rdi)");
DEFINE_INSN(store8, "mov %rax, (%rdi)");
DEFINE_INSN(load2, "mov (%rdi), %ax");
DEFINE_INSN(load4, "mov (%rdi), %eax");
DEFINE_INSN(load8, "mov (%rdi), %rax");
DEFINE_INSN(movsq, "movsq");
DEFINE_INSN(push, "push %rax");
DEFINE_INSN(push_device, "push (%rdi)");
DEFINE_INSN(lock_add, "lock add %rax, (%rdi)");
DEFINE_INSN(sgdt, "sgdt (%rdi)");
DEFINE_INSN(call, "call *(%rdi)");

/* Exceptions, and where a CALL may lead. */
CODE(db_handler, "out %al, $0x81")
CODE(pf_handler, "out %al, $0x8e")
CODE(right_target, "out %al, $0x80")
CODE(wrong_target, "out %al, $0x80; nop")

/* The second of the two pages of data, into which accesses cross. */
enum second {
	PRESENT,
	ABSENT,
	READONLY,
	HOST_READONLY,
	HOST_NONE,
};

static const struct {
	const char *name;
	int prot;		/* in the host */
	uint32_t vector;	/* of the exception that an access ends with */
	int error;		/* of KVM_RUN */
} seconds[] = {
	[PRESENT] = { "a page", PROT_READ | PROT_WRITE },
	[ABSENT] = { "an absent page", PROT_READ | PROT_WRITE, PF_VECTOR },
	[READONLY] = { "a read-only page", PROT_READ | PROT_WRITE, PF_VECTOR },
	[HOST_READONLY] = { "what the host cannot write", PROT_READ, 0, EFAULT },
	[HOST_NONE] = { "what the host cannot access", PROT_NONE, 0, EFAULT },
};

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	bool debugged;		/* single-stepped by the host */
	uint8_t *mem;		/* two pages of data */
	uint64_t *stack_end;	/* of exceptions */
};

struct outcome {
	int error;
	uint32_t exit;
	uint32_t vector;
	uint64_t error_code;
	uint64_t cr2;
	struct kvm_regs regs;	/* with RIP relative to the instruction */
	uint8_t mem[2 * PAGE_SIZE];
};

static void fill(struct guest *g)
{
	int i;

	for (i = 0; i < 2 * PAGE_SIZE; i++)
		g->mem[i] = 7 * i;
}

static void protect(struct guest *g, int prot)
{
	TEST_ASSERT(!mprotect(g->mem + PAGE_SIZE, PAGE_SIZE, prot), "mprotect() failed");
}

static void set_debugged(struct guest *g, bool debugged)
{
	struct kvm_guest_debug debug = {
		.control = debugged ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
	};

	g->debugged = debugged;
	vcpu_guest_debug_set(g->vcpu, &debug);
}

/* Is this an exit for the device, which takes whatever is written? */
static bool is_device(const struct kvm_run *run)
{
	return (run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr >= DEVICE_GPA &&
		run->mmio.phys_addr < DEVICE_GPA + PAGE_SIZE) ||
	       (run->exit_reason == KVM_EXIT_IO && run->io.port == DEVICE_PORT);
}

/* Have KVM end what it takes for MMIO, maybe by more exits. */
static void end_mmio(struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	while (!__vcpu_run(vcpu))
		;
	vcpu->run->immediate_exit = 0;
}

static void run(struct guest *g, const struct insn *insn, bool forced,
		const struct kvm_regs *start, struct outcome *o)
{
	uint64_t rip = (uint64_t)insn->code + (forced ? FORCED_OFFSET : 0);
	struct kvm_regs regs = *start;
	struct kvm_sregs sregs;

	regs.rip += rip;
	regs.rflags |= X86_EFLAGS_FIXED;
	vcpu_regs_set(g->vcpu, &regs);
	/* For KVM, single-stepping starts at the RIP of this moment. */
	if (g->debugged)
		set_debugged(g, true);

	memset(o, 0, sizeof(*o));
	do {
		o->error = _vcpu_run(g->vcpu) ? errno : 0;
	} while (!o->error && is_device(g->vcpu->run));
	if (!o->error)
		o->exit = g->vcpu->run->exit_reason;
	if (o->exit == KVM_EXIT_IO)
		o->vector = g->vcpu->run->io.port - END_PORT;

	vcpu_regs_get(g->vcpu, &o->regs);
	vcpu_sregs_get(g->vcpu, &sregs);
	o->cr2 = sregs.cr2;
	if (o->vector) {
		/* The handler has changed nothing but what the CPU has pushed. */
		o->regs.rip = g->stack_end[-5];
		o->regs.rflags = g->stack_end[-3];
		o->regs.rsp = g->stack_end[-2];
	}
	if (o->vector == PF_VECTOR)
		o->error_code = g->stack_end[-6];
	/* QEMU has it clear where CPUs have it set. */
	o->regs.rflags &= ~RF;
	o->regs.rip -= rip + (forced ? FEP_LEN : 0);
	if (o->exit == KVM_EXIT_MMIO)
		end_mmio(g->vcpu);
}

/* @o[0] is where it stops.  @o[1] is the end, if the host had to mend something before. */
static void run_access(struct guest *g, const struct insn *insn, bool forced, enum second second,
		       int before, struct outcome *o)
{
	uint64_t va = DATA_VA(second <= READONLY ? second : PRESENT);
	struct kvm_regs regs = {
		.rax = 0x1122334455667788,
		.rsi = va + SOURCE,
		.rdi = va + PAGE_SIZE - before,
		.rsp = va + PAGE_SIZE - before + 8,
	};

	fill(g);
	protect(g, seconds[second].prot);
	run(g, insn, forced, &regs, &o[0]);
	protect(g, PROT_READ | PROT_WRITE);
	memcpy(o[0].mem, g->mem, sizeof(o[0].mem));

	memset(&o[1], 0, sizeof(o[1]));
	if (!o[0].error)
		return;

	regs = o[0].regs;
	run(g, insn, forced, &regs, &o[1]);
	memcpy(o[1].mem, g->mem, sizeof(o[1].mem));
}

/* A device is read, the host cannot do the write: all is done when that is mended. */
static void test_device(struct guest *g, const struct insn *insn)
{
	struct kvm_regs regs = {
		.rdi = DEVICE_VA,
		.rsp = DATA_VA(PRESENT) + PAGE_SIZE + 8,
	};
	static struct outcome got[2];
	uint32_t exit;

	fill(g);
	protect(g, PROT_READ);
	run(g, insn, false, &regs, &got[0]);
	exit = g->vcpu->run->exit_reason;
	protect(g, PROT_READ | PROT_WRITE);
	run(g, insn, false, &got[0].regs, &got[1]);
	ksft_test_result(got[0].error == EFAULT && got[0].regs.rsp == regs.rsp &&
			 !got[0].regs.rip && got[1].exit == KVM_EXIT_IO &&
			 got[1].regs.rsp == regs.rsp - 8,
			 "%s with a stack that the host cannot write: errno %d, RSP %lld too low\n",
			 insn->name, got[0].error, regs.rsp - got[0].regs.rsp);
	ksft_test_result(exit != KVM_EXIT_MMIO, "%s leaves no exit for the device: %u\n",
			 insn->name, exit);
}

/* From @before bytes before the second page on, which does cross if that is one. */
static void test_access(struct guest *g, const struct insn *insn, enum second second, int before)
{
	uint32_t vector = before == 1 ? seconds[second].vector : 0;
	int error = before == 1 ? seconds[second].error : 0;
	static struct outcome want[2], got[2];

	run_access(g, insn, false, second, before, want);
	run_access(g, insn, true, second, before, got);
	ksft_test_result(!memcmp(want, got, sizeof(want)) &&
			 want->vector == vector && want->error == error,
			 "%s %s %s: exit %u errno %d vector %u, on the CPU %u, %d, %u%s\n",
			 insn->name, before == 1 ? "into" : "ahead of",
			 seconds[second].name, got->exit, got->error, got->vector,
			 want->exit, want->error, want->vector,
			 memcmp(want->mem, got->mem, sizeof(got->mem)) ? ", other memory" : "");
}

/* Have the registers behind each step in @steps.  Returns how many steps there are. */
static int run_steps(struct guest *g, const struct insn *insn, bool forced, bool debugged,
		     struct kvm_regs *steps)
{
	struct kvm_regs regs = {
		.rcx = NR_STEPS,
		.rdx = DEVICE_PORT,
		.rsi = DATA_VA(PRESENT) + SOURCE,
		.rdi = insn == &rep_stosb ? DEVICE_VA : DATA_VA(PRESENT) + DEST,
	};
	static struct outcome o;
	int nr = 0, i;

	fill(g);
	set_debugged(g, debugged);
	for (i = 0; i < 2 * NR_STEPS && nr < NR_STEPS && !regs.rip; i++) {
		regs.rflags = debugged ? 0 : TRAP_FLAG;
		run(g, insn, forced, &regs, &o);
		if (o.exit != KVM_EXIT_DEBUG && o.vector != DB_VECTOR)
			break;

		/* Bochs has a #DB ahead of an instruction, or prefix, if a VM exit was there. */
		if (o.regs.rip == -(uint64_t)FEP_LEN)
			o.regs.rip = 0;
		if (o.regs.rip || o.regs.rcx != regs.rcx)
			steps[nr++] = o.regs;
		regs = o.regs;
	}
	set_debugged(g, false);
	return nr;
}

static void test_steps(struct guest *g, const struct insn *insn, bool debugged)
{
	struct kvm_regs want[NR_STEPS] = {}, got[NR_STEPS] = {};
	int nr_want = run_steps(g, insn, false, debugged, want);
	int nr_got = run_steps(g, insn, true, debugged, got);

	ksft_test_result(nr_want == NR_STEPS && !memcmp(want, got, sizeof(want)),
			 "%s by steps of %s: %d on the CPU, %d emulated\n", insn->name,
			 debugged ? "the host" : "TF", nr_want, nr_got);
}

/* How often this thread accesses the 8 bytes at DEST, in the kernel as well, for @insn. */
static int count(struct guest *g, const struct insn *insn)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_RW,
		.bp_addr = (uint64_t)g->mem + DEST,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	int fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
	struct kvm_regs regs = { .rdi = DATA_VA(PRESENT) + DEST };
	static struct outcome o;
	uint64_t n;

	if (insn)
		run(g, insn, true, &regs, &o);
	else
		WRITE_ONCE(*(uint64_t *)(g->mem + DEST), 1);

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return -1;

	close(fd);
	return n;
}

/* Other vCPUs must not see the middle of an access, nor be seen in it. */
static void test_count(struct guest *g, const struct insn *insn)
{
	int own = count(g, NULL), n = count(g, insn);

	if (own == 1)
		ksft_test_result(n == 1, "%s is one access: %d\n", insn->name, n);
	else
		ksft_test_result_skip("%s: a breakpoint counts %d for 1\n", insn->name, own);
}

/*
 * Emulated without the prefix, as its stack is in a read-only slot: KVM knows the gpa at
 * which it faulted, and has to know that it is not the operand's, which would fit.
 */
static void test_call(struct guest *g)
{
	struct kvm_regs regs = {
		.rdi = DATA_VA(PRESENT) + DEST,
		.rsp = STACK_VA + DEST + 8,
	};
	static struct outcome o;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, STACK_GPA, STACK_SLOT, 1,
				    KVM_MEM_READONLY);
	virt_map(g->vm, STACK_VA, STACK_GPA, 1);
	*(uint64_t *)addr_gpa2hva(g->vm, STACK_GPA + DEST) = (uint64_t)wrong_target;
	*(uint64_t *)(g->mem + DEST) = (uint64_t)right_target;
	run(g, &call, false, &regs, &o);
	ksft_test_result(o.exit == KVM_EXIT_MMIO &&
			 o.regs.rip == (uint64_t)right_target - (uint64_t)call.code,
			 "%s jumps to where its operand says\n", call.name);
}

static void set_handler(struct guest *g, int vector, void (*handler)(void))
{
	uint16_t *gate = addr_gva2hva(g->vm, g->vm->arch.idt + 16 * vector);

	gate[0] = (uint64_t)handler;
	gate[2] |= 1;		/* stack 1 of the TSS */
	gate[3] = (uint64_t)handler >> 16;
}

static void init_guest(struct guest *g)
{
	struct kvm_sregs sregs;
	uint64_t end;
	int second;

	memset(g, 0, sizeof(*g));
	g->vm = vm_create_with_one_vcpu(&g->vcpu, NULL);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, DATA_SLOT, 2, 0);
	g->mem = addr_gpa2hva(g->vm, DATA_GPA);
	for (second = PRESENT; second <= READONLY; second++)
		virt_map(g->vm, DATA_VA(second), DATA_GPA, second == ABSENT ? 1 : 2);
	*vm_get_page_table_entry(g->vm, DATA_VA(READONLY) + PAGE_SIZE) &= ~PTE_WRITABLE_MASK;

	virt_map(g->vm, DEVICE_VA, DEVICE_GPA, 1);

	end = vm_vaddr_alloc_page(g->vm) + PAGE_SIZE;
	g->stack_end = addr_gva2hva(g->vm, end - PAGE_SIZE) + PAGE_SIZE;
	memcpy(addr_gva2hva(g->vm, g->vm->arch.tss + 0x24), &end, sizeof(end));
	set_handler(g, DB_VECTOR, db_handler);
	set_handler(g, PF_VECTOR, pf_handler);

	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.cr0 |= X86_CR0_WP;
	vcpu_sregs_set(g->vcpu, &sregs);
}

int main(void)
{
	static const unsigned int host = BIT(HOST_READONLY) | BIT(HOST_NONE);
	static const struct {
		const struct insn *insn;
		unsigned int seconds;
	} accesses[] = {
		{ &mov_ds, BIT(PRESENT) },
		{ &str, BIT(PRESENT) },
		{ &sldt, BIT(PRESENT) },
		{ &store8, BIT(ABSENT) | BIT(READONLY) | host },
		{ &movsq, BIT(ABSENT) | BIT(READONLY) | host },
		{ &push, BIT(ABSENT) | BIT(READONLY) | host },
		/* QEMU's #PF on an absent page says that it was a read. */
		{ &lock_add, BIT(READONLY) | host },
		/* If the host cannot do it, Linux without the fix repeats it for ever. */
		{ &sgdt, BIT(ABSENT) | BIT(READONLY) },
		{ &load8, BIT(HOST_NONE) },
	};
	/* The last two write to a device. */
	static const struct insn * const strings[] = {
		&rep_movsb, &rep_stosq, &repe_cmpsb, &rep_stosb, &rep_outsb,
	};
	static const struct insn * const words[] = { &store2, &store4, &load2, &load4 };
	struct guest g;
	int i, second;

	ksft_print_header();
	__TEST_REQUIRE(kvm_is_forced_emulation_enabled(),
		       "Write 1 to /sys/module/kvm/parameters/force_emulation_prefix");
	init_guest(&g);

	for (i = 0; i < ARRAY_SIZE(accesses); i++) {
		for (second = PRESENT; second <= HOST_NONE; second++) {
			if (accesses[i].seconds & BIT(second))
				test_access(&g, accesses[i].insn, second, 1);
		}
	}
	test_access(&g, &str, ABSENT, 2);
	test_access(&g, &sldt, ABSENT, 2);
	for (i = 0; i < 2 * ARRAY_SIZE(strings); i++)
		test_steps(&g, strings[i / 2], i % 2);
	for (i = 0; i < ARRAY_SIZE(words); i++)
		test_count(&g, words[i]);
	test_device(&g, &push_device);
	test_call(&g);

	kvm_vm_free(g.vm);
	ksft_set_plan(ksft_test_num());
	ksft_finished();
}
