// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that load or save all of RFLAGS, and change the privilege level, where the
 * CPU's walk for them, or their descriptors, are in tracked pages: what they leave is as
 * without tracking, and no page is given up.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "exact.h"
#include "kselftest.h"
#include "stats.h"

#define NR_EVENTS	64
#define TARGET		(EXACT_CODE_GPA + EXACT_CODE_SIZE)
#define SYSTEM_STACK	(EXACT_GPA + 0x400)
/* The same code as at TARGET, where half an address does not lead to. */
#define FAR_PAGE	(0x7f0000000000ul + EXACT_CODE_GPA)

#define KERNEL_CS	0x8
#define KERNEL_SS	0x10
#define USER_CS32	0x1b
#define USER_SS		0x23
#define USER_CS		0x2b
#define NR_DESCRIPTORS	6

#define TF		0x100ul
#define IF		EXACT_IF
#define IOPL		0x3000ul
#define NT		0x4000ul
#define RF		0x10000ul
#define AC		0x40000ul

#define PTE_USER	BIT(2)
#define ENDS		-1
#define OPEN_INT	0x81	/* its gate is for users */
#define CLOSED_INT	0x21

#define BP_HANDLER	(EXACT_HANDLER_GPA + 4 * BP_VECTOR)
#define NR_ASKED	6

struct insn {
	const char *name;
	uint8_t code[4];
	uint16_t from, to;	/* code segments: where it is, where an IRET leads to */
	uint64_t rflags;	/* that IRET and SYSRET load */
	uint64_t before;	/* IOPL and IF at the start */
	int vector;
	/*
	 * With TF at the start, Bochs has a #DB pending where the guest goes on after an exit,
	 * and that of SYSRET comes one instruction late.  Intel's CPUs have SYSCALL in 64-bit
	 * mode only.
	 */
	bool only_amd;
};

static const struct insn insns[] = {
	{ "iretq", { 0x48, 0xcf }, KERNEL_CS, KERNEL_CS, IF, 0, ENDS },
	{ "iretq that clears IF", { 0x48, 0xcf }, KERNEL_CS, KERNEL_CS, AC, IF, ENDS },
	{ "iretq that sets TF", { 0x48, 0xcf }, KERNEL_CS, KERNEL_CS, IF | TF, IF, DB_VECTOR },
	{ "iretq with TF", { 0x48, 0xcf }, KERNEL_CS, KERNEL_CS, IF, IF | TF, DB_VECTOR, true },
	{ "iretq to a user", { 0x48, 0xcf }, KERNEL_CS, USER_CS, IF | IOPL, 0, ENDS },
	{ "iretq to 32-bit code", { 0x48, 0xcf }, KERNEL_CS, USER_CS32, IOPL, IF, ENDS },
	{ "iretq to a user, with TF set", { 0x48, 0xcf }, KERNEL_CS, USER_CS, IF | IOPL | TF, 0,
	  DB_VECTOR },
	{ "iretq to no segment", { 0x48, 0xcf }, KERNEL_CS, 0x40, IF, IF, GP_VECTOR },
	{ "iretq with NT", { 0x48, 0xcf }, KERNEL_CS, KERNEL_CS, IF, NT, GP_VECTOR },
	{ "iretq of a user that may change IF", { 0x48, 0xcf }, USER_CS, USER_CS, IOPL,
	  IF | IOPL, ENDS },
	{ "iretq of a user that may not", { 0x48, 0xcf }, USER_CS, USER_CS, TF, IF, DB_VECTOR },
	{ "sysretq", { 0x48, 0x0f, 0x07 }, KERNEL_CS, 0, IF | IOPL, 0, ENDS },
	{ "sysretq that sets TF", { 0x48, 0x0f, 0x07 }, KERNEL_CS, 0, IF | IOPL | TF, 0,
	  DB_VECTOR, true },
	{ "sysretl", { 0x0f, 0x07 }, KERNEL_CS, 0, AC | IOPL, IF, ENDS },
	{ "sysretq of a user", { 0x48, 0x0f, 0x07 }, USER_CS, 0, 0, IF | IOPL, GP_VECTOR },
	{ "syscall", { 0x0f, 0x05 }, USER_CS, 0, 0, IF | IOPL | AC, ENDS },
	{ "syscall of 32-bit code", { 0x0f, 0x05 }, USER_CS32, 0, 0, IF, ENDS, true },
	{ "int n", { 0xcd, OPEN_INT }, KERNEL_CS, 0, 0, IF, OPEN_INT },
	{ "int n of a user", { 0xcd, OPEN_INT }, USER_CS, 0, 0, IF | IOPL, OPEN_INT },
	{ "int n of a user who may not", { 0xcd, CLOSED_INT }, USER_CS, 0, 0, IF | IOPL,
	  GP_VECTOR },
	{ "int n without a gate", { 0xcd, 0xf0 }, KERNEL_CS, 0, 0, IF, GP_VECTOR },
	{ "int3", { 0xcc }, KERNEL_CS, 0, 0, IF, BP_VECTOR },
	{ "int3 with TF", { 0xcc }, KERNEL_CS, 0, 0, IF | TF, BP_VECTOR, true },
};

