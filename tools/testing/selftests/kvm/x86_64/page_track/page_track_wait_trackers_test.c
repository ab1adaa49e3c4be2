// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several trackers of one page, of which some have vCPUs wait, and ranges and trackers
 * that go while a vCPU sleeps.
 */
#include <errno.h>
#include <string.h>

#include "asleep.h"
#include "cases.h"

/* Each is asked in its turn, and for what the one before wants. */
static void test_two(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker first, second;
	struct asleep s;

	asleep_init(g, &first, 0);
	asleep_init(g, &second, 0);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&first, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TRACKER_ASSERT_EMPTY(&second);
	TEST_ASSERT_EQ(asleep_reply(&second, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	TEST_ASSERT_EQ(asleep_reply(&first, &event, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1),
		       0);
	event = ASLEEP_GET_QUESTION(&second, g, ASK_VAL + 1);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&second, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	TRACKER_ASSERT_EMPTY(&first);
	TRACKER_ASSERT_EMPTY(&second);
	tracker_close(&first);
	tracker_close(&second);
}

/* One has the VMM asked, which knows it, the other an event. */
static void test_mixed(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker vmm, wait;
	struct asleep s;

	/* First the VMM: its reply leads to the question of the other one. */
	ask_init(g, &vmm, 1);
	asleep_init(g, &wait, 0);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&wait);
	g->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_REPLACE;
	*(uint32_t *)g->vcpu->run->page_track.data = ASK_VAL + 1;
	asleep_go_on(&s, g);
	event = ASLEEP_GET_QUESTION(&wait, g, ASK_VAL + 1);
	ASLEEP_ASSERT_SLEEPS(&s);
	ASLEEP_INTERRUPT(&s);
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&wait, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	TRACKER_ASSERT_EMPTY(&wait);
	tracker_close(&vmm);
	tracker_close(&wait);
}

/* The other way round: the reply to the event leads to an exit. */
static void test_mixed_exit_last(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker vmm, wait;
	struct asleep s;

	asleep_init(g, &wait, 0);
	ask_init(g, &vmm, 1);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&wait, g, ASK_VAL);
	ASLEEP_INTERRUPT(&s);
	TEST_ASSERT_EQ(asleep_reply(&wait, &event, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1), 0);
	vcpu_run(g->vcpu);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL + 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ask_assert_ended(g, 0);
	TRACKER_ASSERT_EMPTY(&wait);
	tracker_close(&vmm);
	tracker_close(&wait);
}

/* The range goes: the store is done unasked, and nobody takes a reply. */
static void test_remove(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	tracker_add(&t, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_EXIT);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);

	/* Calls that leave the page what it is do not. */
	tracker_remove(&t, ASK_GPA + PAGE_SIZE, PAGE_SIZE);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	tracker_add(&t, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_REMOVE_RANGE, ASK_GPA, 0, 0), EINVAL);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_ADD_RANGE, ASK_GPA, PAGE_SIZE, 3),
		       EINVAL);
	ASLEEP_ASSERT_SLEEPS(&s);

	tracker_remove(&t, ASK_GPA, PAGE_SIZE);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* With another action, that is what counts. */
static void test_notify(struct tiny_guest *g)
{
	struct kvm_page_track_event event, want;
	uint32_t val = ASK_VAL;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	want = tracker_write_event(g, ASK_VA, ASK_GPA, &val, 4);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Of two that are asked, one goes: the other's question is open still. */
static void test_one_goes(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker first, second;
	struct asleep s;

	asleep_init(g, &first, 0);
	asleep_init(g, &second, 0);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&first, g, ASK_VAL);
	tracker_close(&first);
	event = ASLEEP_GET_QUESTION(&second, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&second, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	tracker_close(&second);
}

/* Trackers are closed while vCPUs ask: each store is done, or skipped, and none hangs. */
#define NR_ROUNDS	100

static bool stop;

static void *store_on(void *arg)
{
	struct tiny_guest *g = arg;
	uint32_t i;

	for (i = 0; !READ_ONCE(stop); i++) {
		ask_start(g, TG_STORE4, i);
		ask_assert_ended(g, i);
	}
	return NULL;
}

static void test_race(struct tiny_guest *g)
{
	struct timespec end;
	struct tracker t;
	pthread_t thread;
	int i, r, nr_asked = 0;

	tg_map(g, ASK_VA, ASK_GPA);
	WRITE_ONCE(stop, false);
	pthread_create(&thread, NULL, store_on, g);
	for (i = 0; i < NR_ROUNDS; i++) {
		tracker_create(g->vm, &t, KVM_PAGE_TRACK_MIN_EVENTS, KVM_PAGE_TRACKER_WAIT, 0);
		tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
		if (i % 2)
			nr_asked += tracker_poll(&t, ASLEEP_TIMEOUT * 1000);
		tracker_close(&t);
	}
	WRITE_ONCE(stop, true);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += ASLEEP_TIMEOUT;
	r = pthread_timedjoin_np(thread, NULL, &end);
	TEST_ASSERT(!r, "A vCPU sleeps for a tracker that has gone");
	TEST_ASSERT_EQ(nr_asked, NR_ROUNDS / 2);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "two trackers are asked in turn", test_two, TG_ALL_MODES },
		{ "the VMM is asked, then another process", test_mixed, TG_4LEVEL_BIT },
		{ "another process is asked, then the VMM", test_mixed_exit_last,
		  TG_4LEVEL_BIT },
		{ "the range is removed while a vCPU sleeps", test_remove, TG_4LEVEL_BIT },
		{ "the action changes while a vCPU sleeps", test_notify, TG_4LEVEL_BIT },
		{ "one of two trackers is closed", test_one_goes, TG_4LEVEL_BIT },
		{ "trackers are closed while a vCPU asks", test_race, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
