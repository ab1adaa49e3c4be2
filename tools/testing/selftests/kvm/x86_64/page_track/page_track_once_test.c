// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker of userspace with the action "once": the first write to a page leads to
 * one event, and it and all that follow are the CPU's own.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR_PAGES	8
#define NR_VCPUS	4
#define NR_RACES	20
/* More than a vCPU keeps in mind for an access. */
#define NR_TRACKERS	10

static void init_pages(struct tiny_guest *g, struct tracker *t)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
	tracker_create(g->vm, t, 1024, 0, 0);
}

/* The event of the vCPU's first write to @page, before it happens. */
static struct kvm_page_track_event once_event(struct tiny_guest *g, int page, int offset)
{
	uint64_t pos = page * PAGE_SIZE + offset;

	return tracker_untracked_event(g, VA + pos, GPA + pos);
}

static void assert_ranges(struct tracker *t, int page, int nr)
{
	struct kvm_page_track_range range;

	TEST_ASSERT_EQ(tracker_next(t, GPA + page * PAGE_SIZE, &range), 0);
	TEST_ASSERT_EQ(range.gpa, GPA + page * PAGE_SIZE);
	TEST_ASSERT_EQ(range.size, nr * PAGE_SIZE);
	TEST_ASSERT_EQ(range.action, TRACKER_ONCE);
}

static void test_once(struct tiny_guest *g)
{
	struct kvm_page_track_event want;
	struct kvm_page_track_range range;
	struct tracker t;
	uint64_t emulated;
	int i, round;

	init_pages(g, &t);
	tg_store(g, VA, 1, 4);
	emulated = tg_vcpu_stat(g, "pf_emulate");

	for (round = 0; round < 3; round++) {
		/* All at once, again. */
		tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, TRACKER_ONCE);
		for (i = 0; i < NR_PAGES; i++) {
			assert_ranges(&t, i, NR_PAGES - i);
			tg_store(g, VA + i * PAGE_SIZE + 8 * i, i, 8);
			want = once_event(g, i, 8 * i);
			want.rip = g->mode == TG_4LEVEL ? tg_op_rip(TG_STORE8) :
							  tg_op_rip(TG_CMPXCHG8B);
			TRACKER_ASSERT_EVENT(&t, &want);
			tg_store(g, VA + i * PAGE_SIZE, 0x77, 1);
			TG_ASSERT_LOAD(g, VA + i * PAGE_SIZE, i ? 0x77 | (i * 0x1000 +
				       (GPA & 0xffffff00)) : 0x77);
		}
		TRACKER_ASSERT_EMPTY(&t);
		TEST_ASSERT_EQ(tracker_next(&t, 0, &range), ENOENT);
	}

	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
	tracker_close(&t);
}

/* The other one is told of each write, so that KVM emulates it. */
static void test_with_notify(struct tiny_guest *g)
{
	struct kvm_page_track_event want;
	uint32_t val = 0x12345678;
	struct tracker once, notify;
	int i;

	init_pages(g, &once);
	tracker_create(g->vm, &notify, 64, 0, 0);
	tracker_add(&once, GPA, PAGE_SIZE, TRACKER_ONCE);
	tracker_add(&notify, GPA, PAGE_SIZE, TRACKER_NOTIFY);

	for (i = 0; i < 3; i++)
		tg_store(g, VA + 4, val, 4);

	want = once_event(g, 0, 4);
	TRACKER_ASSERT_EVENT(&once, &want);
	TRACKER_ASSERT_EMPTY(&once);
	for (i = 0; i < 3; i++) {
		want = tracker_write_event(g, VA + 4, GPA + 4, &val, 4);
		TRACKER_ASSERT_EVENT(&notify, &want);
	}
	TRACKER_ASSERT_EMPTY(&notify);
	tracker_close(&notify);
	tracker_close(&once);
}

/* Each of many trackers is told, and gives the page up for itself. */
static void test_many(struct tiny_guest *g)
{
	struct tracker t[NR_TRACKERS];
	struct kvm_page_track_event want;
	struct kvm_page_track_range range;
	uint64_t emulated;
	int i;

	init_pages(g, &t[0]);
	for (i = 1; i < NR_TRACKERS; i++)
		tracker_create(g->vm, &t[i], 64, 0, 0);
	for (i = 0; i < NR_TRACKERS; i++)
		tracker_add(&t[i], GPA, PAGE_SIZE, TRACKER_ONCE);

	emulated = tg_vcpu_stat(g, "pf_emulate");
	tg_store(g, VA + 8, 1, 4);
	tg_store(g, VA + 8, 2, 4);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);

	want = once_event(g, 0, 8);
	for (i = 0; i < NR_TRACKERS; i++) {
		TRACKER_ASSERT_EVENT(&t[i], &want);
		TRACKER_ASSERT_EMPTY(&t[i]);
		TEST_ASSERT_EQ(tracker_next(&t[i], 0, &range), ENOENT);
		tracker_close(&t[i]);
	}
}

