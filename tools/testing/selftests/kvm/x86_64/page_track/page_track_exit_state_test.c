// SPDX-License-Identifier: GPL-2.0-only
/* Action exit: what may happen while userspace has the question. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "ask.h"
#include "cases.h"

/*
 * The reply is taken with the call that it comes with, which finishes the instruction
 * and gets no further.
 */
static void reply_interrupted(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;

	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	run->page_track.reply = KVM_PAGE_TRACK_REPLY_REPLACE;
	*(uint32_t *)run->page_track.data = ASK_VAL + 1;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	TEST_ASSERT_EQ(ask_mem(g), ASK_VAL + 1);
	memset(&run->page_track, 0xff, sizeof(run->page_track));
}

static void test_immediate_exit(struct tiny_guest *g)
{
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	g->vcpu->run->immediate_exit = 1;
	reply_interrupted(g);
	g->vcpu->run->immediate_exit = 0;
	vcpu_run(g->vcpu);
	ask_assert_ended(g, ASK_VAL + 1);
	tracker_close(&t);
}

/* The signal waits until KVM_RUN lets it in, and ends it before the guest runs. */
static void test_signal(struct tiny_guest *g)
{
	uint8_t buf[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)] = {};
	struct kvm_signal_mask *none = (void *)buf;
	struct tracker t;
	sigset_t usr1;
	int got;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	TEST_ASSERT(!sigprocmask(SIG_BLOCK, &usr1, NULL), "Cannot block a signal");
	none->len = sizeof(uint64_t);
	vcpu_ioctl(g->vcpu, KVM_SET_SIGNAL_MASK, none);

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	raise(SIGUSR1);
	reply_interrupted(g);
	TEST_ASSERT(!sigwait(&usr1, &got) && got == SIGUSR1, "Another signal");
	vcpu_run(g->vcpu);
	ask_assert_ended(g, ASK_VAL + 1);
	tracker_close(&t);
}

/* The state of the vCPU is that before the instruction: another one asks again. */
static void test_migration(struct tiny_guest *g)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct tiny_guest other;
	struct tracker t;

	ask_init(g, &t, 1);
	tg_add_vcpu(g, &other, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);

	vcpu_regs_get(g->vcpu, &regs);
	vcpu_sregs_get(g->vcpu, &sregs);
	vcpu_events_get(g->vcpu, &events);
	vcpu_sregs_set(other.vcpu, &sregs);
	vcpu_regs_set(other.vcpu, &regs);
	vcpu_events_set(other.vcpu, &events);

	vcpu_run(other.vcpu);
	ASK_ASSERT_ASKED(&other, 1, ASK_VAL);
	ask_reply(&other, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(&other, ASK_VAL);
	tracker_close(&t);
}

/* The instruction is past the debugger's breakpoint on it, and does not meet it again. */
static void test_breakpoint(struct tiny_guest *g)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg = { [0] = tg_op_rip(TG_STORE4), [7] = 0x401 },
	};
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	vcpu_guest_debug_set(g->vcpu, &debug);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);

	debug.control = 0;
	vcpu_guest_debug_set(g->vcpu, &debug);
	tracker_close(&t);
}

/* Userspace may have done the write itself, or whatever it likes. */
static void test_new_rip(struct tiny_guest *g)
{
	struct kvm_regs regs;
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip += 2;	/* mov %eax, (%rdi) */
	vcpu_regs_set(g->vcpu, &regs);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, 0);

	/* The reply was for nothing: the write asks as if it had not been. */
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&t);
}

/* The same address and instruction, but not those that the reply was for. */
static void test_new_cr3(struct tiny_guest *g)
{
	uint64_t root = tg_new_root(g), old = g->root;
	struct kvm_sregs sregs;
	struct tracker t;

	ask_init(g, &t, 1);
	g->root = root;
	tg_map(g, ASK_VA, ASK_GPA);
	g->root = old;

	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.cr3 = root;
	vcpu_sregs_set(g->vcpu, &sregs);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&t);
}

static void test_close(struct tiny_guest *g)
{
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	tracker_close(&t);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);

	/* Nobody tracks the page, so nobody keeps the guest from writing. */
	ask_assert_ended(g, ASK_VAL);
}

/* The VM ends with a question that nobody answers. */
static void test_no_reply(struct tiny_guest *g)
{
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	tracker_close(&t);
}

/* What was allowed is what is written, or userspace is asked for what there is now. */
static void test_other_data(struct tiny_guest *g)
{
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_LOCK_OR4, 0x1);
	ASK_ASSERT_ASKED(g, 1, 0x1);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0x100;
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ASK_ASSERT_ASKED(g, 1, 0x101);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, 0x101);

	/* The same goes for what it wants instead. */
	ask_start(g, TG_LOCK_OR4, 0x2);
	ASK_ASSERT_ASKED(g, 1, 0x103);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0x1000;
	ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, 0x1002);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&t);
}

/* The question was never with userspace, and is not any more what the vCPU is at. */
static void test_unemulated_new_rip(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA };
	struct tracker full, t;
	struct kvm_run *run = g->vcpu->run;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	tracker_create(g->vm, &full, KVM_PAGE_TRACK_MIN_EVENTS, 0, 1);
	tracker_add(&full, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	ask_init(g, &t, 2);
	for (i = 0; i < KVM_PAGE_TRACK_MIN_EVENTS - 1; i++) {
		ask_start(g, TG_STORE4, ASK_VAL);
		ASK_ASSERT_ASKED(g, 2, ASK_VAL);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		ask_assert_ended(g, ASK_VAL);
	}

	/* The event of the first tracker fills its ring, which comes before. */
	tg_start(g, TG_FXSAVE, &regs);
	vcpu_run(g->vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
	TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_RING_FULL);
	TEST_ASSERT_EQ(run->page_track.user_data, 1);
	tracker_close(&full);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip = tg_op_rip(TG_STORE4);
	vcpu_regs_set(g->vcpu, &regs);

	vcpu_run(g->vcpu);
	ASK_ASSERT_ASKED(g, 2, 0);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, 0);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a reply is followed with immediate_exit", test_immediate_exit, TG_4LEVEL_BIT },
		{ "a reply is followed with a signal", test_signal, TG_4LEVEL_BIT },
		{ "another vCPU with the state asks again", test_migration, TG_4LEVEL_BIT },
		{ "a breakpoint on the instruction is behind it", test_breakpoint,
		  TG_4LEVEL_BIT },
		{ "a vCPU led elsewhere does not write", test_new_rip, TG_4LEVEL_BIT },
		{ "a vCPU led to another address space asks again", test_new_cr3, TG_4LEVEL_BIT },
		{ "a tracker is closed before the reply", test_close, TG_4LEVEL_BIT },
		{ "a VM ends without a reply", test_no_reply, TG_4LEVEL_BIT },
		{ "a reply holds for what was asked", test_other_data, TG_4LEVEL_BIT },
		{ "a question is not for a vCPU led elsewhere", test_unemulated_new_rip,
		  TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
