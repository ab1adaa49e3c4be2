// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit and an instruction that KVM cannot emulate: userspace is asked while the
 * page is tracked, and nobody writes there before it allows that (finding 5).
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "ask.h"
#include "cases.h"
#include "stats.h"

#define FXSAVE_FCW	0x37f

static void assert_asked_at(struct tiny_guest *g, uint64_t gpa)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "exit reason %u (%s)", run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT_EQ(run->page_track.flags &
		       ~(KVM_PAGE_TRACK_EVENT_GVA | KVM_PAGE_TRACK_EVENT_STEPPED),
		       KVM_PAGE_TRACK_EVENT_UNEMULATED);
	TEST_ASSERT_EQ(run->page_track.gpa, gpa);
	TEST_ASSERT_EQ(run->page_track.len, 0);
	TEST_ASSERT_EQ(run->page_track.mode, KVM_PAGE_TRACK_MODE_WRITE);
	TEST_ASSERT_EQ(run->page_track.reply, KVM_PAGE_TRACK_REPLY_ALLOW);
}

static void assert_asked(struct tiny_guest *g, uint64_t id)
{
	assert_asked_at(g, ASK_GPA);
	TEST_ASSERT_EQ(g->vcpu->run->page_track.user_data, id);
	TEST_ASSERT_EQ(ask_mem(g), 0);
}

static void ask(struct tiny_guest *g, uint64_t id)
{
	ask_start(g, TG_FXSAVE, 0);
	assert_asked(g, id);
}

static bool is_tracked(struct tracker *t)
{
	struct kvm_page_track_range range;

	return !tracker_next(t, ASK_GPA, &range) && range.gpa == ASK_GPA;
}

static void test_question(struct tiny_guest *g)
{
	static const uint8_t bad[] = {
		KVM_PAGE_TRACK_REPLY_SKIP, KVM_PAGE_TRACK_REPLY_REPLACE, 0xff
	};
	struct tracker t;
	int i;

	ask_init(g, &t, 1);
	ask(g, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		TEST_ASSERT(is_tracked(&t), "The page was given up unasked");
		g->vcpu->run->page_track.reply = bad[i];
		TEST_ASSERT(_vcpu_run(g->vcpu) == -1 && errno == EINVAL, "Reply %u, errno %d",
			    bad[i], errno);
	}
	TEST_ASSERT(is_tracked(&t), "The page was given up unasked");
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)ask_mem(g), FXSAVE_FCW);
	TEST_ASSERT(!is_tracked(&t), "The page is tracked still");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Meanwhile another vCPU stores there, and may not. */
