// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit: what may happen while userspace has the question, and several trackers
 * of one page.
 */
#include <errno.h>
#include <string.h>

#include "page_tracker.h"

#define VA	0x40000000ul
#define GPA	pt_data(0)
#define VAL	0x600df00du

static void init(struct pt_guest *g, struct tracker *t, uint64_t id)
{
	pt_map(g, VA, GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, GPA) = 0;
	tracker_create(g->vm, t, 64, 0, id);
	tracker_add(t, GPA, PAGE_SIZE, TRACKER_EXIT);
}

static uint32_t mem(struct pt_guest *g)
{
	return *(uint32_t *)addr_gpa2hva(g->vm, GPA);
}

static void start(struct pt_guest *g, enum pt_op op, uint32_t val)
{
	struct kvm_regs regs = { .rdi = VA, .rax = val };

	pt_start(g, op, &regs);
	vcpu_run(g->vcpu);
}

#define assert_asked(g, id, val) assert_asked_at(g, id, val, __FILE__, __LINE__)

static void assert_asked_at(struct pt_guest *g, uint64_t id, uint32_t val, const char *file,
			    unsigned int line)
{
	tracker_assert_asked(g, VA, GPA, &val, 4, file, line);
	test_assert(g->vcpu->run->page_track.user_data == id, "that tracker", file, line,
		    "tracker %llu, wanted %lu", g->vcpu->run->page_track.user_data, id);
}

static void reply(struct pt_guest *g, uint8_t reply, uint32_t val)
{
	tracker_reply(g, reply, &val);
}

static void assert_ended(struct pt_guest *g, uint32_t want)
{
	pt_assert_ended(g);
	TEST_ASSERT_EQ(mem(g), want);
}

/* The reply is taken with the call that it comes with, which need not get further. */
static void test_immediate_exit(struct pt_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct tracker t;

	init(g, &t, 1);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	run->page_track.reply = KVM_PAGE_TRACK_REPLY_REPLACE;
	*(uint32_t *)run->page_track.data = VAL + 1;
	run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	run->immediate_exit = 0;
	TEST_ASSERT_EQ(mem(g), 0);

	memset(&run->page_track, 0xff, sizeof(run->page_track));
	vcpu_run(g->vcpu);
	assert_ended(g, VAL + 1);
	tracker_close(&t);
}

/* The state of the vCPU is that before the instruction: another one asks again. */
static void test_migration(struct pt_guest *g)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct pt_guest other;
	struct tracker t;

	init(g, &t, 1);
	pt_add_vcpu(g, &other, 1);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);

	vcpu_regs_get(g->vcpu, &regs);
	vcpu_sregs_get(g->vcpu, &sregs);
	vcpu_events_get(g->vcpu, &events);
	vcpu_sregs_set(other.vcpu, &sregs);
	vcpu_regs_set(other.vcpu, &regs);
	vcpu_events_set(other.vcpu, &events);

	vcpu_run(other.vcpu);
	assert_asked(&other, 1, VAL);
	reply(&other, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(&other, VAL);
	tracker_close(&t);
}

/* Userspace may have done the write itself, or whatever it likes. */
static void test_new_rip(struct pt_guest *g)
{
	struct kvm_regs regs;
	struct tracker t;

	init(g, &t, 1);
	start(g, PT_STORE4, VAL);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip += 2;	/* mov %eax, (%rdi) */
	vcpu_regs_set(g->vcpu, &regs);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, 0);

	/* The reply was for nothing: the write asks as if it had not been. */
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, VAL);
	tracker_close(&t);
}

/* The same address and instruction, but not those that the reply was for. */
static void test_new_cr3(struct pt_guest *g)
{
	uint64_t root = pt_new_root(g), old = g->root;
	struct kvm_sregs sregs;
	struct tracker t;

	init(g, &t, 1);
	g->root = root;
	pt_map(g, VA, GPA);
	g->root = old;

	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.cr3 = root;
	vcpu_sregs_set(g->vcpu, &sregs);
	reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, VAL);
	tracker_close(&t);
}

