// SPDX-License-Identifier: GPL-2.0-only
/*
 * What trackers of userspace track is guest memory, whatever slot has it, whoever
 * has mapped it, and whether writes to it are logged as dirty or not.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define SLOT		TG_NR_SLOTS
#define SLOT_GPA	0x10000000ul
#define SLOT_PAGES	16
#define MOVED_GPA	0x20000000ul
#define VA		0x40000000ul
#define NR_VCPUS	3
#define FLUSHES		20

static void create_slot(struct tiny_guest *g, uint32_t flags)
{
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, SLOT_GPA, SLOT,
				    SLOT_PAGES, flags);
}

static void map_pages(struct tiny_guest *g, uint64_t gpa)
{
	int i;

	for (i = 0; i < SLOT_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, gpa + i * PAGE_SIZE);
	tg_flush(g);
}

/* A store to page @page, mapped from @gpa on, leads to an event. */
static void assert_told(struct tiny_guest *g, struct tracker *t, uint64_t gpa, int page)
{
	uint32_t val = 0x1000 + page;
	struct kvm_page_track_event want =
		tracker_write_event(g, VA + page * PAGE_SIZE, gpa + page * PAGE_SIZE,
				    &val, sizeof(val));

	tg_store(g, VA + page * PAGE_SIZE, val, sizeof(val));
	TRACKER_ASSERT_EVENT(t, &want);
	TRACKER_ASSERT_EMPTY(t);
}

static void assert_not_told(struct tiny_guest *g, struct tracker *t, int page)
{
	tg_store(g, VA + page * PAGE_SIZE, 0x2000 + page, 4);
	TRACKER_ASSERT_EMPTY(t);
}

/* However the page got, or did not get, its SPTE. */
static void test_mapped_before(struct tiny_guest *g)
{
	struct tracker t;

	create_slot(g, 0);
	map_pages(g, SLOT_GPA);
	tracker_create(g->vm, &t, 64, 0, 0);
	assert_not_told(g, &t, 1);
	TG_ASSERT_LOAD(g, VA + 2 * PAGE_SIZE, 0);
	tracker_add(&t, SLOT_GPA, 4 * PAGE_SIZE, TRACKER_NOTIFY);

	assert_told(g, &t, SLOT_GPA, 0);
	assert_told(g, &t, SLOT_GPA, 1);
	assert_told(g, &t, SLOT_GPA, 2);
	TG_ASSERT_LOAD(g, VA + 3 * PAGE_SIZE, 0);
	assert_told(g, &t, SLOT_GPA, 3);
	assert_not_told(g, &t, 4);
	tracker_close(&t);
}

static void test_delete(struct tiny_guest *g)
{
	struct kvm_page_track_range range;
	struct tracker t;
	uint64_t pages;

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, SLOT_GPA, 4 * PAGE_SIZE, TRACKER_NOTIFY);
	pages = tg_stat(g, "page_track_pages");

	create_slot(g, 0);
	map_pages(g, SLOT_GPA);
	assert_told(g, &t, SLOT_GPA, 1);
	vm_mem_region_delete(g->vm, SLOT);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	TEST_ASSERT_EQ(tracker_next(&t, 0, &range), 0);
	TEST_ASSERT_EQ(range.size, 4 * PAGE_SIZE);

	create_slot(g, 0);
	assert_told(g, &t, SLOT_GPA, 1);
	assert_not_told(g, &t, 4);
	tracker_remove(&t, SLOT_GPA, 2 * PAGE_SIZE);
	assert_not_told(g, &t, 1);
	assert_told(g, &t, SLOT_GPA, 2);
	tracker_close(&t);
}

/* Linux 6.12 refuses to move a slot as soon as there has been a tracker. */
static void test_move_with_trackers(struct tiny_guest *g)
{
	struct tracker t;

	create_slot(g, 0);
	map_pages(g, SLOT_GPA);
	tg_store(g, VA, 1, 4);

	/* Never attached. */
	vm_mem_region_move(g->vm, SLOT, MOVED_GPA);
	vm_mem_region_move(g->vm, SLOT, SLOT_GPA);

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, SLOT_GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, MOVED_GPA + 3 * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	assert_told(g, &t, SLOT_GPA, 0);
	assert_not_told(g, &t, 3);

	vm_mem_region_move(g->vm, SLOT, MOVED_GPA);
	map_pages(g, MOVED_GPA);
	assert_not_told(g, &t, 0);
	assert_told(g, &t, MOVED_GPA, 3);

	/* Detached. */
	tracker_close(&t);
	vm_mem_region_move(g->vm, SLOT, SLOT_GPA);
	map_pages(g, SLOT_GPA);
	tg_store(g, VA, 1, 4);
}

