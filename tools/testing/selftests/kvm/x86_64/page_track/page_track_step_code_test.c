// SPDX-License-Identifier: GPL-2.0-only
/*
 * The code changes between KVM's look at an instruction, which the CPU can step, and the
 * step: a SYSCALL or an INT that comes instead saves the flags of the guest, and not those
 * of the step, and the guest goes on with its own.
 */
#include <pthread.h>
#include <string.h>

#include "cases.h"
#include "exact.h"
#include "kselftest.h"

#define NR_EVENTS	64
#define INT_VECTOR	0x19
#define TRAP_FLAG	0x100ul
#define RF		0x10000ul
#define STACK		(EXACT_STACK_GPA + 0x800)

/*
 * What is stepped, and what comes instead.  They differ in one byte: CPUs do not read an
 * instruction at once.  Nothing follows a SYSCALL.
 */
static const uint8_t syscalls[2][4] = {
	{ 0x0f, 0xae, 0x07, 0x90 },		/* fxsave (%rdi) */
	{ 0x0f, 0x05, 0x07, 0x90 },
};

static const uint8_t ints[2][4] = {
	{ 0xd9, INT_VECTOR, 0x90, 0x90 },	/* fstps (%rcx) */
	{ 0xcd, INT_VECTOR, 0x90, 0x90 },
};

static int nr_rounds;

struct flipper {
	pthread_t thread;
	uint32_t *code;
	uint32_t insns[2];
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	int i;

	for (i = 0; !READ_ONCE(f->stop); i++)
		WRITE_ONCE(*f->code, f->insns[i & 1]);
	return NULL;
}

static void set_syscall(struct tiny_guest *g)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.efer |= EFER_SCE;
	vcpu_sregs_set(g->vcpu, &sregs);
	vcpu_set_msr(g->vcpu, MSR_STAR, 8ull << 32);
	vcpu_set_msr(g->vcpu, MSR_LSTAR, EXACT_LANDING);
	vcpu_set_msr(g->vcpu, MSR_SYSCALL_MASK, EXACT_IF | TRAP_FLAG);
}

/* The flags that SYSCALL, or INT, has saved; 0 if it was neither. */
static uint64_t saved_flags(struct exact *x, const struct exact_outcome *o)
{
	if (o->vector == INT_VECTOR)
		return o->regs.rflags;
	return o->regs.rip >= EXACT_LANDING && o->regs.rip < EXACT_STACK_GPA ? o->regs.r11 : 0;
}

static void race(struct exact *x, struct tracker *t, const uint8_t insns[2][4])
{
	struct flipper f = { .code = addr_gpa2hva(x->g->vm, EXACT_CODE_GPA) };
	struct kvm_regs regs = exact_regs(x);
	struct kvm_page_track_event e;
	static struct exact_outcome o;
	int nr = 0, nr_steps = 0, i;
	uint64_t flags;

	regs.rsp = STACK;
	regs.rcx = regs.rdi;
	memcpy(f.insns, insns, sizeof(f.insns));
	memcpy(f.code + 1, (uint8_t []){ 0xe6, EXACT_END_PORT, 0xf4, 0xf4 }, 4);
	pthread_create(&f.thread, NULL, flip, &f);

	for (i = 0; i < nr_rounds; i++) {
		WRITE_ONCE(*f.code, f.insns[i & 1]);
		exact_reset(x, &regs);
		exact_run(x, &o);
		TEST_ASSERT(exact_has_ended(&o) || o.vector == INT_VECTOR,
			    "Exit %u, vector %d, error code 0x%x, rip 0x%llx", o.exit, o.vector,
			    o.error_code, o.regs.rip);

		flags = saved_flags(x, &o);
		if (flags) {
			TEST_ASSERT_EQ(flags & ~RF, regs.rflags);
			nr++;
		} else {
			TEST_ASSERT_EQ(o.regs.rflags, regs.rflags);
		}
		while (tracker_pop_finished(t, &e)) {
			nr_steps += !!(e.flags & KVM_PAGE_TRACK_EVENT_STEPPED);
			/* The fault was of one, and the emulator has seen the other. */
			if (e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED)
				tracker_add(t, EXACT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
		}
	}

	WRITE_ONCE(f.stop, true);
	pthread_join(f.thread, NULL);
	pr_info("%d steps, %d of the other instruction\n", nr_steps, nr);
	TEST_ASSERT(nr_steps && nr, "One of the two never came");
}

static void test_code(struct tiny_guest *g, const uint8_t insns[2][4])
{
	struct tracker t;
	struct exact x;

	exact_init(&x, g, 64);
	set_syscall(g);
	tracker_create(g->vm, &t, NR_EVENTS, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, EXACT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	race(&x, &t, insns);
	tracker_close(&t);
}

static void test_syscall(struct tiny_guest *g)
{
	test_code(g, syscalls);
}

static void test_int(struct tiny_guest *g)
{
	test_code(g, ints);
}

/* The CPU's walk for UD2 faults on a tracked page table, where those are not shadowed. */
static void test_undefined(struct tiny_guest *g)
{
	static struct exact_outcome o;
	struct kvm_regs regs;
	struct tracker t;
	struct exact x;
	uint64_t gpa;

	exact_init(&x, g, 64);
	gpa = tg_entry_gpa(g, EXACT_CODE_GPA, 1) & PAGE_MASK;
	memcpy(addr_gpa2hva(g->vm, EXACT_CODE_GPA), (uint8_t []){ 0x0f, 0x0b }, 2);
	regs = exact_regs(&x);
	tracker_create(g->vm, &t, NR_EVENTS, KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_LOSSY, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_NOTIFY);
	exact_reset(&x, &regs);
	exact_run(&x, &o);
	TEST_ASSERT(o.vector == UD_VECTOR, "Errno %d, exit %u, vector %d", o.err, o.exit,
		    o.vector);
	TEST_ASSERT_EQ(o.regs.rip, regs.rip);
	/* NPT walks the guest's tables as if it wrote to them. */
	TEST_ASSERT(tg_shadowed() || host_cpu_is_intel || tracker_count(&t),
		    "Nothing was stepped");
	tracker_close(&t);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "SYSCALL comes instead", test_syscall, TG_4LEVEL_BIT, true },
		{ "INT comes instead", test_int, TG_4LEVEL_BIT, true },
		{ "an undefined instruction", test_undefined, TG_4LEVEL_BIT, true },
	};

	nr_rounds = tg_get_rounds(argc, argv, 1000);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
