// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracked page splits the huge page around it, and no other.  When it is not tracked
 * any more, the huge page comes back.
 */
#include "page_tracker.h"

#define VA		0x40000000ul
#define SLOT		PT_NR_SLOTS
#define GPA		0x10000000ul
#define HUGE_SIZE	0x200000ul
#define NR_HUGE		2
/* In the first huge page: the tracked page, and one beside it. */
#define TRACKED		(5 * PAGE_SIZE)
#define BESIDE		(6 * PAGE_SIZE)

static void touch(struct pt_guest *g, uint64_t offset)
{
	pt_store(g, VA + offset, 0x77, 4);
}

/* Huge SPTEs need a huge page of the host and, in two dimensions, nothing else. */
static bool init(struct pt_guest *g, struct tracker *t)
{
	uint64_t offset;
	int i;

	if (pt_shadowed()) {
		g->skip = "the guest has no huge pages for shadow paging to map";
		return false;
	}

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS_THP, GPA, SLOT,
				    NR_HUGE * HUGE_SIZE / PAGE_SIZE, 0);
	for (i = 0; i < NR_HUGE; i++) {
		offset = i * HUGE_SIZE + TRACKED;
		pt_map(g, VA + offset, GPA + offset);
		pt_map(g, VA + offset - TRACKED + BESIDE, GPA + offset - TRACKED + BESIDE);
		touch(g, offset);
	}

	/* The tiny guest's own slots may have some, too. */
	if (pt_stat(g, "pages_2m") < NR_HUGE) {
		g->skip = "the host has no huge pages";
		return false;
	}

	tracker_create(g->vm, t, 1024, 0, 0);
	return true;
}

/* Track the page, which is @huge pages less, however often the page beside it is used. */
static void track(struct pt_guest *g, struct tracker *t, uint32_t action)
{
	uint64_t huge = pt_stat(g, "pages_2m");

	tracker_add(t, GPA + TRACKED, PAGE_SIZE, action);
	touch(g, BESIDE);
	touch(g, HUGE_SIZE + TRACKED);
	PT_ASSERT_STAT(g, "pages_2m", huge - 1);
	PT_ASSERT_STAT(g, "page_track_pages", 1);
}

/* The page is not tracked any more. */
static void assert_huge_again(struct pt_guest *g, uint64_t huge)
{
	uint64_t emulated = pt_vcpu_stat(g, "pf_emulate");

	PT_ASSERT_STAT(g, "page_track_pages", 0);
	touch(g, TRACKED);
	PT_ASSERT_STAT(g, "pages_2m", huge);
	TEST_ASSERT_EQ(pt_vcpu_stat(g, "pf_emulate"), emulated);
}

static void test_remove(struct pt_guest *g)
{
	struct tracker t;
	uint64_t huge;

	if (!init(g, &t))
		return;

	huge = pt_stat(g, "pages_2m");
	track(g, &t, TRACKER_NOTIFY);
	touch(g, TRACKED);
	PT_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_remove(&t, GPA + TRACKED, PAGE_SIZE);
	assert_huge_again(g, huge);
	tracker_close(&t);
}

static void test_close(struct pt_guest *g)
{
	struct tracker t;
	uint64_t huge;

	if (!init(g, &t))
		return;

	huge = pt_stat(g, "pages_2m");
	track(g, &t, TRACKER_NOTIFY);
	tracker_close(&t);
	assert_huge_again(g, huge);
}

static void test_once(struct pt_guest *g)
{
	struct tracker t;
	uint64_t huge;

	if (!init(g, &t))
		return;

	huge = pt_stat(g, "pages_2m");
	track(g, &t, TRACKER_ONCE);
	touch(g, TRACKED);
	assert_huge_again(g, huge);
	tracker_close(&t);
}

/* Whoever is the last of two trackers brings the huge page back. */
static void test_two(struct pt_guest *g)
{
	struct tracker t, other;
	uint64_t huge;

	if (!init(g, &t))
		return;

	huge = pt_stat(g, "pages_2m");
	tracker_create(g->vm, &other, 1024, 0, 0);
	tracker_add(&other, GPA + TRACKED, PAGE_SIZE, TRACKER_NOTIFY);
	PT_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_add(&t, GPA + TRACKED, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_remove(&other, GPA + TRACKED, PAGE_SIZE);
	touch(g, TRACKED);
	touch(g, BESIDE);
	PT_ASSERT_STAT(g, "pages_2m", huge - 1);
	tracker_close(&t);
	assert_huge_again(g, huge);
	tracker_close(&other);
}

int main(void)
{
	static const struct pt_case cases[] = {
		{ "removed", test_remove, PT_4LEVEL_BIT, true },
		{ "closed", test_close, PT_4LEVEL_BIT, true },
		{ "once", test_once, PT_4LEVEL_BIT, true },
		{ "two trackers", test_two, PT_4LEVEL_BIT, true },
	};

	tracker_require();
	pt_run_cases(cases, ARRAY_SIZE(cases));
}
