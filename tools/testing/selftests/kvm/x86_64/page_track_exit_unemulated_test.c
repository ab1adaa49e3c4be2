// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit and an instruction that KVM cannot emulate: userspace is asked while the
 * page is tracked, and nobody writes there before it allows that (finding 5).
 */
#include <errno.h>

#include "page_track_exit.h"

#define FXSAVE_FCW	0x37f

static void assert_asked(struct pt_guest *g, uint64_t id)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "exit reason %u (%s)", run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT_EQ(run->page_track.user_data, id);
	TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       KVM_PAGE_TRACK_EVENT_UNEMULATED);
	TEST_ASSERT_EQ(run->page_track.gpa, EXIT_GPA);
	TEST_ASSERT_EQ(run->page_track.len, 0);
	TEST_ASSERT_EQ(run->page_track.mode, KVM_PAGE_TRACK_MODE_WRITE);
	TEST_ASSERT_EQ(run->page_track.reply, KVM_PAGE_TRACK_REPLY_ALLOW);
	TEST_ASSERT_EQ(exit_mem(g), 0);
}

static void ask(struct pt_guest *g, uint64_t id)
{
	exit_start(g, PT_FXSAVE, 0);
	assert_asked(g, id);
}

static bool is_tracked(struct tracker *t)
{
	struct kvm_page_track_range range;

	return !tracker_next(t, EXIT_GPA, &range) && range.gpa == EXIT_GPA;
}

static void test_question(struct pt_guest *g)
{
	static const uint8_t bad[] = {
		KVM_PAGE_TRACK_REPLY_SKIP, KVM_PAGE_TRACK_REPLY_REPLACE, 0xff
	};
	struct tracker t;
	int i;

	exit_init(g, &t, 1);
	ask(g, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		TEST_ASSERT(is_tracked(&t), "The page was given up unasked");
		g->vcpu->run->page_track.reply = bad[i];
		TEST_ASSERT(_vcpu_run(g->vcpu) == -1 && errno == EINVAL, "Reply %u, errno %d",
			    bad[i], errno);
	}
	TEST_ASSERT(is_tracked(&t), "The page was given up unasked");
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)exit_mem(g), FXSAVE_FCW);
	TEST_ASSERT(!is_tracked(&t), "The page is tracked still");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Meanwhile another vCPU stores there, and may not. */
static void test_other_vcpu(struct pt_guest *g)
{
	struct pt_guest other;
	struct tracker t;

	exit_init(g, &t, 1);
	pt_add_vcpu(g, &other, 1);
	ask(g, 1);
	exit_start(&other, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(&other, 1, EXIT_VAL);
	exit_reply(&other, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	exit_assert_ended(&other, 0);

	/* As both want it, the first reply is for both. */
	exit_start(&other, PT_FXSAVE, 0);
	assert_asked(&other, 1);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(g);
	exit_reply(&other, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(&other);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The instruction is not what the vCPU does next: the page stays. */
static void test_led_elsewhere(struct pt_guest *g)
{
	struct kvm_regs regs;
	struct tracker t;

	exit_init(g, &t, 1);
	ask(g, 1);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip = pt_op_rip(PT_LOAD);
	vcpu_regs_set(g->vcpu, &regs);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	exit_assert_ended(g, 0);
	TEST_ASSERT(is_tracked(&t), "The page was given up for nothing");
	tracker_close(&t);
}

static void test_range_changes(struct pt_guest *g)
{
	struct kvm_page_track_event got;
	struct tracker t;

	exit_init(g, &t, 1);
	ask(g, 1);
	tracker_remove(&t, EXIT_GPA, PAGE_SIZE);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(g);

	/* With another action, that is what counts. */
	*(uint32_t *)addr_gpa2hva(g->vm, EXIT_GPA) = 0;
	tracker_add(&t, EXIT_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask(g, 1);
	tracker_add(&t, EXIT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(g);
	TEST_ASSERT(tracker_pop(&t, &got), "No event");
	TEST_ASSERT_EQ(got.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       KVM_PAGE_TRACK_EVENT_UNTRACKED | KVM_PAGE_TRACK_EVENT_UNEMULATED);
	TRACKER_ASSERT_EMPTY(&t);

	/* Without the tracker, there is nothing to give up. */
	*(uint32_t *)addr_gpa2hva(g->vm, EXIT_GPA) = 0;
	tracker_add(&t, EXIT_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask(g, 1);
	tracker_close(&t);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	pt_assert_ended(g);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "the page is tracked until userspace allows", test_question, PT_4LEVEL_BIT },
		{ "another vCPU asks meanwhile", test_other_vcpu, PT_4LEVEL_BIT },
		{ "a vCPU led elsewhere gives nothing up", test_led_elsewhere, PT_4LEVEL_BIT },
		{ "the range changes before the reply", test_range_changes, PT_4LEVEL_BIT },
	};

	tracker_require();
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
