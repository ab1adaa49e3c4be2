// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write that KVM itself does is told after the fact, whatever the action, as often as
 * there is room, and never together with one that the emulator does.  Userspace has KVM
 * write here, by the MSR of the wall clock, which writes at once; the other writers have
 * tests of their own.
 */
#include <sched.h>
#include <string.h>

#include "by_kvm.h"
#include "cases.h"
#include "stats.h"

#define VA		0x40000000ul
#define GPA		tg_data(1)
#define FILL_GPA	tg_data(0)

/* More than a tracker keeps the order of. */
#define QUEUED		32
#define MANY		100
#define ROOM		KVM_PAGE_TRACK_MIN_EVENTS

static void write_by_kvm(struct tiny_guest *g, uint64_t gpa)
{
	vcpu_set_msr(g->vcpu, MSR_KVM_WALL_CLOCK_NEW, gpa);
}

static void track(struct tiny_guest *g, struct tracker *t, uint32_t nr_events,
		  uint32_t flags, uint32_t action)
{
	tg_map(g, VA, GPA);
	tracker_create(g->vm, t, nr_events, flags, 0);
	tracker_add(t, GPA, PAGE_SIZE, action);
}

/* The event comes to whoever sleeps for it, without another call. */
static void test_poll(struct tiny_guest *g)
{
	struct tracker t;

	track(g, &t, 64, 0, TRACKER_NOTIFY);
	write_by_kvm(g, GPA);
	while (!tracker_count(&t))
		sched_yield();
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);

	write_by_kvm(g, GPA + PAGE_SIZE);
	TEST_ASSERT(!tracker_poll(&t, 0), "An event of a page that is not tracked");
	tracker_close(&t);
}

/* Each write by the guest has its event, and nothing of it counts as KVM's. */
static void test_not_twice(struct tiny_guest *g)
{
	static const enum tg_op ops[] = { TG_STORE4, TG_XCHG4, TG_LOCK_OR4 };
	struct kvm_page_track_event want;
	struct kvm_regs regs;
	struct tracker t;
	int i;

	track(g, &t, 64, 0, TRACKER_NOTIFY);
	vm_mem_region_set_flags(g->vm, TG_DATA_SLOT, KVM_MEM_LOG_DIRTY_PAGES);

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		regs = (struct kvm_regs) { .rdi = VA, .rax = 0x600df00d + i };
		TEST_ASSERT(tg_run(g, ops[i], &regs), "Operation %d faulted", ops[i]);
		want = tracker_write_event(g, VA, GPA, addr_gpa2hva(g->vm, GPA), 4);
		TRACKER_ASSERT_EVENT(&t, &want);
		tracker_poll(&t, 0);
		TRACKER_ASSERT_EMPTY(&t);
	}
	tracker_close(&t);
}

/* Nobody is asked. */
static void test_exit(struct tiny_guest *g)
{
	struct tracker t;

	track(g, &t, 64, 0, TRACKER_EXIT);
	write_by_kvm(g, GPA);
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);
	TG_ASSERT_LOAD(g, VA, *(uint32_t *)addr_gpa2hva(g->vm, GPA));
	tracker_close(&t);
}

/* The page is given up, told once, and can be had again. */
static void test_once(struct tiny_guest *g)
{
	struct kvm_page_track_event want = by_kvm_event(GPA, 0);
	struct kvm_page_track_range range;
	struct tracker t;
	int i;

	track(g, &t, 64, 0, TRACKER_ONCE);
	want.flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;

	for (i = 0; i < 2; i++) {
		write_by_kvm(g, GPA);
		tracker_poll(&t, 0);
		write_by_kvm(g, GPA);
		tracker_poll(&t, 0);
		TRACKER_ASSERT_EVENT(&t, &want);
		TRACKER_ASSERT_EMPTY(&t);
		TEST_ASSERT_EQ(tracker_next(&t, GPA, &range), ENOENT);

		tg_store(g, VA, 1, 4);
		TRACKER_ASSERT_EMPTY(&t);
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_ONCE);
	}
	tracker_close(&t);
}

/* Each tracker is told by its own ranges, also of what was written before it let go. */
static void test_trackers(struct tiny_guest *g)
{
	struct tracker a, b;

	track(g, &a, 64, 0, TRACKER_NOTIFY);
	tracker_create(g->vm, &b, 64, 0, 0);
	tracker_add(&b, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);

	write_by_kvm(g, GPA);
	BY_KVM_ASSERT_WRITTEN(&a, GPA, 0);
	BY_KVM_ASSERT_WRITTEN(&b, GPA, 0);

	write_by_kvm(g, GPA + PAGE_SIZE);
	TEST_ASSERT(!tracker_poll(&a, 0), "An event of another tracker's page");
	BY_KVM_ASSERT_WRITTEN(&b, GPA + PAGE_SIZE, 0);

	write_by_kvm(g, GPA);
	tracker_remove(&a, GPA, PAGE_SIZE);
	TEST_ASSERT(tracker_count(&a), "Removed, and the event is not there");
	BY_KVM_ASSERT_WRITTEN(&a, GPA, 0);

	write_by_kvm(g, GPA);
	TEST_ASSERT(!tracker_poll(&a, 0), "An event of a range that was removed");
	tracker_close(&a);
	tracker_close(&b);
}

/*
 * With events of a page of its own.  KVM writes to it several times at once, so that it
 * may be written again, and wait, when the ring is full.
 */
