// SPDX-License-Identifier: GPL-2.0-only
/* Action exit: several trackers of one page. */
#include "ask.h"
#include "cases.h"

/* The second is asked for what the first wants.  Skip is stricter than all else. */
static void test_two_trackers(struct tiny_guest *g)
{
	static const struct {
		uint8_t reply;
		uint32_t val, asked;	/* of the first to replace; of the second */
		uint8_t second_reply;
		uint32_t second_val, want;
	} rounds[] = {
		{ KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1, ASK_VAL + 1,
		  KVM_PAGE_TRACK_REPLY_ALLOW, 0, ASK_VAL + 1 },
		{ KVM_PAGE_TRACK_REPLY_ALLOW, 0, ASK_VAL,
		  KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 2, ASK_VAL + 2 },
		{ KVM_PAGE_TRACK_REPLY_SKIP, 0, ASK_VAL,
		  KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 3, ASK_VAL + 2 },
		{ KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 3, ASK_VAL + 3,
		  KVM_PAGE_TRACK_REPLY_SKIP, 0, ASK_VAL + 2 },
	};
	struct tracker first, second;
	int i;

	ask_init(g, &first, 1);
	ask_init(g, &second, 2);
	for (i = 0; i < ARRAY_SIZE(rounds); i++) {
		ask_start(g, TG_STORE4, ASK_VAL);
		ASK_ASSERT_ASKED(g, 1, ASK_VAL);
		ask_reply(g, rounds[i].reply, rounds[i].val);
		ASK_ASSERT_ASKED(g, 2, rounds[i].asked);
		ask_reply(g, rounds[i].second_reply, rounds[i].second_val);
		ask_assert_ended(g, rounds[i].want);
	}

	tracker_close(&first);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&second);
}

/* Whoever comes in between is asked, whether its turn is over or not. */
static void test_new_tracker(struct tiny_guest *g)
{
	struct tracker first, second;

	tracker_create(g->vm, &first, 64, 0, 1);
	ask_init(g, &second, 2);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL);
	tracker_add(&first, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL + 1);

	/* If it wants something else, the reply of the second is not for that. */
	tracker_remove(&first, ASK_GPA, PAGE_SIZE);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL);
	tracker_add(&first, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 2);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL + 2);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL + 2);

	TRACKER_ASSERT_EMPTY(&first);
	TRACKER_ASSERT_EMPTY(&second);
	tracker_close(&first);
	tracker_close(&second);
}

/* One after the other. */
static void test_many_trackers(struct tiny_guest *g)
{
	struct tracker t[7];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ask_init(g, &t[i], i);

	ask_start(g, TG_STORE4, ASK_VAL);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASK_ASSERT_ASKED(g, i, ASK_VAL + i);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + i + 1);
	}
	ask_assert_ended(g, ASK_VAL + i);

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		TRACKER_ASSERT_EMPTY(&t[i]);
		tracker_close(&t[i]);
	}
}

/* Each is asked before it loses the page. */
static void test_two_unemulated(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct tracker first, second;
	int i;

	ask_init(g, &first, 1);
	ask_init(g, &second, 2);
	ask_start(g, TG_FXSAVE, ASK_VAL);
	for (i = 1; i <= 2; i++) {
		TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
		TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_ACCESS);
		TEST_ASSERT_EQ(run->page_track.user_data, i);
		TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
			       KVM_PAGE_TRACK_EVENT_UNEMULATED);
		TEST_ASSERT_EQ(ask_mem(g), 0);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	}
	tg_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)ask_mem(g), 0x37f);
	tracker_close(&first);
	tracker_close(&second);
}

/* The others see what becomes of the write, if it is written. */
static void test_other_actions(struct tiny_guest *g)
{
	struct tracker exit, notify, once;
	struct kvm_page_track_event want, got;
	uint32_t val = ASK_VAL + 1;

	tracker_create(g->vm, &notify, 64, 0, 3);
	tracker_add(&notify, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_create(g->vm, &once, 64, 0, 4);
	tracker_add(&once, ASK_GPA, PAGE_SIZE, TRACKER_ONCE);
	ask_init(g, &exit, 1);

	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&notify);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ask_assert_ended(g, 0);
	TRACKER_ASSERT_EMPTY(&notify);

	/* It has told that the guest wanted to write, and has not stopped exit. */
	TEST_ASSERT(tracker_pop(&once, &got), "No event of the first access");
	TEST_ASSERT_EQ(got.flags & ~KVM_PAGE_TRACK_EVENT_GVA, KVM_PAGE_TRACK_EVENT_UNTRACKED);

	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, val);
	ask_assert_ended(g, val);
	want = tracker_write_event(g, ASK_VA, ASK_GPA, &val, 4);
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
	static const struct tg_case cases[] = {
		{ "two trackers are asked, the strictest wins", test_two_trackers, TG_ALL_MODES },
		{ "a tracker that comes in between is asked", test_new_tracker, TG_4LEVEL_BIT },
		{ "many trackers are asked once each", test_many_trackers, TG_4LEVEL_BIT },
		{ "two trackers are asked for an unemulated write", test_two_unemulated,
		  TG_4LEVEL_BIT },
		{ "other actions see what was written", test_other_actions, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