/* A write that KVM does to the page without a fault: the event has its bytes. */
static void test_emulated(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE - 2, .rax = 0x44332211 };
	uint8_t data[4] = { 0x11, 0x22, 0x33, 0x44 };
	struct kvm_page_track_event want;
	struct tracker t;

	init_pages(g, &t);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	TEST_ASSERT(tg_run(g, TG_STORE4, &regs), "The store faulted");

	want = tracker_write_event(g, VA + PAGE_SIZE - 2, GPA + PAGE_SIZE - 2, data, 2);
	TRACKER_ASSERT_EVENT(&t, &want);
	want = tracker_write_event(g, VA + PAGE_SIZE, GPA + PAGE_SIZE, data + 2, 2);
	want.flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* A change of the action is no gap. */
static void test_action_change(struct tiny_guest *g)
{
	struct kvm_page_track_event want;
	struct kvm_page_track_range range;
	struct tracker t;
	uint32_t val = 5;
	uint64_t pages = tg_stat(g, "page_track_pages");

	init_pages(g, &t);
	tracker_add(&t, GPA, 4 * PAGE_SIZE, TRACKER_ONCE);
	tracker_add(&t, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	assert_ranges(&t, 0, 1);
	TEST_ASSERT_EQ(tracker_next(&t, GPA + PAGE_SIZE, &range), 0);
	TEST_ASSERT_EQ(range.size, PAGE_SIZE);
	TEST_ASSERT_EQ(range.action, TRACKER_NOTIFY);
	assert_ranges(&t, 2, 2);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages + 4);

	tg_store(g, VA + PAGE_SIZE, val, 4);
	want = tracker_write_event(g, VA + PAGE_SIZE, GPA + PAGE_SIZE, &val, 4);
	TRACKER_ASSERT_EVENT(&t, &want);
	tracker_add(&t, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	assert_ranges(&t, 0, 4);
	tg_store(g, VA + PAGE_SIZE, val, 4);
	want = once_event(g, 1, 0);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* R11: the host cannot write the page.  That is no write, and so there is no event. */
static void test_host_read_only(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + 8, .rax = 1 };
	struct kvm_page_track_event want;
	struct tracker t;
	int present;

	init_pages(g, &t);
	for (present = 0; present < 2; present++) {
		mprotect(addr_gpa2hva(g->vm, GPA), PAGE_SIZE, PROT_READ);
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_ONCE);
		if (present)
			TG_ASSERT_LOAD(g, VA, GPA);

		tg_start(g, TG_STORE4, &regs);
		TEST_ASSERT(_vcpu_run(g->vcpu) == -1 && errno == EFAULT, "errno %d", errno);
		TRACKER_ASSERT_EMPTY(&t);
		assert_ranges(&t, 0, 1);

		mprotect(addr_gpa2hva(g->vm, GPA), PAGE_SIZE, PROT_READ | PROT_WRITE);
		TEST_ASSERT_EQ(*(uint32_t *)addr_gpa2hva(g->vm, GPA + 8), present);
		vcpu_run(g->vcpu);
		tg_assert_ended(g);
		TEST_ASSERT_EQ(*(uint32_t *)addr_gpa2hva(g->vm, GPA + 8), 1);
		want = once_event(g, 0, 8);
		TRACKER_ASSERT_EVENT(&t, &want);
		TRACKER_ASSERT_EMPTY(&t);
	}
	tracker_close(&t);
}

struct racer {
	struct tiny_guest g;
	pthread_t thread;
	pthread_barrier_t *barrier;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	int i;

	for (i = 0; i < NR_RACES; i++) {
		pthread_barrier_wait(r->barrier);
		tg_store(&r->g, VA + 8 * r->g.vcpu->id, i + 1, 4);
		pthread_barrier_wait(r->barrier);
	}
	return NULL;
}

static void test_race(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct racer racers[NR_VCPUS];
	pthread_barrier_t barrier;
	struct tracker t;
	int i, round;

	init_pages(g, &t);
	pthread_barrier_init(&barrier, NULL, NR_VCPUS + 1);
	for (i = 0; i < NR_VCPUS; i++) {
		tg_add_vcpu(g, &racers[i].g, i + 1);
		racers[i].barrier = &barrier;
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}

	for (round = 0; round < NR_RACES; round++) {
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_ONCE);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		TEST_ASSERT(tracker_pop(&t, &event), "No event of round %d", round);
		TEST_ASSERT_EQ(event.gpa, GPA + 8 * event.vcpu_id);
		TRACKER_ASSERT_EMPTY(&t);
		for (i = 0; i < NR_VCPUS; i++)
			TEST_ASSERT_EQ(*(uint32_t *)addr_gpa2hva(g->vm, GPA + 8 * (i + 1)),
				       round + 1);
	}

	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(racers[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "the first write leads to an event, all are native", test_once, TG_ALL_MODES },
		{ "many trackers are told once each", test_many, TG_4LEVEL_BIT },
		{ "another tracker's notify goes on", test_with_notify, TG_4LEVEL_BIT },
		{ "a write that KVM emulates counts as well", test_emulated, TG_ALL_MODES },
		{ "the action can change", test_action_change, TG_4LEVEL_BIT },
		{ "of what the host cannot write, nothing is told", test_host_read_only,
		  TG_ALL_MODES },
		{ "of several vCPUs, one gets the event", test_race, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
