// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring of events: a full one stops the vCPU before its write and loses nothing,
 * a lossy one counts, and nothing that userspace writes to it hurts.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR		KVM_PAGE_TRACK_MIN_EVENTS	/* of events in the smallest ring */

static void init_ring(struct tiny_guest *g, struct tracker *t, uint32_t flags)
{
	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	tracker_create(g->vm, t, NR, flags, 0x1234567890ul);
	tracker_add(t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
}

static struct kvm_regs store_regs(uint32_t val)
{
	return (struct kvm_regs) { .rdi = VA + val * 4 % PAGE_SIZE, .rax = val };
}

static uint32_t load(struct tiny_guest *g, int offset)
{
	return *(uint32_t *)addr_gpa2hva(g->vm, GPA + offset);
}

static void assert_stopped(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_RING_FULL &&
		    !run->page_track.flags && run->page_track.user_data == 0x1234567890ul,
		    "exit reason %u where the ring is full", run->exit_reason);
}

static void run_to_end(struct tiny_guest *g)
{
	vcpu_run(g->vcpu);
	TEST_ASSERT(tg_has_ended(g), "exit reason %u", g->vcpu->run->exit_reason);
}

/* Store @first and so on until the ring is full, which it is then. */
static void fill(struct tiny_guest *g, uint32_t first, int nr)
{
	struct kvm_regs regs;
	uint32_t val;

	for (val = first; val < first + nr; val++) {
		regs = store_regs(val);
		tg_start(g, TG_STORE4, &regs);
		vcpu_run(g->vcpu);
		TEST_ASSERT_EQ(load(g, val * 4 % PAGE_SIZE), val);
		if (val < first + nr - 1)
			TEST_ASSERT(tg_has_ended(g), "exit reason %u before the ring is full",
				    g->vcpu->run->exit_reason);
	}
	assert_stopped(g);
}

static void pop(struct tracker *t, uint32_t want)
{
	struct kvm_page_track_event event;
	uint32_t got;

	TEST_ASSERT(tracker_pop(t, &event), "No event of the write of %u", want);
	memcpy(&got, event.data, sizeof(got));
	TEST_ASSERT_EQ(got, want);
	TEST_ASSERT_EQ(event.gpa, GPA + want * 4 % PAGE_SIZE);
}

static void test_full(struct tiny_guest *g)
{
	struct kvm_regs regs = store_regs(NR + 1);
	struct tracker t;
	uint32_t i;

	init_ring(g, &t, 0);
	TEST_ASSERT(!tracker_poll(&t, 0), "poll() tells of events in an empty ring");
	fill(g, 1, NR);
	TEST_ASSERT(tracker_poll(&t, 0), "poll() does not tell of events");
	TEST_ASSERT_EQ(tracker_count(&t), NR);

	/* As often as userspace tries. */
	vcpu_run(g->vcpu);
	assert_stopped(g);

	pop(&t, 1);
	run_to_end(g);

	/* The one free place is taken, and the next write does not happen. */
	tg_start(g, TG_STORE4, &regs);
	vcpu_run(g->vcpu);
	assert_stopped(g);
	TEST_ASSERT_EQ(load(g, (NR + 1) * 4), NR + 1);
	regs = store_regs(NR + 2);
	tg_start(g, TG_STORE4, &regs);
	vcpu_run(g->vcpu);
	assert_stopped(g);
	TEST_ASSERT(load(g, (NR + 2) * 4) != NR + 2, "The write was done without room");

	for (i = 2; i < 5; i++)
		pop(&t, i);
	run_to_end(g);
	TEST_ASSERT_EQ(load(g, (NR + 2) * 4), NR + 2);

	for (i = 5; i <= NR + 2; i++)
		pop(&t, i);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The second half of a crossing write has no room, and is not lost. */
static void test_backlog(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE - 1, .rax = 0x44332211 };
	struct kvm_page_track_event want;
	struct tracker t;
	uint8_t data[4] = { 0x11, 0x22, 0x33, 0x44 };
	uint32_t i;

	init_ring(g, &t, 0);
	fill(g, 1, NR);
	pop(&t, 1);
	run_to_end(g);

	tg_start(g, TG_STORE4, &regs);
	vcpu_run(g->vcpu);
	assert_stopped(g);
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, GPA + PAGE_SIZE), data + 1, 3),
		    "half a write only");
	TEST_ASSERT_EQ(tracker_count(&t), NR);
	for (i = 2; i <= NR; i++)
		pop(&t, i);

	want = tracker_write_event(g, VA + PAGE_SIZE - 1, GPA + PAGE_SIZE - 1, data, 1);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);

	/* A look at the ring is enough, should no vCPU ever run again. */
	TEST_ASSERT(tracker_poll(&t, 0), "poll() does not find the backlog");
	want = tracker_write_event(g, VA + PAGE_SIZE, GPA + PAGE_SIZE, data + 1, 3);
	TRACKER_ASSERT_EVENT(&t, &want);
	run_to_end(g);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* A string instruction stops between two elements and goes on from there. */
