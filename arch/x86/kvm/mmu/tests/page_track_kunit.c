// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 1: counting, and what it forbids. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/* Counting */

static void page_is_tracked_once_added(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t gfn = PTK_BASE + 7;

	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, gfn));
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, gfn), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, gfn));
}

static void neighbours_are_not_tracked(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t gfn = PTK_BASE + 7;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, gfn), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, gfn - 1));
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, gfn + 1));
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, gfn + PTK_BLOCK));
}

static void each_add_needs_a_remove(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, PTK_BASE, 3), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
}

static void page_can_be_tracked_again(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
}

static void no_slot_is_not_tracked(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, NULL, PTK_BASE));
}

/* Refusals, which must change nothing */

struct state {
	s64 pages, bytes;
	int lpages;
};

static struct state get_state(struct kunit *test, struct kvm_memory_slot *slot,
			      gfn_t gfn)
{
	return (struct state) {
		.pages = ptk_pages(test),
		.bytes = ptk_bytes(test),
		.lpages = ptk_disallow_lpages(slot, gfn),
	};
}

static void expect_state(struct kunit *test, struct kvm_memory_slot *slot,
			 gfn_t gfn, struct state want)
{
	struct state got = get_state(test, slot, gfn);

	KUNIT_EXPECT_EQ(test, got.pages, want.pages);
	KUNIT_EXPECT_EQ(test, got.bytes, want.bytes);
	KUNIT_EXPECT_EQ(test, got.lpages, want.lpages);
}

static void remove_without_block_is_refused(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	struct state before = get_state(test, slot, PTK_BASE);

	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), -ENOENT);
	expect_state(test, slot, PTK_BASE, before);
}

static void remove_without_directory_is_refused(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), -ENOENT);
}

static void remove_below_zero_is_refused(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	struct state before;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);

	before = get_state(test, slot, PTK_BASE);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), -ENOENT);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
	expect_state(test, slot, PTK_BASE, before);
}

static void counter_ends_at_its_limit(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	struct state before;

	KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, PTK_BASE, USHRT_MAX), 0);

	before = get_state(test, slot, PTK_BASE);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), -EOVERFLOW);
	expect_state(test, slot, PTK_BASE, before);
	KUNIT_EXPECT_EQ(test, ptk_drain(test, slot, PTK_BASE), USHRT_MAX);
}

/* Two address spaces */

static void other_address_space_sees_the_page(struct kunit *test)
{
	struct kvm_memory_slot *slot, *smm_slot;
	gfn_t gfn = PTK_BASE + PTK_NPAGES - 1;

	ptk_require_smm(test);
	slot = ptk_create_tracked_slot(test);
	smm_slot = ptk_create_slot_at(test, PTK_SMM_SLOT, gfn, 1);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, gfn), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, smm_slot, gfn));

	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, gfn), 1);
	KUNIT_EXPECT_EQ(test, ptk_add(test, smm_slot, gfn), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, gfn));
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, gfn - 1));
}

static void address_spaces_count_apart(struct kunit *test)
{
	struct kvm_memory_slot *slot, *smm_slot;

	ptk_require_smm(test);
	slot = ptk_create_tracked_slot(test);
	smm_slot = ptk_create_slot_at(test, PTK_SMM_SLOT, PTK_BASE, PTK_NPAGES);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, smm_slot, PTK_BASE), -ENOENT);
	KUNIT_EXPECT_EQ(test, ptk_add(test, smm_slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
}

/* Large pages and statistics */

static void tracked_page_forbids_large_pages_once(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t gfn = PTK_BASE + PTK_BLOCK;
	int level, before;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		before = ptk_disallow_lpage(slot, gfn, level);
		KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, gfn, 3), 0);
		KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, level), before + 1);
		KUNIT_EXPECT_EQ(test, ptk_drain(test, slot, gfn), 3);
		KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, level), before);
	}
}

static void large_page_is_allowed_after_last_page(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t gfn = ALIGN(PTK_BASE, KVM_PAGES_PER_HPAGE(PG_LEVEL_2M));

	KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, PG_LEVEL_2M), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, gfn), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, gfn + 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, gfn), 1);
	KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, PG_LEVEL_2M), 1);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, gfn + 1), 1);
	KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, PG_LEVEL_2M), 0);
}

static void statistics_count_pages_not_adds(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, PTK_BASE, 5), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE + 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	KUNIT_EXPECT_EQ(test, ptk_drain(test, slot, PTK_BASE), 5);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
}

static struct kunit_case page_track_cases[] = {
	KUNIT_CASE(page_is_tracked_once_added),
	KUNIT_CASE(neighbours_are_not_tracked),
	KUNIT_CASE(each_add_needs_a_remove),
	KUNIT_CASE(page_can_be_tracked_again),
	KUNIT_CASE(no_slot_is_not_tracked),
	KUNIT_CASE(remove_without_directory_is_refused),
	KUNIT_CASE(remove_without_block_is_refused),
	KUNIT_CASE(remove_below_zero_is_refused),
	KUNIT_CASE(counter_ends_at_its_limit),
	KUNIT_CASE(other_address_space_sees_the_page),
	KUNIT_CASE(address_spaces_count_apart),
	KUNIT_CASE(tracked_page_forbids_large_pages_once),
	KUNIT_CASE(large_page_is_allowed_after_last_page),
	KUNIT_CASE(statistics_count_pages_not_adds),
	{}
};

static struct kunit_suite page_track_suite = {
	.name = "kvm_page_track",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = page_track_cases,
};

kunit_test_suite(page_track_suite);