struct writer {
	struct tiny_guest g;
	pthread_t thread;
};

static void *write_page(void *arg)
{
	struct writer *w = arg;

	tg_store(&w->g, VA + 64 * w->g.vcpu->id, w->g.vcpu->id, 4);
	return NULL;
}

static bool is_dirty(struct tiny_guest *g)
{
	uint64_t bitmap = 0;

	kvm_vm_get_dirty_log(g->vm, SLOT, &bitmap);
	return bitmap & 1;
}

/* Each write of each vCPU is told and makes the page dirty, again and again. */
static void test_dirty_log_then_track(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct writer writers[NR_VCPUS];
	struct tracker t;
	int i, round;

	create_slot(g, KVM_MEM_LOG_DIRTY_PAGES);
	map_pages(g, SLOT_GPA);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, SLOT_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < NR_VCPUS; i++)
		tg_add_vcpu(g, &writers[i].g, i + 1);

	for (round = 0; round < 3; round++) {
		for (i = 0; i < NR_VCPUS; i++)
			pthread_create(&writers[i].thread, NULL, write_page, &writers[i]);
		for (i = 0; i < NR_VCPUS; i++)
			pthread_join(writers[i].thread, NULL);
		for (i = 0; i < NR_VCPUS; i++)
			TEST_ASSERT(tracker_pop(&t, &event), "%d events", i);
		TRACKER_ASSERT_EMPTY(&t);
		TEST_ASSERT(is_dirty(g), "the page is not dirty");
		TEST_ASSERT(!is_dirty(g), "the page is dirty again");
	}

	/* Neither ends with the other. */
	vm_mem_region_set_flags(g->vm, SLOT, 0);
	assert_told(g, &t, SLOT_GPA, 0);
	vm_mem_region_set_flags(g->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	tracker_close(&t);
	tg_store(g, VA, 7, 4);
	TEST_ASSERT(is_dirty(g), "the page is not dirty without a tracker");
}

static void *spin(void *arg)
{
	struct tiny_guest *g = arg;
	struct kvm_regs regs = { .rdi = VA, .rsi = VA + PAGE_SIZE };

	TEST_ASSERT(tg_run(g, TG_SPIN4, &regs), "The loop faulted");
	return NULL;
}

/* Once a range is added, a vCPU that writes all the time cannot go on unseen. */
static void test_running_vcpu(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tiny_guest spinner;
	struct tracker t;
	pthread_t thread;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		g->skip = "a vCPU that spins would keep the only processor";
		return;
	}

	create_slot(g, 0);
	map_pages(g, SLOT_GPA);
	tracker_create(g->vm, &t, 64, 0, 0);
	tg_add_vcpu(g, &spinner, 1);
	pthread_create(&thread, NULL, spin, &spinner);

	for (i = 0; i < FLUSHES; i++) {
		tracker_add(&t, SLOT_GPA, PAGE_SIZE, TRACKER_ONCE);
		TEST_ASSERT(tracker_poll(&t, 20000), "round %d: no event", i);
		TEST_ASSERT(tracker_pop(&t, &event), "round %d: no event", i);
		TEST_ASSERT_EQ(event.gpa, SLOT_GPA);
		TEST_ASSERT_EQ(event.vcpu_id, 1);
		TRACKER_ASSERT_EMPTY(&t);
	}

	*(uint32_t *)addr_gpa2hva(g->vm, SLOT_GPA + PAGE_SIZE) = 1;
	pthread_join(thread, NULL);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "pages are tracked, mapped or not", test_mapped_before, TG_ALL_MODES },
		{ "ranges outlive a slot", test_delete, TG_4LEVEL_BIT },
		{ "slots move with trackers", test_move_with_trackers, TG_4LEVEL_BIT },
		{ "dirty log, tracking, and writes of several vCPUs",
		  test_dirty_log_then_track, TG_4LEVEL_BIT },
		{ "a running vCPU loses the access", test_running_vcpu, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