static void test_string(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rax = 0x5a5a5a5a, .rcx = 1000 };
	struct kvm_page_track_event want;
	struct tracker t;
	int i, stops = 0;

	init_ring(g, &t, 0);
	tg_start(g, TG_REP_STOS4, &regs);

	for (i = 0; i < 1000; stops++) {
		vcpu_run(g->vcpu);
		if (tg_has_ended(g))
			break;
		assert_stopped(g);
		TEST_ASSERT_EQ(tracker_count(&t), NR);
		vcpu_regs_get(g->vcpu, &regs);
		TEST_ASSERT_EQ(regs.rcx, 1000 - (i + NR));
		TEST_ASSERT_EQ(regs.rdi, VA + 4 * (i + NR));
		TEST_ASSERT_EQ(regs.rip, tg_op_rip(TG_REP_STOS4));

		while (tracker_count(&t)) {
			want = tracker_write_event(g, VA + 4 * i, GPA + 4 * i, &regs.rax, 4);
			TRACKER_ASSERT_EVENT(&t, &want);
			i++;
		}
	}

	TEST_ASSERT_EQ(stops, 1000 / NR);
	for (; i < 1000; i++) {
		want = tracker_write_event(g, VA + 4 * i, GPA + 4 * i, &regs.rax, 4);
		TRACKER_ASSERT_EVENT(&t, &want);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_lossy(struct tiny_guest *g)
{
	struct tracker t;
	uint32_t i;

	init_ring(g, &t, KVM_PAGE_TRACKER_LOSSY);
	for (i = 1; i <= NR + 10; i++)
		tg_store(g, VA + 4 * i, i, 4);
	TEST_ASSERT_EQ(t.ring->lost, 10);

	for (i = 1; i <= NR; i++)
		pop(&t, i);
	TRACKER_ASSERT_EMPTY(&t);

	/* Lost events have their numbers, too. */
	tg_store(g, VA + 4 * 7, 7, 4);
	t.seq += 10;
	pop(&t, 7);
	TEST_ASSERT_EQ(t.ring->lost, 10);
	tracker_close(&t);
}

/* Another tracker of the same page still gets all, when one is full. */
static void test_two_rings(struct tiny_guest *g)
{
	struct kvm_regs regs = store_regs(NR + 1);
	struct tracker small, big;
	uint32_t i;

	init_ring(g, &small, 0);
	tracker_create(g->vm, &big, 2 * NR, 0, 0);
	tracker_add(&big, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	fill(g, 1, NR);
	tg_start(g, TG_STORE4, &regs);
	vcpu_run(g->vcpu);
	assert_stopped(g);
	TEST_ASSERT_EQ(tracker_count(&big), NR);

	/* Closing the full one lets the vCPU go. */
	tracker_close(&small);
	run_to_end(g);
	for (i = 1; i <= NR + 1; i++)
		pop(&big, i);
	TRACKER_ASSERT_EMPTY(&big);
	tracker_close(&big);
}

static void test_corrupt(struct tiny_guest *g)
{
	/* The last one is not ahead of the head: the event is stored. */
	static const uint32_t tails[] = { 1, 0x7fffffff, 0x80000000, 0xffffffff };
	struct kvm_page_track_event event;
	struct tracker t, other;
	int i;

	init_ring(g, &t, KVM_PAGE_TRACKER_LOSSY);
	tracker_create(g->vm, &other, NR, 0, 0);
	tracker_add(&other, GPA, PAGE_SIZE, TRACKER_NOTIFY);

	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		memset(t.ring, 0xa5 + i, PAGE_SIZE + NR * sizeof(*t.events));
		t.ring->tail = tails[i];
		tg_store(g, VA + 4 * (i + 1), i + 1, 4);
		pop(&other, i + 1);
	}

	/* With a tail that can be, events come as if nothing had been. */
	memset(t.ring, 0, PAGE_SIZE + NR * sizeof(*t.events));
	t.ring->tail = 0;
	tg_store(g, VA + 4 * 9, 9, 4);
	TEST_ASSERT_EQ(t.ring->head, 2);
	event = t.events[t.ring->head - 1];
	TEST_ASSERT_EQ(event.seq, ARRAY_SIZE(tails));
	TEST_ASSERT_EQ(event.gpa, GPA + 4 * 9);
	pop(&other, 9);
	tracker_close(&other);
	tracker_close(&t);
}

static int map_errno(struct tracker *t, size_t pages, int flags, off_t offset)
{
	void *p = mmap(NULL, pages * PAGE_SIZE, PROT_READ, flags, t->fd, offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, pages * PAGE_SIZE);
	return 0;
}

static void test_time(struct tiny_guest *g)
{
	uint64_t before, first, second, after;
	struct kvm_page_track_event event;
	struct tracker t;

	init_ring(g, &t, 0);
	tg_store(g, VA, 1, 4);
	before = tracker_now();
	tg_store(g, VA, 2, 4);
	first = tracker_now();
	tg_store(g, VA, 3, 4);
	after = tracker_now();

	TEST_ASSERT(tracker_pop(&t, &event) && event.time < before, "%llu is not before %lu",
		    event.time, before);
	TEST_ASSERT(tracker_pop(&t, &event) && event.time > before && event.time < first,
		    "%llu is not from %lu to %lu", event.time, before, first);
	second = event.time;
	TEST_ASSERT(tracker_pop(&t, &event) && event.time > first && event.time < after,
		    "%llu is not from %lu to %lu", event.time, first, after);
	TEST_ASSERT(event.time > second, "No time has passed");
	tracker_close(&t);
}

/* An event has the place that its number says, however often the ring was full. */
static void test_places(struct tiny_guest *g)
{
	const uint32_t nr = 2 * NR;
	struct kvm_page_track_event event;
	struct tracker t;
	uint32_t i;

	TEST_ASSERT_EQ(sizeof(event), 128);
	tg_map(g, VA, GPA);
	tracker_create(g->vm, &t, nr, 0, 0);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < 5 * nr + 3; i++) {
		tg_store(g, VA + i * 4 % PAGE_SIZE, i, 4);
		memcpy(&event, (void *)t.ring + PAGE_SIZE + i % nr * 128, sizeof(event));
		TEST_ASSERT(event.seq == i && event.gpa == GPA + i * 4 % PAGE_SIZE &&
			    !memcmp(event.data, &i, 4), "Event %u has the number %llu", i,
			    event.seq);
		TEST_ASSERT(tracker_pop(&t, &event), "No event %u", i);
	}
	tracker_close(&t);
}

