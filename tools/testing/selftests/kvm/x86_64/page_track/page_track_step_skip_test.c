// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace skips what KVM cannot emulate: the CPU does all of the instruction but what it
 * writes to the page, of which nobody sees anything, and the page stays tracked.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "asleep.h"
#include "cases.h"
#include "skip.h"
#include "stats.h"

#define ROUNDS		3

/* Have @op skipped, at the same place again and again. */
static void skip_op(struct tiny_guest *g, enum tg_op op)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET, .rax = 7 };
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct tracker t;
	int i;

	skip_init(g, &t);
	for (i = 0; i < ROUNDS; i++) {
		skip_start(g, op, &regs);
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
		skip_assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE);
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
		tg_assert_ended(g);
		TG_ASSERT_STAT(g, "page_track_steps", steps + i + 1);
		TEST_ASSERT(skip_is_untouched(g, ASK_VA, 2 * PAGE_SIZE),
			    "Operation %d has written", op);
	}

	/* Then it may write: nothing is left of the skips. */
	skip_start(g, op, &regs);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	tg_assert_ended(g);
	TEST_ASSERT(!skip_is_untouched(g, ASK_VA + SKIP_OFFSET, 1),
		    "Operation %d has not written", op);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_sse(struct tiny_guest *g)
{
	skip_op(g, TG_STORE4_SSE);
}

static void test_avx(struct tiny_guest *g)
{
	if (tg_enable_avx(g))
		skip_op(g, TG_STORE32_AVX);
}

static void test_xsave(struct tiny_guest *g)
{
	if (tg_enable_avx(g))
		skip_op(g, TG_XSAVE);
}

static void test_fxsave(struct tiny_guest *g)
{
	skip_op(g, TG_FXSAVE);
}

/* The same instruction again, where nothing has changed. */
static void test_again(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct tracker t;
	int i;

	skip_init(g, &t);
	/* If it is not asked, it goes on for ever. */
	alarm(30);
	skip_start(g, TG_SPIN_FXSAVE, &regs);
	for (i = 0; i < ROUNDS; i++) {
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
		TG_ASSERT_STAT(g, "page_track_steps", steps + i);
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	}
	alarm(0);
	TEST_ASSERT(skip_is_untouched(g, ASK_VA, 2 * PAGE_SIZE), "It has written");
	tracker_close(&t);
}

/* What it reads there, and all that it changes but memory, is as on a page of no tracker. */
static void test_registers(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET, .rbx = 1, .rcx = 2 };
	struct kvm_regs want, got;
	struct tracker t;
	int i;

	for (i = 0; i < 2; i++) {
		memset(&regs.rax, i ? SKIP_PATTERN : 0, sizeof(regs.rax));
		regs.rdx = regs.rax;

		skip_init(g, &t);
		tracker_remove(&t, ASK_GPA, 2 * PAGE_SIZE);
		skip_start(g, TG_CMPXCHG16B, &regs);
		tg_assert_ended(g);
		vcpu_regs_get(g->vcpu, &want);
		TEST_ASSERT_EQ(skip_is_untouched(g, ASK_VA, PAGE_SIZE), !i);
		tracker_close(&t);

		skip_init(g, &t);
		skip_start(g, TG_CMPXCHG16B, &regs);
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
		tg_assert_ended(g);
		vcpu_regs_get(g->vcpu, &got);
		TEST_ASSERT(!memcmp(&got, &want, sizeof(got)),
			    "%d: rax 0x%llx, rflags 0x%llx, wanted 0x%llx, 0x%llx", i, got.rax,
			    got.rflags, want.rax, want.rflags);
		TEST_ASSERT(skip_is_untouched(g, ASK_VA, PAGE_SIZE), "It has written");
		TRACKER_ASSERT_EMPTY(&t);
		tracker_close(&t);
	}
}

/* One page may be written, and the other one not: each is asked for. */
static void test_two_pages(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_CROSSING };
	bool skip[2], untouched;
	struct tracker t;
	int i, page, asked;

	for (i = 0; i < 4; i++) {
		skip[0] = i & 1;
		skip[1] = i & 2;
		skip_init(g, &t);
		skip_start(g, TG_FXSAVE, &regs);

		for (asked = 0; g->vcpu->run->exit_reason == KVM_EXIT_PAGE_TRACK; asked++) {
			TEST_ASSERT_EQ(g->vcpu->run->page_track.flags &
				       ~KVM_PAGE_TRACK_EVENT_GVA, SKIP_ASKED);
			page = g->vcpu->run->page_track.gpa >= ASK_GPA + PAGE_SIZE;
			tracker_reply(g, skip[page] ? KVM_PAGE_TRACK_REPLY_SKIP :
				      KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
		}
		tg_assert_ended(g);
		TEST_ASSERT_EQ(asked, 2);
		for (page = 0; page < 2; page++) {
			untouched = skip_is_untouched(g, ASK_VA + page * PAGE_SIZE, PAGE_SIZE);
			TEST_ASSERT(untouched == skip[page], "%d: page %d is %s", i, page,
				    untouched ? "untouched" : "written");
		}
		TRACKER_ASSERT_EMPTY(&t);
		tracker_close(&t);
	}
}

