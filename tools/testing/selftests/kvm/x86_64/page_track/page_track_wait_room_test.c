// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker that has vCPUs wait, and a full ring: a vCPU sleeps in KVM_RUN until whoever
 * holds the tracker has read events and says so by a call.  No event is lost or doubled.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "asleep.h"
#include "cases.h"

#define NR		KVM_PAGE_TRACK_MIN_EVENTS
#define NR_STORES	100
#define NOTIFY_VA	(ASK_VA + PAGE_SIZE)
#define NOTIFY_GPA	(ASK_GPA + PAGE_SIZE)

/* A second page makes events and asks nothing. */
static void init(struct tiny_guest *g, struct tracker *t, uint32_t flags)
{
	asleep_init(g, t, flags);
	tg_map(g, NOTIFY_VA, NOTIFY_GPA);
	tracker_add(t, NOTIFY_GPA, PAGE_SIZE, TRACKER_NOTIFY);
}

static void start_stores(struct asleep *s, struct tiny_guest *g, int nr)
{
	struct kvm_regs regs = { .rdi = NOTIFY_VA, .rax = ASK_VAL, .rcx = nr };

	tg_start(g, TG_REP_STOS4, &regs);
	asleep_go_on(s, g);
}

/* Store to the second page as often, where no store has to wait. */
static void store(struct tiny_guest *g, int nr)
{
	struct kvm_regs regs = { .rdi = NOTIFY_VA, .rax = ASK_VAL, .rcx = nr };

	TEST_ASSERT(tg_run(g, TG_REP_STOS4, &regs), "It faults");
}

static void pop(struct tracker *t, struct tiny_guest *g, int i)
{
	uint32_t val = ASK_VAL;
	struct kvm_page_track_event want = tracker_write_event(g, NOTIFY_VA + 4 * i,
							       NOTIFY_GPA + 4 * i, &val, 4);

	TRACKER_ASSERT_EVENT(t, &want);
}

static void call_poll(struct tracker *t)
{
	tracker_poll(t, 0);
}

static void call_info(struct tracker *t)
{
	struct kvm_page_track_info info;

	TEST_ASSERT(!ioctl(t->fd, KVM_PAGE_TRACK_GET_INFO, &info), "errno %d", errno);
}

static void call_reply(struct tracker *t)
{
	struct kvm_page_track_event none = { .seq = ~0ul };

	TEST_ASSERT_EQ(asleep_reply(t, &none, KVM_PAGE_TRACK_REPLY_ALLOW, 0), ENOENT);
}

/* Without a call that may let the vCPU go on. */
static void await_event(struct tracker *t)
{
	time_t end = time(NULL) + ASLEEP_TIMEOUT;

	while (!tracker_count(t)) {
		TEST_ASSERT(time(NULL) < end, "The vCPU does not go on");
		sched_yield();
	}
}