static void test_mmap(struct tiny_guest *g)
{
	struct tracker t, big;
	uint64_t pages;

	init_ring(g, &t, 0);
	TG_ASSERT_LOAD(g, VA, GPA);
	pages = tg_stat(g, "page_track_pages") - 2;
	TEST_ASSERT_EQ(map_errno(&t, 2, MAP_SHARED, 0), 0);
	TEST_ASSERT_EQ(map_errno(&t, 1, MAP_SHARED, 0), 0);
	TEST_ASSERT_EQ(map_errno(&t, 3, MAP_SHARED, 0), EINVAL);
	TEST_ASSERT_EQ(map_errno(&t, 2, MAP_PRIVATE, 0), EINVAL);
	TEST_ASSERT_EQ(map_errno(&t, 2, MAP_SHARED, PAGE_SIZE), EINVAL);
	TEST_ASSERT_EQ(map_errno(&t, 1, MAP_SHARED, PAGE_SIZE), EINVAL);
	tracker_create(g->vm, &big, 128, 0, 0);
	TEST_ASSERT_EQ(map_errno(&big, 5, MAP_SHARED, 0), 0);
	TEST_ASSERT_EQ(map_errno(&big, 3, MAP_SHARED, 0), EINVAL);
	tracker_close(&big);

	/* The mapping outlives the file descriptor, with all that is tracked. */
	TEST_ASSERT(!close(t.fd), "close() failed");
	tg_store(g, VA + 4, 1, 4);
	pop(&t, 1);
	tracker_unmap(&t);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a full ring stops the vCPU before its write", test_full, TG_ALL_MODES },
		{ "a write that is half done is not lost", test_backlog, TG_4LEVEL_BIT },
		{ "a string instruction stops in between", test_string, TG_ALL_MODES },
		{ "a lossy ring counts what it loses", test_lossy, TG_4LEVEL_BIT },
		{ "a full ring does not touch another one", test_two_rings, TG_4LEVEL_BIT },
		{ "a corrupt ring hurts nobody else", test_corrupt, TG_4LEVEL_BIT },
		{ "an event has its time", test_time, TG_4LEVEL_BIT },
		{ "an event has its place", test_places, TG_4LEVEL_BIT },
		{ "the ring is mapped whole and shared", test_mmap, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