static void test_close(struct pt_guest *g)
{
	struct tracker t;

	init(g, &t, 1);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	tracker_close(&t);
	reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);

	/* Nobody tracks the page, so nobody keeps the guest from writing. */
	assert_ended(g, VAL);
}

/* The VM ends with a question that nobody answers. */
static void test_no_reply(struct pt_guest *g)
{
	struct tracker t;

	init(g, &t, 1);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	tracker_close(&t);
}

/* What was allowed is what is written, or userspace is asked for what there is now. */
static void test_other_data(struct pt_guest *g)
{
	struct tracker t;

	init(g, &t, 1);
	start(g, PT_LOCK_OR4, 0x1);
	assert_asked(g, 1, 0x1);
	*(uint32_t *)addr_gpa2hva(g->vm, GPA) = 0x100;
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_asked(g, 1, 0x101);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, 0x101);

	/* The same goes for what it wants instead. */
	start(g, PT_LOCK_OR4, 0x2);
	assert_asked(g, 1, 0x103);
	*(uint32_t *)addr_gpa2hva(g->vm, GPA) = 0x1000;
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL);
	assert_asked(g, 1, 0x1002);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL);
	assert_ended(g, VAL);
	tracker_close(&t);
}

static void test_two_trackers(struct pt_guest *g)
{
	struct tracker first, second;

	init(g, &first, 1);
	init(g, &second, 2);

	/* The second is asked for what the first wants. */
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + 1);
	assert_asked(g, 2, VAL + 1);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, VAL + 1);

	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_asked(g, 2, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + 2);
	assert_ended(g, VAL + 2);

	/* Skip is stricter than all else. */
	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	assert_asked(g, 2, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + 3);
	assert_ended(g, VAL + 2);

	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + 3);
	assert_asked(g, 2, VAL + 3);
	reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	assert_ended(g, VAL + 2);

	tracker_close(&first);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 2, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, VAL);
	tracker_close(&second);
}

/* Whoever comes in between is asked, whether its turn is over or not. */
static void test_new_tracker(struct pt_guest *g)
{
	struct tracker first, second;

	tracker_create(g->vm, &first, 64, 0, 1);
	init(g, &second, 2);
	start(g, PT_STORE4, VAL);
	assert_asked(g, 2, VAL);
	tracker_add(&first, GPA, PAGE_SIZE, TRACKER_EXIT);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + 1);
	assert_asked(g, 1, VAL + 1);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, VAL + 1);

	TRACKER_ASSERT_EMPTY(&first);
	TRACKER_ASSERT_EMPTY(&second);
	tracker_close(&first);
	tracker_close(&second);
}

/* More than a vCPU remembers one by one. */
static void test_many_trackers(struct pt_guest *g)
{
	struct tracker t[7];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		init(g, &t[i], i);

	start(g, PT_STORE4, VAL);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_asked(g, i, VAL + i);
		reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, VAL + i + 1);
	}
	assert_ended(g, VAL + i);

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		TRACKER_ASSERT_EMPTY(&t[i]);
		tracker_close(&t[i]);
	}
}

/* Each is told before it loses the page. */
static void test_two_unemulated(struct pt_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct tracker first, second;
	int i;

	init(g, &first, 1);
	init(g, &second, 2);
	start(g, PT_FXSAVE, VAL);
	for (i = 1; i <= 2; i++) {
		TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
		TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_ACCESS);
		TEST_ASSERT_EQ(run->page_track.user_data, i);
		TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
			       KVM_PAGE_TRACK_EVENT_DROPPED | KVM_PAGE_TRACK_EVENT_UNEMULATED);
		TEST_ASSERT_EQ(mem(g), 0);
		reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	}
	pt_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)mem(g), 0x37f);
	tracker_close(&first);
	tracker_close(&second);
}