struct test {
	struct exact x;
	struct tracker t;
	uint64_t table;		/* of the code, the stacks and the descriptors */
	struct kvm_sregs kernel;
};

struct segments {
	struct kvm_segment cs, ss;
};

static void set_descriptors(struct test *test)
{
	/* Not accessed: a CPU may set that in the instruction. */
	static const uint64_t gdt[NR_DESCRIPTORS] = {
		0, 0x00af9a000000ffffull, 0x00cf92000000ffffull,
		0x00cffa000000ffffull, 0x00cff2000000ffffull, 0x00affa000000ffffull,
	};
	struct kvm_vm *vm = test->x.g->vm;
	uint64_t stack = SYSTEM_STACK;

	memcpy(addr_gpa2hva(vm, EXACT_GDT_GPA), gdt, sizeof(gdt));
	memcpy(addr_gpa2hva(vm, EXACT_TSS_GPA + 4), &stack, sizeof(stack));
}

static void init_sregs(struct test *test)
{
	struct kvm_vcpu *vcpu = test->x.g->vcpu;
	uint64_t *idt = addr_gpa2hva(test->x.g->vm, EXACT_IDT_GPA);

	idt[2 * OPEN_INT] |= 3ull << 45;
	vcpu_sregs_get(vcpu, &test->kernel);
	test->kernel.gdt.limit = NR_DESCRIPTORS * 8 - 1;
	test->kernel.efer |= EFER_SCE;
	vcpu_sregs_set(vcpu, &test->kernel);
	vcpu_set_msr(vcpu, MSR_STAR, (uint64_t)USER_CS32 << 48 | (uint64_t)KERNEL_CS << 32);
	vcpu_set_msr(vcpu, MSR_LSTAR, FAR_PAGE + (TARGET & ~PAGE_MASK));
	vcpu_set_msr(vcpu, MSR_CSTAR, FAR_PAGE + (TARGET & ~PAGE_MASK));
	vcpu_set_msr(vcpu, MSR_SYSCALL_MASK, IF | AC);
}

static void set_segments(struct test *test, uint16_t cs)
{
	struct kvm_sregs sregs = test->kernel;

	sregs.cs.selector = cs;
	sregs.cs.l = cs != USER_CS32;
	sregs.cs.db = cs == USER_CS32;
	if (cs != KERNEL_CS) {
		sregs.cs.dpl = 3;
		sregs.ss.selector = USER_SS;
		sregs.ss.dpl = 3;
	}
	vcpu_sregs_set(test->x.g->vcpu, &sregs);
}

/* Users may access the page at @va. */
static void allow_users(struct tiny_guest *g, uint64_t va)
{
	uint64_t gpa;
	int level;

	for (level = 1; level <= tg_levels(g); level++) {
		gpa = tg_entry_gpa(g, va, level);
		tg_write_entry(g, gpa, tg_read_entry(g, gpa) | PTE_USER);
	}
}

static void set_frame(struct test *test, const struct insn *insn)
{
	uint64_t frame[] = {
		TARGET, insn->to, insn->rflags | X86_EFLAGS_FIXED, EXACT_TOP - 0x100,
		insn->to & 3 ? USER_SS : KERNEL_SS,
	};

	memcpy(test->x.mem[0] + (EXACT_TOP & ~PAGE_MASK), frame, sizeof(frame));
}

