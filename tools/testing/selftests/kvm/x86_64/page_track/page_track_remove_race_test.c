// SPDX-License-Identifier: GPL-2.0-only
/*
 * A range is removed, or gets another action, or is armed again, while a vCPU writes
 * to it: what was written before has its event when the call returns, and what was told
 * before comes no later (findings R4 and 15).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "cases.h"
#include "kselftest.h"
#include "tracker.h"
#include "userfault.h"

#define VA	0x40000000ul
#define GPA	tg_data(0)

static int nr_rounds;

struct writer {
	struct tiny_guest g;
	pthread_t thread;
	pthread_barrier_t barrier;
	uint64_t va, val, step;	/* @val grows by @step with each write */
	int len, nr;
};

#define FXSAVE_LEN	512
#define FXSAVE_MXCSR	24

/* Of 16 bytes or more, KVM cannot emulate it. */
static void write_val(struct writer *w)
{
	struct kvm_regs regs = { .rdi = w->va, .rax = w->val, .rbx = w->val + w->step };

	w->val += w->step;
	if (w->len == FXSAVE_LEN)
		TEST_ASSERT(tg_run(&w->g, TG_FXSAVE, &regs), "A fault");
	else if (w->len == 16)
		TEST_ASSERT(tg_run(&w->g, TG_CMPXCHG16B, &regs), "A fault");
	else
		tg_store(&w->g, w->va, w->val, w->len);
}

static void *write_all(void *arg)
{
	struct writer *w = arg;
	int i;

	for (i = 0; i < w->nr; i++) {
		pthread_barrier_wait(&w->barrier);
		write_val(w);
		pthread_barrier_wait(&w->barrier);
	}
	return NULL;
}

static void start_writer(struct writer *w, struct tiny_guest *g, uint64_t va, int len, int nr)
{
	*w = (struct writer) { .va = va, .step = 1, .len = len, .nr = nr };
	tg_add_vcpu(g, &w->g, 1);
	pthread_barrier_init(&w->barrier, NULL, 2);
	pthread_create(&w->thread, NULL, write_all, w);
}

static void end_writer(struct writer *w)
{
	pthread_join(w->thread, NULL);
	pthread_barrier_destroy(&w->barrier);
}

/* See the write in memory, change the range at once, and there is its event. */
static void race(struct tiny_guest *g, int new_action, int len)
{
	struct kvm_page_track_event event;
	struct tracker t;
	struct writer w;
	uint32_t *mem, i;

	tg_map(g, VA, GPA);
	mem = addr_gpa2hva(g->vm, GPA);
	memset(mem, 0, 16);
	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	start_writer(&w, g, VA, len, nr_rounds);

	for (i = 1; i <= nr_rounds; i++) {
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
		pthread_barrier_wait(&w.barrier);
		while (__atomic_load_n(mem, __ATOMIC_ACQUIRE) != i)
			sched_yield();

		if (new_action < 0)
			tracker_remove(&t, GPA, PAGE_SIZE);
		else
			tracker_add(&t, GPA, PAGE_SIZE, new_action);
		TEST_ASSERT(tracker_pop_finished(&t, &event), "R4: no event of write %u", i);
		TEST_ASSERT_EQ(*(uint32_t *)event.data, i);
		TRACKER_ASSERT_EMPTY(&t);

		pthread_barrier_wait(&w.barrier);
		TRACKER_ASSERT_EMPTY(&t);
	}

	end_writer(&w);
	tracker_close(&t);
}

static void test_remove(struct tiny_guest *g)
{
	race(g, -1, 4);
}

static void test_remove_step(struct tiny_guest *g)
{
	race(g, -1, 16);
}

static void test_change(struct tiny_guest *g)
{
	race(g, TRACKER_EXIT, 4);
}

static void test_change_step(struct tiny_guest *g)
{
	race(g, TRACKER_ONCE, 16);
}

/*
 * The write crosses from a page with notify into one with once, which is armed again
 * as soon as the write is seen.  An event says that the page is not tracked: it comes
 * before the call returns, and only then is the page not tracked.
 *
 * Others that are told before it make the time between write and event longer.
 */
#define NR_OTHERS	60	/* of 64 that there may be */

