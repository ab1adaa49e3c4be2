// SPDX-License-Identifier: GPL-2.0-only
/*
 * The code of a nested guest changes between KVM's look at an instruction and the step: a
 * SYSCALL that comes instead saves L2's flags, and not those of the step.  As
 * page_track_step_code_test, which says more.
 */
#include <pthread.h>
#include <string.h>

#include "cases.h"
#include "kselftest.h"
#include "nested_op.h"
#include "processor.h"
#include "tracker.h"

#define NR_EVENTS	64
#define TRAP_FLAG	0x100ul
#define INTERRUPT_FLAG	0x200ul

/* FXSAVE is 0f ae, SYSCALL 0f 05. */
#define FXSAVE_BYTE	0xae
#define SYSCALL_BYTE	0x05

/* Where L2 has the instruction; how often it was SYSCALL, and how often with other flags. */
static uint64_t insn, nr_syscalls, nr_bad;

static void l2_once(void)
{
	uint64_t msr = MSR_LSTAR;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, 8ull << 32);
	wrmsr(MSR_SYSCALL_MASK, TRAP_FLAG | INTERRUPT_FLAG);

	/* What the compiler has below its stack stays. */
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "lea 1f(%%rip), %%rax\n\tmov %%rax, %[insn]\n\t"
		     "lea 2f(%%rip), %%rax\n\tmov %%rax, %%rdx\n\tshr $32, %%rdx\n\twrmsr\n\t"
		     "jmp 1f\n\t"
		     ".balign 8\n"
		     "1:\tfxsave (%%rdi)\n\t"
		     "jmp 4f\n"
		     "2:\tincq %[syscalls]\n\t"
		     "mov %%r11, %%rax\n\tand $0x300, %%eax\n\tcmp $0x200, %%eax\n\tje 3f\n\t"
		     "incq %[bad]\n"
		     "3:\tpush %%r11\n\tpopfq\n"
		     "4:\tlea 128(%%rsp), %%rsp"
		     : "+c"(msr), [insn] "=m"(insn), [syscalls] "+m"(nr_syscalls),
		       [bad] "+m"(nr_bad)
		     : "D"(NESTED_OP_VA)
		     : "rax", "rdx", "r11", "cc", "memory");
}

struct flipper {
	pthread_t thread;
	uint8_t *byte;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	int i;

	for (i = 0; !READ_ONCE(f->stop); i++)
		WRITE_ONCE(*f->byte, i & 1 ? FXSAVE_BYTE : SYSCALL_BYTE);
	return NULL;
}

static const struct nested_op op = { NESTED_OP_CALL, .fn = l2_once };

static void race(struct nested_vm *n, struct tracker *t, uint8_t *byte, int nr_rounds)
{
	struct nested_op_outcome o;
	struct kvm_page_track_event e;
	int i;

	for (i = 0; i < nr_rounds; i++) {
		WRITE_ONCE(*byte, i & 1 ? FXSAVE_BYTE : SYSCALL_BYTE);
		nested_op_run(n, &op, &o);
		TEST_ASSERT(!o.nr_exceptions && !o.exit, "Vector %lu, exit 0x%lx", o.vector,
			    o.exit);
		while (tracker_pop(t, &e)) {
			/* The fault was of one, and the emulator has seen the other. */
			if (e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED)
				tracker_add(t, n->gpa, PAGE_SIZE, TRACKER_NOTIFY);
		}
	}
}

static void test(bool tdp, int nr_rounds)
{
	struct nested_op_outcome o;
	struct flipper f = {};
	struct nested_vm n;
	struct tracker t;
	uint64_t steps;

	nested_op_create(&n, tdp);
	nested_op_run(&n, &op, &o);
	sync_global_from_guest(n.vm, insn);
	tracker_create(n.vm, &t, NR_EVENTS, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, n.gpa, PAGE_SIZE, TRACKER_NOTIFY);

	f.byte = (uint8_t *)addr_gva2hva(n.vm, insn) + 1;
	pthread_create(&f.thread, NULL, flip, &f);
	race(&n, &t, f.byte, nr_rounds);
	WRITE_ONCE(f.stop, true);
	pthread_join(f.thread, NULL);

	sync_global_from_guest(n.vm, nr_syscalls);
	sync_global_from_guest(n.vm, nr_bad);
	steps = vm_get_stat(n.vm, "page_track_steps");
	pr_info("%lu steps, %lu of the other instruction\n", steps, nr_syscalls);
	TEST_ASSERT(steps && nr_syscalls, "One of the two never came");
	TEST_ASSERT(!nr_bad, "%lu have saved other flags", nr_bad);

	tracker_close(&t);
	kvm_vm_free(n.vm);
}

int main(int argc, char *argv[])
{
	int nr_rounds = tg_get_rounds(argc, argv, 500);

	tracker_require();
	test(false, nr_rounds);
	if (kvm_is_tdp_enabled())
		test(true, nr_rounds);
	return 0;
}