/* An OUT that KVM emulates is done when KVM_RUN returns, any other in the next one. */
static void finish_out(struct exact *x, struct exact_outcome *o)
{
	x->g->vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(x->g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	x->g->vcpu->run->immediate_exit = 0;
	vcpu_regs_get(x->g->vcpu, &o->regs);
}

static void run(struct test *test, const struct insn *insn, struct exact_outcome *o,
		struct segments *s)
{
	static const uint8_t target[] = { 0x90, 0xe6, EXACT_END_PORT, 0xf4 };
	struct exact *x = &test->x;
	struct kvm_regs regs = exact_regs(x);
	struct kvm_sregs sregs;

	exact_fill(x, 0);
	set_descriptors(test);
	set_frame(test, insn);
	memcpy(addr_gpa2hva(x->g->vm, EXACT_CODE_GPA), insn->code, sizeof(insn->code));
	memcpy(addr_gpa2hva(x->g->vm, TARGET), target, sizeof(target));

	regs.rflags = insn->before | X86_EFLAGS_FIXED;
	regs.rcx = TARGET;
	/* The upper half does not matter, nor do bits that are no flags. */
	regs.r11 = insn->rflags | ~0xffffffffull | 0x8028;
	set_segments(test, insn->from);
	exact_reset(x, &regs);
	exact_run(x, o);
	if (o->vector < 0 || o->vector >= 32)
		finish_out(x, o);

	/* In the frame of a fault, CPUs set it, and QEMU does not. */
	o->regs.rflags &= ~RF;
	vcpu_sregs_get(x->g->vcpu, &sregs);
	s->cs = sregs.cs;
	s->ss = sregs.ss;
}

static bool check_events(struct test *test, const struct insn *insn)
{
	struct kvm_page_track_event e;
	bool ok = true;

	while (tracker_pop(&test->t, &e)) {
		if (e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED) {
			pr_info("%s: 0x%llx was given up, flags 0x%x\n", insn->name, e.gpa,
				e.flags);
			ok = false;
		}
	}

	return ok;
}

static bool is_same_segment(const char *name, const char *what, const struct kvm_segment *want,
			    const struct kvm_segment *got)
{
	if (want->selector == got->selector && want->base == got->base &&
	    want->limit == got->limit && want->type == got->type && want->dpl == got->dpl &&
	    want->present == got->present && want->db == got->db && want->l == got->l)
		return true;

	pr_info("%s: %s is 0x%x, limit 0x%x, type %u, dpl %u, db %u, l %u and not 0x%x, 0x%x, %u, %u, %u, %u\n",
		name, what, got->selector, got->limit, got->type, got->dpl, got->db, got->l,
		want->selector, want->limit, want->type, want->dpl, want->db, want->l);
	return false;
}

/* Returns if it was executed in a step, or -1 if anything differs. */
static int run_insn(struct test *test, const struct insn *insn)
{
	uint64_t steps = tg_stat(test->x.g, "page_track_steps");
	static struct exact_outcome want, got;
	struct segments wanted, gotten;
	bool ok;

	run(test, insn, &want, &wanted);
	TEST_ASSERT(want.vector == insn->vector && !want.err && want.exit == KVM_EXIT_IO,
		    "%s: vector %d, exit %u, errno %d, rip 0x%llx", insn->name, want.vector,
		    want.exit, want.err, want.regs.rip);
	TEST_ASSERT_EQ(tg_stat(test->x.g, "page_track_steps"), steps);

	tracker_add(&test->t, test->table, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&test->t, EXACT_GDT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	run(test, insn, &got, &gotten);
	exact_untrack(&test->t, test->table);
	exact_untrack(&test->t, EXACT_GDT_GPA);

	/* If the CPU cannot, KVM moves RIP before it injects the interrupt. */
	if (insn->code[0] == 0xcd && insn->vector == GP_VECTOR && !host_cpu_is_intel &&
	    !kvm_cpu_has(X86_FEATURE_NRIPS) && !tg_shadowed())
		want.regs.rip += 2;

	ok = check_events(test, insn);
	ok &= exact_is_same(&test->x, insn->name, &want, &got, 0);
	ok &= is_same_segment(insn->name, "cs", &wanted.cs, &gotten.cs);
	ok &= is_same_segment(insn->name, "ss", &wanted.ss, &gotten.ss);
	return ok ? tg_stat(test->x.g, "page_track_steps") != steps : -1;
}

static void test_insns(struct tiny_guest *g)
{
	int i, r, nr_failed = 0, nr_stepped = 0;
	static struct test test;

	exact_init(&test.x, g, 64);
	init_sregs(&test);
	allow_users(g, EXACT_CODE_GPA);
	allow_users(g, EXACT_GPA);
	tg_map(g, FAR_PAGE, EXACT_CODE_GPA);
	test.table = tg_entry_gpa(g, EXACT_CODE_GPA, 1) & PAGE_MASK;
	tracker_create(g->vm, &test.t, NR_EVENTS,
		       KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_LOSSY, 0);

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		if (host_cpu_is_intel && insns[i].only_amd) {
			pr_info("%s: not by Intel's CPUs, or wrong in Bochs\n", insns[i].name);
			continue;
		}
		r = run_insn(&test, &insns[i]);
		nr_failed += r < 0;
		nr_stepped += r > 0;
	}
	tracker_close(&test.t);

	pr_info("%d of %zu were stepped\n", nr_stepped, ARRAY_SIZE(insns));
	TEST_ASSERT(!nr_failed, "%d of %zu are not as without tracking", nr_failed,
		    ARRAY_SIZE(insns));
	/* A walk in two dimensions is a write; that a descriptor was accessed QEMU does not say. */
	TEST_ASSERT(nr_stepped || (tg_shadowed() && !host_cpu_is_intel), "Nothing was stepped");
}

/* INT3 for ever, by a handler that faults on no table: all is as it was, each time. */
static void init_loop(struct test *test)
{
	static const uint8_t jump[] = { 0x41, 0xff, 0xe7 };	/* jmp *%r15 */
	struct kvm_vm *vm = test->x.g->vm;
	uint64_t *idt = addr_gpa2hva(vm, EXACT_IDT_GPA);
	struct kvm_regs regs;

	exact_init(&test->x, test->x.g, 64);
	init_sregs(test);
	set_descriptors(test);
	tg_map(test->x.g, FAR_PAGE, EXACT_CODE_GPA);
	idt[2 * BP_VECTOR] += TARGET - BP_HANDLER;
	idt[2 * BP_VECTOR + 1] = FAR_PAGE >> 32;
	*(uint8_t *)addr_gpa2hva(vm, EXACT_CODE_GPA) = 0xcc;
	memcpy(addr_gpa2hva(vm, TARGET), jump, sizeof(jump));
	regs = exact_regs(&test->x);
	regs.r15 = EXACT_CODE_GPA;
	exact_reset(&test->x, &regs);
}

/* What userspace allows holds for one INT3. */
static void test_asked(struct tiny_guest *g)
{
	struct test test = { .x.g = g };
	struct kvm_regs regs;
	uint64_t table;
	int i;

	if (tg_shadowed()) {
		g->skip = "KVM walks page tables that it shadows itself";
		return;
	}

	init_loop(&test);
	table = tg_entry_gpa(g, EXACT_CODE_GPA, 1) & PAGE_MASK;
	tracker_create(g->vm, &test.t, NR_EVENTS, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&test.t, table, PAGE_SIZE, TRACKER_EXIT);

	/* If it is not asked, it goes on for ever. */
	signal(SIGALRM, SIG_DFL);
	alarm(30);
	for (i = 0; i < NR_ASKED; i++) {
		vcpu_run(g->vcpu);
		TEST_ASSERT_EQ(g->vcpu->run->exit_reason, KVM_EXIT_PAGE_TRACK);
		TEST_ASSERT_EQ(g->vcpu->run->page_track.gpa & PAGE_MASK, table);
		vcpu_regs_get(g->vcpu, &regs);
		TEST_ASSERT_EQ(regs.rip, EXACT_CODE_GPA);
		g->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_ALLOW;
	}
	alarm(0);
	tracker_close(&test.t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "returns and interrupts", test_insns, TG_4LEVEL_BIT, true },
		{ "each INT3 is asked for", test_asked, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