/* Whoever skips it, whatever others want: nothing is written, and nobody is told. */
static void test_trackers(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	struct tracker t, older, younger;
	int i;

	for (i = 0; i < 2; i++) {
		skip_init(g, &t);
		tracker_close(&t);
		tracker_create(g->vm, &older, 64, KVM_PAGE_TRACKER_STEP, 2);
		tracker_add(&older, ASK_GPA, PAGE_SIZE, TRACKER_NOTIFY);
		tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
		tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
		tracker_create(g->vm, &younger, 64, KVM_PAGE_TRACKER_STEP, 3);
		tracker_add(&younger, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);

		skip_start(g, TG_FXSAVE, &regs);
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
		tracker_reply(g, i ? KVM_PAGE_TRACK_REPLY_SKIP : KVM_PAGE_TRACK_REPLY_ALLOW,
			      NULL);
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 3);
		tracker_reply(g, i ? KVM_PAGE_TRACK_REPLY_ALLOW : KVM_PAGE_TRACK_REPLY_SKIP,
			      NULL);
		tg_assert_ended(g);
		TEST_ASSERT(skip_is_untouched(g, ASK_VA, PAGE_SIZE), "It has written");
		TRACKER_ASSERT_EMPTY(&older);
		TRACKER_ASSERT_EMPTY(&t);
		TRACKER_ASSERT_EMPTY(&younger);

		/* All track it still. */
		tracker_remove(&t, ASK_GPA, PAGE_SIZE);
		tracker_remove(&younger, ASK_GPA, PAGE_SIZE);
		skip_start(g, TG_FXSAVE, &regs);
		tg_assert_ended(g);
		TEST_ASSERT(tracker_count(&older), "The write was not told");
		tracker_close(&younger);
		tracker_close(&t);
		tracker_close(&older);
	}
}

/* Whoever looks meanwhile sees nothing of it. */
struct watch {
	const uint8_t *mem;
	bool stop, seen;
	uint64_t nr_looks;
};

static void *watch(void *arg)
{
	struct watch *w = arg;

	while (!READ_ONCE(w->stop)) {
		w->seen |= READ_ONCE(*w->mem) != SKIP_PATTERN;
		w->nr_looks++;
		sched_yield();
	}
	return NULL;
}

static void test_others(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	struct watch w = { .mem = skip_mem(g, ASK_VA + SKIP_OFFSET) };
	struct tracker t;
	pthread_t thread;
	int i;

	skip_init(g, &t);
	TEST_ASSERT(!pthread_create(&thread, NULL, watch, &w), "pthread_create() failed");
	for (i = 0; i < 100 || READ_ONCE(w.nr_looks) < 100; i++) {
		skip_start(g, TG_FXSAVE, &regs);
		SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
		tg_assert_ended(g);
	}
	WRITE_ONCE(w.stop, true);
	pthread_join(thread, NULL);
	TEST_ASSERT(!w.seen, "What was skipped was seen in memory");
	tracker_close(&t);
}

/* A step has eight trackers of a page at most: the ninth one can only give it up. */
#define NR_TRACKERS	9

static void test_too_many(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	struct kvm_page_track_event event;
	struct tracker t[NR_TRACKERS];
	struct kvm_page_track_range range;
	int i;

	skip_init(g, &t[0]);
	tracker_close(&t[0]);
	for (i = 0; i < NR_TRACKERS; i++) {
		tracker_create(g->vm, &t[i], 64, KVM_PAGE_TRACKER_STEP, i);
		tracker_add(&t[i], ASK_GPA, 2 * PAGE_SIZE,
			    i < NR_TRACKERS - 1 ? TRACKER_NOTIFY : TRACKER_EXIT);
	}

	skip_start(g, TG_FXSAVE, &regs);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, NR_TRACKERS - 1);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, KVM_PAGE_TRACK_EVENT_UNEMULATED,
			  NR_TRACKERS - 1);
	skip_assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_SKIP);
	TEST_ASSERT(skip_is_untouched(g, ASK_VA, PAGE_SIZE), "It has written");
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	tg_assert_ended(g);
	TEST_ASSERT(!skip_is_untouched(g, ASK_VA, PAGE_SIZE), "It has not written");

	TEST_ASSERT_EQ(tracker_next(&t[NR_TRACKERS - 1], ASK_GPA, &range), 0);
	TEST_ASSERT_EQ(range.gpa, ASK_GPA + PAGE_SIZE);
	for (i = 0; i < NR_TRACKERS; i++) {
		if (i < NR_TRACKERS - 1)
			TEST_ASSERT(tracker_pop_finished(&t[i], &event) &&
				    event.flags & KVM_PAGE_TRACK_EVENT_STEPPED,
				    "Tracker %d was not told", i);
		TRACKER_ASSERT_EMPTY(&t[i]);
		tracker_close(&t[i]);
	}
}

/* The same by a tracker that has vCPUs wait. */
static void test_wait(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker t;
	struct asleep s;

	asleep_init(g, &t, KVM_PAGE_TRACKER_STEP);
	asleep_start(&s, g, TG_FXSAVE, 0);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(event.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       SKIP_ASKED | KVM_PAGE_TRACK_EVENT_ASKS);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_REPLACE, 0), EINVAL);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, 0);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a store by AVX", test_avx, TG_ALL_MODES, true },
		{ "xsave", test_xsave, TG_ALL_MODES, true },
		{ "fxsave in 64-bit mode", test_fxsave, TG_4LEVEL_BIT, true },
		{ "fxsave in a loop", test_again, TG_4LEVEL_BIT, true },
		{ "cmpxchg16b and its registers", test_registers, TG_4LEVEL_BIT, true },
		{ "two pages", test_two_pages, TG_4LEVEL_BIT, true },
		{ "several trackers", test_trackers, TG_4LEVEL_BIT, true },
		{ "nobody sees it", test_others, TG_4LEVEL_BIT, true },
		{ "more trackers than a step has", test_too_many, TG_4LEVEL_BIT, true },
		{ "the vCPU waits for the reply", test_wait, TG_4LEVEL_BIT, true },
		{ "a store by SSE", test_sse, TG_ALL_MODES, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