static void test_full(struct tiny_guest *g)
{
	static void (* const calls[])(struct tracker *t) = { call_poll, call_info, call_reply };
	struct kvm_regs regs;
	struct asleep s;
	struct tracker t;
	int i = 0, call = 0;

	init(g, &t, 0);
	start_stores(&s, g, NR_STORES);
	while (i + NR < NR_STORES) {
		ASLEEP_ASSERT_SLEEPS(&s);
		TEST_ASSERT_EQ(tracker_count(&t), NR);

		/* There is no room yet. */
		calls[call](&t);
		ASLEEP_ASSERT_SLEEPS(&s);
		while (tracker_count(&t))
			pop(&t, g, i++);

		/* Between two elements, as the VMM sees if it stops the vCPU. */
		ASLEEP_ASSERT_SLEEPS(&s);
		ASLEEP_INTERRUPT(&s);
		vcpu_regs_get(g->vcpu, &regs);
		TEST_ASSERT_EQ(regs.rcx, NR_STORES - i);
		TEST_ASSERT_EQ(regs.rip, tg_op_rip(TG_REP_STOS4));

		/* The ring is found full as well by who comes from outside. */
		t.ring->tail -= NR;
		asleep_go_on(&s, g);
		ASLEEP_ASSERT_SLEEPS(&s);
		t.ring->tail += NR;
		calls[call](&t);
		await_event(&t);
		call = (call + 1) % ARRAY_SIZE(calls);
	}
	asleep_join(&s);
	tg_assert_ended(g);
	while (i < NR_STORES)
		pop(&t, g, i++);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* A question does not ask again for want of room, nor a reply wait for some. */
static void test_last_room(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;
	int i;

	init(g, &t, 0);
	store(g, NR - 1);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	while (tracker_count(&t) < NR)
		ASLEEP_ASSERT_SLEEPS(&s);
	event = t.events[NR - 1];
	TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	TEST_ASSERT_EQ(tracker_count(&t), NR);
	for (i = 0; i < NR - 1; i++)
		pop(&t, g, i);
	TEST_ASSERT(tracker_pop(&t, &event), "The question is not there any more");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The question waits for room, which it takes then. */
static void ask_without_room(struct tiny_guest *g, uint32_t flags)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;
	int i;

	init(g, &t, flags);
	/* The vCPU itself would wait behind the last one, if none may be lost. */
	store(g, NR - 1);
	if (flags & KVM_PAGE_TRACKER_LOSSY)
		store(g, 3);
	else
		t.ring->tail--;
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	if (!(flags & KVM_PAGE_TRACKER_LOSSY))
		t.ring->tail++;
	for (i = 0; i < NR - 1; i++)
		pop(&t, g, i);
	if (flags & KVM_PAGE_TRACKER_LOSSY) {
		TEST_ASSERT_EQ(t.ring->lost, 2);
		pop(&t, g, 0);
		t.seq += 2;
	}

	/* Tells of room, and then of the question. */
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_question(struct tiny_guest *g)
{
	ask_without_room(g, 0);
}

static void test_lossy(struct tiny_guest *g)
{
	ask_without_room(g, KVM_PAGE_TRACKER_LOSSY);
}

static void test_close(struct tiny_guest *g)
{
	struct asleep s;
	struct tracker t;

	init(g, &t, 0);
	start_stores(&s, g, NR_STORES);
	ASLEEP_ASSERT_SLEEPS(&s);
	tracker_close(&t);
	asleep_join(&s);
	tg_assert_ended(g);
	TEST_ASSERT_EQ(((uint32_t *)addr_gpa2hva(g->vm, NOTIFY_GPA))[NR_STORES - 1], ASK_VAL);
}

/* Each of two vCPUs waits, and one call lets both go on. */
static void test_two_vcpus(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep one, two;
	struct tiny_guest other;
	struct tracker t;
	int i, seen[2] = {};

	init(g, &t, 0);
	tg_add_vcpu(g, &other, 1);
	start_stores(&one, g, NR_STORES);
	start_stores(&two, &other, NR_STORES);
	for (i = 0; i < 2 * NR_STORES; i++) {
		event = asleep_get_event(&t);
		TEST_ASSERT(event.vcpu_id < 2, "vCPU %u", event.vcpu_id);
		TEST_ASSERT_EQ(event.gpa, NOTIFY_GPA + 4 * seen[event.vcpu_id]++);
	}
	asleep_join(&one);
	asleep_join(&two);
	tg_assert_ended(g);
	tg_assert_ended(&other);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a vCPU sleeps until there is room", test_full, TG_ALL_MODES },
		{ "a question takes the last room", test_last_room, TG_4LEVEL_BIT },
		{ "a question waits for room", test_question, TG_4LEVEL_BIT },
		{ "a question is not lost in a lossy ring", test_lossy, TG_4LEVEL_BIT },
		{ "a vCPU that waits for room is let go by close()", test_close, TG_4LEVEL_BIT },
		{ "two vCPUs wait for room", test_two_vcpus, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