static void test_rearm(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_page_track_range range;
	struct tracker others[NR_OTHERS], once;
	bool was_told, tracked;
	struct writer w;
	uint32_t *mem, i;
	int n;

	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	mem = addr_gpa2hva(g->vm, GPA + PAGE_SIZE);
	*mem = 0;
	for (n = 0; n < NR_OTHERS; n++) {
		tracker_create(g->vm, &others[n], 64, KVM_PAGE_TRACKER_LOSSY, 0);
		tracker_add(&others[n], GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	}
	tracker_create(g->vm, &once, 64, 0, 0);
	start_writer(&w, g, VA + PAGE_SIZE - 4, 8, nr_rounds);
	w.step = 1ul << 32;

	for (i = 1; i <= nr_rounds; i++) {
		tracker_add(&once, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
		pthread_barrier_wait(&w.barrier);
		while (__atomic_load_n(mem, __ATOMIC_ACQUIRE) != i)
			sched_yield();

		was_told = tracker_count(&once);
		tracker_add(&once, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
		tracked = !tracker_next(&once, 0, &range);
		TEST_ASSERT(tracker_pop(&once, &event), "15: no event of write %u", i);
		TEST_ASSERT_EQ(*(uint32_t *)event.data, i);
		TEST_ASSERT_EQ(event.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED,
			       KVM_PAGE_TRACK_EVENT_UNTRACKED);
		TEST_ASSERT(tracked || !was_told, "15: armed after event %u, and not tracked", i);
		TRACKER_ASSERT_EMPTY(&once);

		pthread_barrier_wait(&w.barrier);
		TRACKER_ASSERT_EMPTY(&once);
		TEST_ASSERT_EQ(!tracker_next(&once, 0, &range), tracked);
	}

	end_writer(&w);
	tracker_close(&once);
	for (n = 0; n < NR_OTHERS; n++)
		tracker_close(&others[n]);
}

/*
 * The vCPU sleeps in its write for as long as userspace likes: nobody waits for it.  It
 * writes after the call then, and is told of as whoever writes after it.
 */
static void change_while_asleep(struct tiny_guest *g, struct tracker *t, uint32_t action,
				int len)
{
	static const uint8_t zeros[PAGE_SIZE] __aligned(PAGE_SIZE);
	int uffd, before = len == FXSAVE_LEN ? 16 : 4;
	uint64_t gpa = GPA + PAGE_SIZE;
	struct writer w;
	void *second;

	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, gpa);
	second = addr_gpa2hva(g->vm, gpa);
	if (!userfault_exists()) {
		g->skip = "no userfaultfd";
		return;
	}

	uffd = userfault_open(second);
	tracker_create(g->vm, t, 64, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(t, gpa, PAGE_SIZE, action);
	start_writer(&w, g, VA + PAGE_SIZE - before, len, 1);
	w.val = ~1ul;
	pthread_barrier_wait(&w.barrier);
	TEST_ASSERT(userfault_await(uffd), "The vCPU does not wait for its page");

	if (action == TRACKER_ONCE)
		tracker_add(t, gpa, PAGE_SIZE, action);
	else
		tracker_remove(t, gpa, PAGE_SIZE);
	userfault_give(uffd, second, zeros);
	pthread_barrier_wait(&w.barrier);
	end_writer(&w);
	close(uffd);
	if (len == FXSAVE_LEN)
		TEST_ASSERT_EQ(*(uint32_t *)(second + FXSAVE_MXCSR - before), 0x1f80);
	else
		TEST_ASSERT_EQ(*(uint32_t *)second, ~0u);
}

static void remove_while_asleep(struct tiny_guest *g, int len, uint32_t flags)
{
	struct kvm_page_track_event event;
	struct tracker t;
	int nr = 0;

	change_while_asleep(g, &t, TRACKER_NOTIFY, len);
	if (g->skip)
		return;

	while (tracker_pop_finished(&t, &event)) {
		TEST_ASSERT(event.gpa < GPA + PAGE_SIZE, "An event of the page that was removed");
		TEST_ASSERT_EQ(event.flags & KVM_PAGE_TRACK_EVENT_STEPPED, flags);
		nr++;
	}
	TEST_ASSERT_EQ(nr, 1);
	tracker_close(&t);
}

static void test_remove_asleep(struct tiny_guest *g)
{
	remove_while_asleep(g, 8, 0);
}

static void test_remove_asleep_step(struct tiny_guest *g)
{
	remove_while_asleep(g, FXSAVE_LEN, KVM_PAGE_TRACK_EVENT_STEPPED);
}

static void test_rearm_asleep(struct tiny_guest *g)
{
	struct kvm_page_track_event want;
	struct kvm_page_track_range range;
	uint32_t val = ~0u;
	struct tracker t;

	change_while_asleep(g, &t, TRACKER_ONCE, 8);
	if (g->skip)
		return;

	want = tracker_write_event(g, VA + PAGE_SIZE - 4, GPA + PAGE_SIZE - 4, &val, 4);
	want.vcpu_id = 1;
	TRACKER_ASSERT_EVENT(&t, &want);
	want = tracker_write_event(g, VA + PAGE_SIZE, GPA + PAGE_SIZE, &val, 4);
	want.vcpu_id = 1;
	want.flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	TEST_ASSERT_EQ(tracker_next(&t, GPA + PAGE_SIZE, &range), ENOENT);
	tracker_close(&t);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "a write has its event when its range is removed", test_remove, TG_4LEVEL_BIT },
		{ "a write has its event when the action changes", test_change, TG_4LEVEL_BIT },
		{ "a step has its event when its range is removed", test_remove_step,
		  TG_4LEVEL_BIT },
		{ "a step has its event when the action changes", test_change_step,
		  TG_4LEVEL_BIT },
		{ "a write has its event when its page is armed again", test_rearm,
		  TG_4LEVEL_BIT },
		{ "nobody waits for userfaultfd", test_remove_asleep, TG_4LEVEL_BIT },
		{ "nor in a step", test_remove_asleep_step, TG_4LEVEL_BIT },
		{ "nor when the page is armed again", test_rearm_asleep, TG_4LEVEL_BIT },
	};

	nr_rounds = tg_get_rounds(argc, argv, 300);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