static void test_other_vcpu(struct tiny_guest *g)
{
	struct tiny_guest other;
	struct tracker t;

	ask_init(g, &t, 1);
	tg_add_vcpu(g, &other, 1);
	ask(g, 1);
	ask_start(&other, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(&other, 1, ASK_VAL);
	ask_reply(&other, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ask_assert_ended(&other, 0);

	/* As both want it, the first reply is for both. */
	ask_start(&other, TG_FXSAVE, 0);
	assert_asked(&other, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
	ask_reply(&other, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(&other);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The instruction is not what the vCPU does next: the page stays. */
static void test_led_elsewhere(struct tiny_guest *g)
{
	struct kvm_regs regs;
	struct tracker t;

	ask_init(g, &t, 1);
	ask(g, 1);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rip = tg_op_rip(TG_LOAD);
	vcpu_regs_set(g->vcpu, &regs);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, 0);
	TEST_ASSERT(is_tracked(&t), "The page was given up for nothing");
	tracker_close(&t);
}

static void test_range_changes(struct tiny_guest *g)
{
	struct kvm_page_track_event got;
	struct tracker t;

	ask_init(g, &t, 1);
	ask(g, 1);
	tracker_remove(&t, ASK_GPA, PAGE_SIZE);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);

	/* With another action, that is what counts. */
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask(g, 1);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
	TEST_ASSERT(tracker_pop(&t, &got), "No event");
	TEST_ASSERT_EQ(got.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       KVM_PAGE_TRACK_EVENT_UNTRACKED | KVM_PAGE_TRACK_EVENT_UNEMULATED);
	TRACKER_ASSERT_EMPTY(&t);

	/* Without the tracker, there is nothing to give up. */
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask(g, 1);
	tracker_close(&t);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
}

/* FXSAVE to two pages: both are asked for, then the CPU does it, and both stay tracked. */
#define STEP_OFFSET	(PAGE_SIZE - 256)

static void test_step(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + STEP_OFFSET };
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct kvm_page_track_range range;
	struct tracker t;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	tg_map(g, ASK_VA + PAGE_SIZE, ASK_GPA + PAGE_SIZE);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(&t, ASK_GPA, 2 * PAGE_SIZE, TRACKER_EXIT);

	for (i = 1; i <= 3; i++) {
		memset(addr_gpa2hva(g->vm, ASK_GPA), 0, 2 * PAGE_SIZE);
		tg_start(g, TG_FXSAVE, &regs);
		vcpu_run(g->vcpu);
		assert_asked_at(g, ASK_GPA + STEP_OFFSET);
		TEST_ASSERT_EQ(*(uint16_t *)addr_gpa2hva(g->vm, ASK_GPA + STEP_OFFSET), 0);

		/* A CPU may write to the first page before it comes to the second one. */
		g->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_REPLACE;
		TEST_ASSERT(_vcpu_run(g->vcpu) == -1 && errno == EINVAL, "errno %d", errno);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		assert_asked_at(g, ASK_GPA + PAGE_SIZE);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		tg_assert_ended(g);

		TEST_ASSERT_EQ(*(uint16_t *)addr_gpa2hva(g->vm, ASK_GPA + STEP_OFFSET),
			       FXSAVE_FCW);
		TG_ASSERT_STAT(g, "page_track_steps", steps + i);
		TEST_ASSERT(!tracker_next(&t, ASK_GPA, &range) && range.gpa == ASK_GPA &&
			    range.size == 2 * PAGE_SIZE, "A page was given up");
		TRACKER_ASSERT_EMPTY(&t);
	}
	tracker_close(&t);
}

#define NR_STEPS	6	/* more than what was allowed is kept of */

/* Each tracker of the page is asked before the CPU writes there. */
static void test_step_trackers(struct tiny_guest *g)
{
	struct tracker t[2];
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	for (i = 0; i < 2; i++) {
		tracker_create(g->vm, &t[i], 64, KVM_PAGE_TRACKER_STEP, i + 1);
		tracker_add(&t[i], ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	}

	for (i = 0; i < NR_STEPS; i++) {
		*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
		ask(g, 1);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		assert_asked(g, 2);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		tg_assert_ended(g);
		TEST_ASSERT_EQ((uint16_t)ask_mem(g), FXSAVE_FCW);
		TEST_ASSERT(is_tracked(&t[0]) && is_tracked(&t[1]), "The page was given up");
	}
	for (i = 0; i < 2; i++) {
		TRACKER_ASSERT_EMPTY(&t[i]);
		tracker_close(&t[i]);
	}
}

/* The first page is told, the second one asked for, each time. */
static void test_step_mixed(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + STEP_OFFSET };
	struct kvm_page_track_event e;
	struct tracker t;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	tg_map(g, ASK_VA + PAGE_SIZE, ASK_GPA + PAGE_SIZE);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_EXIT);

	for (i = 0; i < NR_STEPS; i++) {
		tg_start(g, TG_FXSAVE, &regs);
		vcpu_run(g->vcpu);
		assert_asked_at(g, ASK_GPA + PAGE_SIZE);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		tg_assert_ended(g);
		TEST_ASSERT(tracker_pop_finished(&t, &e) &&
			    e.flags & KVM_PAGE_TRACK_EVENT_STEPPED &&
			    e.gpa == ASK_GPA + STEP_OFFSET, "The first page was not told");
		TRACKER_ASSERT_EMPTY(&t);
	}
	tracker_close(&t);
}

/* The reply is taken, but KVM_RUN ends before the step: nothing is allowed any more. */
static void test_step_interrupted(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct kvm_regs regs;
	struct tracker t;

	tg_map(g, ASK_VA, ASK_GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);

	ask(g, 1);
	vcpu_regs_get(g->vcpu, &regs);
	run->page_track.reply = KVM_PAGE_TRACK_REPLY_ALLOW;
	run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	run->immediate_exit = 0;

	/* As from a snapshot: the same instruction with the same registers. */
	vcpu_regs_set(g->vcpu, &regs);
	vcpu_run(g->vcpu);
	assert_asked(g, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Between the replies of two trackers, another one changes what it tracks; or one of these. */
static void test_step_changes(struct tiny_guest *g)
{
	struct tracker t[2], other;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_create(g->vm, &other, 64, 0, 0);
	for (i = 0; i < 2; i++) {
		tracker_create(g->vm, &t[i], 64, KVM_PAGE_TRACKER_STEP, i + 1);
		tracker_add(&t[i], ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	}

	ask(g, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_asked(g, 2);
	tracker_add(&other, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_remove(&other, ASK_GPA + PAGE_SIZE, PAGE_SIZE);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);

	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	ask(g, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_asked(g, 2);
	tracker_remove(&t[0], ASK_GPA, PAGE_SIZE);
	tracker_add(&t[0], ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	assert_asked(g, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);

	tracker_close(&t[0]);
	tracker_close(&t[1]);
	tracker_close(&other);
}

/* The same instruction again, where nothing but memory has changed. */
static void test_step_again(struct tiny_guest *g)
{
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct tracker t;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);

	/* If it is not asked, it goes on for ever. */
	alarm(30);
	ask_start(g, TG_SPIN_FXSAVE, 0);
	for (i = 0; i < NR_STEPS; i++) {
		assert_asked_at(g, ASK_GPA);
		TG_ASSERT_STAT(g, "page_track_steps", steps + i);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	}
	alarm(0);
	tracker_close(&t);
}

#define OTHER_GPA	(ASK_GPA + 2 * PAGE_SIZE)
#define OTHER_VA	(ASK_VA + 2 * PAGE_SIZE)
#define NR_TURNS	200

struct other {
	struct tiny_guest g;
	bool ends;
};

static void *step_elsewhere(void *arg)
{
	struct kvm_regs regs = { .rdi = OTHER_VA };
	struct other *other = arg;

	while (!READ_ONCE(other->ends))
		TEST_ASSERT(tg_run(&other->g, TG_FXSAVE, &regs), "A fault");
	return NULL;
}

/* Whoever was asked opens the page, also if another vCPU had its turn first. */
static void test_step_turns(struct tiny_guest *g)
{
	struct tracker t[2], third;
	struct kvm_page_track_event e;
	struct other other = {};
	pthread_t thread;
	int i;

	tg_map(g, ASK_VA, ASK_GPA);
	tg_map(g, OTHER_VA, OTHER_GPA);
	tg_add_vcpu(g, &other.g, 1);
	for (i = 0; i < 2; i++) {
		tracker_create(g->vm, &t[i], 64, KVM_PAGE_TRACKER_STEP, i + 1);
		tracker_add(&t[i], ASK_GPA, PAGE_SIZE, i ? TRACKER_NOTIFY : TRACKER_EXIT);
	}
	tracker_create(g->vm, &third, 32, KVM_PAGE_TRACKER_STEP | KVM_PAGE_TRACKER_LOSSY, 3);
	tracker_add(&third, OTHER_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	pthread_create(&thread, NULL, step_elsewhere, &other);

	for (i = 0; i < NR_TURNS; i++) {
		*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
		ask(g, 1);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		tg_assert_ended(g);
		TRACKER_ASSERT_EMPTY(&t[0]);
		TEST_ASSERT(tracker_pop_finished(&t[1], &e) &&
			    e.flags & KVM_PAGE_TRACK_EVENT_STEPPED, "Step %d was not told", i);
		TRACKER_ASSERT_EMPTY(&t[1]);
	}

	WRITE_ONCE(other.ends, true);
	pthread_join(thread, NULL);
	for (i = 0; i < 2; i++)
		tracker_close(&t[i]);
	tracker_close(&third);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "the page is tracked until userspace allows", test_question, TG_4LEVEL_BIT },
		{ "another vCPU asks meanwhile", test_other_vcpu, TG_4LEVEL_BIT },
		{ "a vCPU led elsewhere gives nothing up", test_led_elsewhere, TG_4LEVEL_BIT },
		{ "the range changes before the reply", test_range_changes, TG_4LEVEL_BIT },
		{ "the CPU steps what is allowed", test_step, TG_4LEVEL_BIT, true },
		{ "and what several trackers allow", test_step_trackers, TG_4LEVEL_BIT, true },
		{ "and what else it writes", test_step_mixed, TG_4LEVEL_BIT, true },
		{ "and asks again if KVM_RUN ends before", test_step_interrupted, TG_4LEVEL_BIT,
		  true },
		{ "or if the tracker's ranges change, no others", test_step_changes,
		  TG_4LEVEL_BIT, true },
		{ "and each time", test_step_again, TG_4LEVEL_BIT, true },
		{ "and whoever steps meanwhile", test_step_turns, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
