// SPDX-License-Identifier: GPL-2.0-only
/*
 * A range call, or one that collects, touches the SPTEs of what it changes, no others, and
 * flushes once.
 */
#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define SLOT		TG_NR_SLOTS
/* Not aligned to 2M as its memory is, so that all is mapped by pages of 4K. */
#define GPA		0x10001000ul
#define NR_PAGES	100
#define SIZE		(NR_PAGES * PAGE_SIZE)

#define HUGE_GPA	0x20000000ul
#define NR_HUGE		8

/* What a call costs: pages of 4K that are unmapped, and TLB flushes. */
struct cost {
	uint64_t pages, flushes;
};

static struct cost get_cost(struct tiny_guest *g)
{
	return (struct cost) {
		.pages = tg_stat(g, "pages_4k"),
		.flushes = tg_stat(g, "remote_tlb_flush_requests"),
	};
}

static void assert_cost(struct tiny_guest *g, struct cost before, const char *what,
			uint64_t flushes)
{
	struct cost now = get_cost(g);

	TEST_ASSERT(now.pages == before.pages, "7: %s: %lu of %lu pages are left", what,
		    now.pages, before.pages);
	TEST_ASSERT(now.flushes - before.flushes == flushes, "7: %s: %lu flushes, not %lu",
		    what, now.flushes - before.flushes, flushes);
}

static void touch(struct tiny_guest *g, int i)
{
	tg_store(g, VA + i * PAGE_SIZE, 0x55 + i, 4);
}

static void init(struct tiny_guest *g, struct tracker *t)
{
	int i;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, NR_PAGES, 0);
	for (i = 0; i < NR_PAGES; i++) {
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
		touch(g, i);
	}
	tracker_create(g->vm, t, 1024, 0, 0);
}

static void test_add(struct tiny_guest *g)
{
	struct tracker t, other;
	struct cost before;

	init(g, &t);
	tracker_create(g->vm, &other, 1024, 0, 0);

	before = get_cost(g);
	tracker_add(&t, GPA + 3 * PAGE_SIZE, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	assert_cost(g, before, "add two", 1);

	before = get_cost(g);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	assert_cost(g, before, "add the others", 1);

	before = get_cost(g);
	tracker_add(&t, GPA, SIZE, TRACKER_NOTIFY);
	tracker_add(&other, GPA + PAGE_SIZE, SIZE - PAGE_SIZE, TRACKER_NOTIFY);
	assert_cost(g, before, "add what is tracked", 0);

	tracker_remove(&other, GPA, SIZE);
	tracker_remove(&t, GPA + PAGE_SIZE, PAGE_SIZE);
	tracker_close(&t);
	assert_cost(g, before, "remove", 0);
	tracker_close(&other);
}

/* Of three pages that were given up, each in a gap of its own. */
static void test_add_again(struct tiny_guest *g)
{
	struct cost before;
	struct tracker t;

	init(g, &t);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	touch(g, 2);
	touch(g, 11);
	touch(g, 12);
	touch(g, NR_PAGES - 1);
	TEST_ASSERT_EQ(tracker_count(&t), 4);

	before = get_cost(g);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	assert_cost(g, before, "add again", 1);

	touch(g, 11);
	touch(g, 3);
	TEST_ASSERT_EQ(tracker_count(&t), 6);
	tracker_close(&t);
}

/* Are given up, alone and in runs, one of which crosses a multiple of 64 gfns. */
static bool is_chosen(int i)
{
	return i < 10 ? i % 3 == 0 : (i >= 58 && i < 68) || i == 70 || i == NR_PAGES - 1;
}

/* Pages between those that are tracked again stay writable. */
static void test_collect(struct tiny_guest *g)
{
	uint64_t bitmap[2] = {}, faults;
	struct cost before;
	struct tracker t;
	int i, nr = 0;

	init(g, &t);
	for (i = 0; i < NR_PAGES; i++) {
		if (is_chosen(i))
			tracker_add(&t, GPA + i * PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	}
	for (i = 0; i < NR_PAGES; i++) {
		touch(g, i);
		nr += is_chosen(i);
	}
	TEST_ASSERT_EQ(tracker_count(&t), nr);

	before = get_cost(g);
	TEST_ASSERT_EQ(tracker_collect(&t, GPA, SIZE, KVM_PAGE_TRACK_COLLECT_REARM, bitmap), 0);
	assert_cost(g, before, "collect", 1);

	faults = tg_vcpu_stat(g, "pf_taken");
	for (i = 0; i < NR_PAGES; i++) {
		TEST_ASSERT_EQ(!!(bitmap[i / 64] & BIT_ULL(i % 64)), is_chosen(i));
		if (!is_chosen(i))
			touch(g, i);
	}
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_taken"), faults);
	TEST_ASSERT_EQ(tracker_count(&t), nr);

	for (i = 0; i < NR_PAGES; i++) {
		if (is_chosen(i))
			touch(g, i);
	}
	TEST_ASSERT_EQ(tracker_count(&t), 2 * nr);
	tracker_close(&t);
}

/* A tracker of the first and the last of many huge pages. */
static void test_close(struct tiny_guest *g)
{
	uint64_t huge = tg_add_huge(g, VA, HUGE_GPA, SLOT, NR_HUGE), before, flushes;
	uint64_t last = (NR_HUGE * TG_HUGE_SIZE) - PAGE_SIZE;
	struct tracker t;

	if (!huge)
		return;

	tracker_create(g->vm, &t, 1024, 0, 0);
	tracker_add(&t, HUGE_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, HUGE_GPA + last, PAGE_SIZE, TRACKER_NOTIFY);
	tg_store(g, VA + PAGE_SIZE, 1, 4);
	tg_store(g, VA + last - PAGE_SIZE, 1, 4);
	TG_ASSERT_STAT(g, "pages_2m", huge - 2);

	before = tg_stat(g, "remote_tlb_flush_requests");
	tracker_close(&t);
	TG_ASSERT_STAT(g, "pages_2m", huge - 2);

	/* One for both pages, or for each if the lock was wanted in between. */
	flushes = tg_stat(g, "remote_tlb_flush_requests") - before;
	TEST_ASSERT(flushes == 1 || flushes == 2, "7: close: %lu flushes", flushes);

	tg_store(g, VA + 2 * PAGE_SIZE, 1, 4);
	tg_store(g, VA + last - 2 * PAGE_SIZE, 1, 4);
	TG_ASSERT_STAT(g, "pages_2m", huge);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "7: add", test_add, TG_4LEVEL_BIT, true },
		{ "7: add again", test_add_again, TG_4LEVEL_BIT, true },
		{ "7: collect", test_collect, TG_4LEVEL_BIT, true },
		{ "7: close", test_close, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