static void fill_ring(struct tiny_guest *g, struct tracker *t)
{
	tracker_add(t, FILL_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	while (tracker_count(t) < t->nr_events) {
		write_by_kvm(g, FILL_GPA);
		tracker_poll(t, 0);
	}
}

/* The next event but those.  False if there is none. */
static bool pop(struct tracker *t, struct kvm_page_track_event *event)
{
	while (tracker_poll(t, 0) && tracker_pop(t, event)) {
		if (event->gpa != FILL_GPA)
			return true;
	}
	return false;
}

/* Each page of MANY is told once, those that are known to be of vCPU 0 first. */
static void assert_all_told(struct tracker *t)
{
	struct kvm_page_track_event event, want;
	int nr = 0, known = 0;
	bool seen[MANY] = {};
	uint64_t i;

	for (; pop(t, &event); nr++) {
		i = (event.gpa - GPA) / PAGE_SIZE;
		TEST_ASSERT(i < MANY && !seen[i], "An event for 0x%llx", event.gpa);
		seen[i] = true;

		known += !event.vcpu_id && known == nr;
		want = by_kvm_event(event.gpa, known > nr ? 0 : KVM_PAGE_TRACK_NO_VCPU);
		want.seq = event.seq;
		want.time = event.time;
		TEST_ASSERT(!memcmp(&event, &want, sizeof(want)),
			    "Event %d is of vCPU %u, flags 0x%x", nr, event.vcpu_id, event.flags);
	}
	TEST_ASSERT_EQ(nr, MANY);
	TEST_ASSERT(known == QUEUED || known == QUEUED - 1, "%d of vCPU 0", known);
}

/*
 * Whatever is written while the ring is full waits for room, a page once.  Who wrote is
 * known of the first, in their order.
 */
static void test_full(struct tiny_guest *g)
{
	struct tracker t;
	int i;

	track(g, &t, ROOM, 0, TRACKER_NOTIFY);
	tracker_add(&t, GPA, MANY * PAGE_SIZE, TRACKER_NOTIFY);
	fill_ring(g, &t);

	for (i = 0; i < 2 * MANY; i++)
		write_by_kvm(g, GPA + i % MANY * PAGE_SIZE);

	/* The vCPU does not run on, as for any full ring. */
	tg_start(g, TG_LOAD, &(struct kvm_regs) { .rdi = VA });
	vcpu_run(g->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(g->vcpu, KVM_EXIT_PAGE_TRACK);
	TEST_ASSERT_EQ(g->vcpu->run->page_track.reason, KVM_PAGE_TRACK_REASON_RING_FULL);

	assert_all_told(&t);
	vcpu_run(g->vcpu);
	tg_assert_ended(g);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* A lossy ring stops nobody, and counts. */
static void test_lossy(struct tiny_guest *g)
{
	struct tracker t;

	track(g, &t, ROOM, KVM_PAGE_TRACKER_LOSSY, TRACKER_NOTIFY);
	fill_ring(g, &t);
	write_by_kvm(g, GPA);
	tracker_poll(&t, 0);
	TEST_ASSERT(t.ring->lost, "An event without room was not lost");
	TG_ASSERT_LOAD(g, VA, *(uint32_t *)addr_gpa2hva(g->vm, GPA));
	tracker_close(&t);
}

/* Pages are collected when KVM's writes to them have been told, not before. */
static void test_collect(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	uint64_t bitmap = 0;
	struct tracker t;

	track(g, &t, ROOM, 0, TRACKER_ONCE);
	fill_ring(g, &t);
	write_by_kvm(g, GPA);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, PAGE_SIZE, 0, &bitmap), EAGAIN);
	TEST_ASSERT_EQ(bitmap, 0);

	TEST_ASSERT(pop(&t, &event), "There is no event");
	by_kvm_assert_event(&event, GPA, KVM_PAGE_TRACK_EVENT_UNTRACKED);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, PAGE_SIZE, 0, &bitmap), 0);
	TEST_ASSERT_EQ(bitmap, 1);
	tracker_close(&t);
}

/* What was written stays to be told when the slot goes; the next one is told as well. */
static void test_slot(struct tiny_guest *g)
{
	struct userspace_mem_region *region = memslot2region(g->vm, TG_DATA_SLOT);
	struct kvm_userspace_memory_region r = {
		.slot = TG_DATA_SLOT,
		.guest_phys_addr = TG_DATA_GPA,
		.userspace_addr = region->region.userspace_addr,
	};
	struct kvm_page_track_event event;
	struct tracker t;

	track(g, &t, ROOM, 0, TRACKER_NOTIFY);
	fill_ring(g, &t);
	write_by_kvm(g, GPA);

	vm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
	TEST_ASSERT(pop(&t, &event), "What was written before is not told");
	by_kvm_assert_event(&event, GPA, 0);
	TEST_ASSERT(!pop(&t, &event), "An event too many");

	r.memory_size = region->region.memory_size;
	vm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
	write_by_kvm(g, GPA);
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "told soon", test_poll, TG_4LEVEL_BIT },
		{ "what the guest writes is told once", test_not_twice, TG_4LEVEL_BIT },
		{ "exit", test_exit, TG_4LEVEL_BIT },
		{ "once", test_once, TG_4LEVEL_BIT },
		{ "two trackers", test_trackers, TG_4LEVEL_BIT },
		{ "full ring", test_full, TG_4LEVEL_BIT },
		{ "lossy ring", test_lossy, TG_4LEVEL_BIT },
		{ "collected", test_collect, TG_4LEVEL_BIT },
		{ "slot", test_slot, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
