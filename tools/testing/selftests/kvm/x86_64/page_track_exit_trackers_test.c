// SPDX-License-Identifier: GPL-2.0-only
/* Action exit: several trackers of one page. */
#include "page_track_exit.h"

static void test_two_trackers(struct pt_guest *g)
{
	struct tracker first, second;

	exit_init(g, &first, 1);
	exit_init(g, &second, 2);

	/* The second is asked for what the first wants. */
	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 1);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL + 1);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	exit_assert_ended(g, EXIT_VAL + 1);

	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 2);
	exit_assert_ended(g, EXIT_VAL + 2);

	/* Skip is stricter than all else. */
	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 3);
	exit_assert_ended(g, EXIT_VAL + 2);

	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 3);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL + 3);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	exit_assert_ended(g, EXIT_VAL + 2);

	tracker_close(&first);
	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	exit_assert_ended(g, EXIT_VAL);
	tracker_close(&second);
}

/* Whoever comes in between is asked, whether its turn is over or not. */
static void test_new_tracker(struct pt_guest *g)
{
	struct tracker first, second;

	tracker_create(g->vm, &first, 64, 0, 1);
	exit_init(g, &second, 2);
	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL);
	tracker_add(&first, EXIT_GPA, PAGE_SIZE, TRACKER_EXIT);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 1);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	exit_assert_ended(g, EXIT_VAL + 1);

	/* If it wants something else, the reply of the second is not for that. */
	tracker_remove(&first, EXIT_GPA, PAGE_SIZE);
	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL);
	tracker_add(&first, EXIT_GPA, PAGE_SIZE, TRACKER_EXIT);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + 2);
	EXIT_ASSERT_ASKED(g, 2, EXIT_VAL + 2);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	exit_assert_ended(g, EXIT_VAL + 2);

	TRACKER_ASSERT_EMPTY(&first);
	TRACKER_ASSERT_EMPTY(&second);
	tracker_close(&first);
	tracker_close(&second);
}

/* One after the other. */
static void test_many_trackers(struct pt_guest *g)
{
	struct tracker t[7];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		exit_init(g, &t[i], i);

	exit_start(g, PT_STORE4, EXIT_VAL);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXIT_ASSERT_ASKED(g, i, EXIT_VAL + i);
		exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, EXIT_VAL + i + 1);
	}
	exit_assert_ended(g, EXIT_VAL + i);

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		TRACKER_ASSERT_EMPTY(&t[i]);
		tracker_close(&t[i]);
	}
}

/* Each is asked before it loses the page. */
static void test_two_unemulated(struct pt_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct tracker first, second;
	int i;

	exit_init(g, &first, 1);
	exit_init(g, &second, 2);
	exit_start(g, PT_FXSAVE, EXIT_VAL);
	for (i = 1; i <= 2; i++) {
		TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
		TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_ACCESS);
		TEST_ASSERT_EQ(run->page_track.user_data, i);
		TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
			       KVM_PAGE_TRACK_EVENT_UNEMULATED);
		TEST_ASSERT_EQ(exit_mem(g), 0);
		exit_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	}
	pt_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)exit_mem(g), 0x37f);
	tracker_close(&first);
	tracker_close(&second);
}

/* The others see what becomes of the write, if it is written. */
static void test_other_actions(struct pt_guest *g)
{
	struct tracker exit, notify, once;
	struct kvm_page_track_event want, got;
	uint32_t val = EXIT_VAL + 1;

	tracker_create(g->vm, &notify, 64, 0, 3);
	tracker_add(&notify, EXIT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_create(g->vm, &once, 64, 0, 4);
	tracker_add(&once, EXIT_GPA, PAGE_SIZE, TRACKER_ONCE);
	exit_init(g, &exit, 1);

	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	TRACKER_ASSERT_EMPTY(&notify);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	exit_assert_ended(g, 0);
	TRACKER_ASSERT_EMPTY(&notify);

	/* It has told that the guest wanted to write, and has not stopped exit. */
	TEST_ASSERT(tracker_pop(&once, &got), "No event of the first access");
	TEST_ASSERT_EQ(got.flags & ~KVM_PAGE_TRACK_EVENT_GVA, KVM_PAGE_TRACK_EVENT_UNTRACKED);

	exit_start(g, PT_STORE4, EXIT_VAL);
	EXIT_ASSERT_ASKED(g, 1, EXIT_VAL);
	exit_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, val);
	exit_assert_ended(g, val);
	want = tracker_write_event(g, EXIT_VA, EXIT_GPA, &val, 4);
	TRACKER_ASSERT_EVENT(&notify, &want);
	TRACKER_ASSERT_EMPTY(&notify);
	TRACKER_ASSERT_EMPTY(&once);
	TRACKER_ASSERT_EMPTY(&exit);
	tracker_close(&once);
	tracker_close(&notify);
	tracker_close(&exit);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "two trackers are asked, the strictest wins", test_two_trackers, PT_ALL_MODES },
		{ "a tracker that comes in between is asked", test_new_tracker, PT_4LEVEL_BIT },
		{ "many trackers are asked once each", test_many_trackers, PT_4LEVEL_BIT },
		{ "two trackers are asked for an unemulated write", test_two_unemulated,
		  PT_4LEVEL_BIT },
		{ "other actions see what was written", test_other_actions, PT_4LEVEL_BIT },
	};

	tracker_require();
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