/* What was told before the page was lost is not lost with the vCPU's RIP. */
static void test_unemulated_new_rip(struct pt_guest *g)
{
	struct kvm_regs regs = { .rdi = VA };
	struct tracker full, t;
	struct kvm_run *run = g->vcpu->run;
	int i;

	pt_map(g, VA, GPA);
	tracker_create(g->vm, &full, KVM_PAGE_TRACK_MIN_EVENTS, 0, 1);
	tracker_add(&full, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	init(g, &t, 2);
	for (i = 0; i < KVM_PAGE_TRACK_MIN_EVENTS - 1; i++) {
		start(g, PT_STORE4, VAL);
		assert_asked(g, 2, VAL);
		reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		assert_ended(g, VAL);
	}

	/* The event of the first tracker fills its ring, which comes before. */
	pt_start(g, PT_FXSAVE, &regs);
	vcpu_run(g->vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
	TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_RING_FULL);
	TEST_ASSERT_EQ(run->page_track.user_data, 1);
	tracker_close(&full);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip = pt_op_rip(PT_STORE4);
	vcpu_regs_set(g->vcpu, &regs);

	vcpu_run(g->vcpu);
	TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_ACCESS);
	TEST_ASSERT_EQ(run->page_track.user_data, 2);
	TEST_ASSERT(run->page_track.flags & KVM_PAGE_TRACK_EVENT_DROPPED, "flags 0x%x",
		    run->page_track.flags);
	reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_ended(g, 0);
	tracker_close(&t);
}

/* The others see what becomes of the write, if it is written. */
static void test_other_actions(struct pt_guest *g)
{
	struct tracker exit, notify, once;
	struct kvm_page_track_event want, got;
	uint32_t val = VAL + 1;

	tracker_create(g->vm, &notify, 64, 0, 3);
	tracker_add(&notify, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_create(g->vm, &once, 64, 0, 4);
	tracker_add(&once, GPA, PAGE_SIZE, TRACKER_ONCE);
	init(g, &exit, 1);

	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	TRACKER_ASSERT_EMPTY(&notify);
	reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	assert_ended(g, 0);
	TRACKER_ASSERT_EMPTY(&notify);

	/* It has told that the guest wanted to write, and has not stopped exit. */
	TEST_ASSERT(tracker_pop(&once, &got), "No event of the first access");
	TEST_ASSERT_EQ(got.flags & ~KVM_PAGE_TRACK_EVENT_GVA, KVM_PAGE_TRACK_EVENT_DROPPED);

	start(g, PT_STORE4, VAL);
	assert_asked(g, 1, VAL);
	reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, val);
	assert_ended(g, val);
	want = tracker_write_event(g, VA, GPA, &val, 4);
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
		{ "a reply outlives immediate_exit", test_immediate_exit, PT_4LEVEL_BIT },
		{ "another vCPU with the state asks again", test_migration, PT_4LEVEL_BIT },
		{ "a vCPU led elsewhere does not write", test_new_rip, PT_4LEVEL_BIT },
		{ "a vCPU led to another address space asks again", test_new_cr3, PT_4LEVEL_BIT },
		{ "a tracker is closed before the reply", test_close, PT_4LEVEL_BIT },
		{ "a VM ends without a reply", test_no_reply, PT_4LEVEL_BIT },
		{ "a reply holds for what was asked", test_other_data, PT_4LEVEL_BIT },
		{ "two trackers are asked, the strictest wins", test_two_trackers, PT_ALL_MODES },
		{ "a tracker that comes in between is asked", test_new_tracker, PT_4LEVEL_BIT },
		{ "many trackers are asked once each", test_many_trackers, PT_4LEVEL_BIT },
		{ "two trackers are told of an unemulated write", test_two_unemulated,
		  PT_4LEVEL_BIT },
		{ "a vCPU led elsewhere tells what it has to", test_unemulated_new_rip,
		  PT_4LEVEL_BIT },
		{ "other actions see what was written", test_other_actions, PT_4LEVEL_BIT },
	};

	tracker_require();
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
