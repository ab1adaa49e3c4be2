// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: the ranges of trackers. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/* Across the edge of two blocks, in the slot of PTK_BASE. */
#define FIRST	(PTK_BASE + PTK_BLOCK - 5)
#define COUNT	12

/* Are exactly the @nr gfns from @gfn on tracked in @slot? */
static void expect_tracked(struct kunit *test, struct kvm_memory_slot *slot,
			   gfn_t gfn, gfn_t nr)
{
	gfn_t i, got = 0;

	for (i = 0; i < slot->npages; i++)
		got += ptk_is_active(test, slot, slot->base_gfn + i);
	KUNIT_EXPECT_EQ(test, got, nr);

	for (got = 0, i = 0; i < nr; i++)
		got += ptk_is_active(test, slot, gfn + i);
	KUNIT_EXPECT_EQ(test, got, nr);
}

/* Adding and removing */

static void range_is_tracked_and_nothing_else(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	int lpages = ptk_disallow_lpages(slot, FIRST);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	expect_tracked(test, slot, FIRST, COUNT);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + 2 * PAGE_SIZE);
	KUNIT_EXPECT_GT(test, ptk_disallow_lpages(slot, FIRST), lpages);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	expect_tracked(test, slot, 0, 0);
	KUNIT_EXPECT_EQ(test, ptk_disallow_lpages(slot, FIRST), lpages);
	ptk_unregister(test, n);
}

static void overlapping_adds_count_once(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST + 3, 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST + 7, 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST + 1, 1), 0);
	expect_tracked(test, slot, FIRST, COUNT);
	ptk_expect_range(test, n, 0, FIRST, COUNT);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	expect_tracked(test, slot, 0, 0);
	ptk_unregister(test, n);
}

static void neighbours_become_one_range(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 10, 5), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 20, 5), 0);
	ptk_expect_range(test, n, 0, 10, 5);
	ptk_expect_range(test, n, 15, 20, 5);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 15, 5), 0);
	ptk_expect_range(test, n, 0, 10, 15);
	ptk_expect_range(test, n, 12, 12, 13);
	ptk_expect_no_range(test, n, 25);
	ptk_unregister(test, n);
}

/*
 * Enough for a tree of several levels, which is freed after a grace period, and for a
 * call that lets others have the locks in between.
 */
static void many_ranges_are_removed_in_pieces(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	gfn_t gfn, gfns = 2 * 2000;
	u64 generation;

	for (gfn = 0; gfn < gfns; gfn += 2)
		KUNIT_ASSERT_EQ(test, ptk_add_range(test, n, gfn, 1), 0);
	ptk_expect_range(test, n, gfns / 2 - 1, gfns / 2, 1);

	generation = kvm_page_track_generation(ptk_kvm(test));
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, 0, gfns), 0);
	KUNIT_EXPECT_EQ(test, kvm_page_track_generation(ptk_kvm(test)) - generation, 2);
	ptk_expect_no_range(test, n, 0);
	ptk_unregister(test, n);
	rcu_barrier();
}

static void range_from_gfn_zero_is_tracked(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot_at(test, PTK_SLOT, 0, 8);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 0, 1), 0);
	expect_tracked(test, slot, 0, 1);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 0, kvm_mmu_max_gfn() + 1), 0);
	expect_tracked(test, slot, 0, 8);
	ptk_expect_range(test, n, 0, 0, kvm_mmu_max_gfn() + 1);
	ptk_unregister(test, n);
}

static void middle_of_a_range_is_removed(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST + 2, COUNT - 3), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 3);
	ptk_expect_range(test, n, 0, FIRST, 2);
	ptk_expect_range(test, n, FIRST + 2, FIRST + COUNT - 1, 1);

	/* A range with holes, and some gfns around it. */
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST - 1, COUNT + 2), 0);
	expect_tracked(test, slot, 0, 0);
	ptk_expect_no_range(test, n, 0);
	ptk_unregister(test, n);
}

/* How often a large page is forbidden where the first one of the slot would be. */
static int lpage(struct kvm_memory_slot *slot)
{
	return ptk_disallow_lpage(slot, ALIGN(PTK_BASE, KVM_PAGES_PER_HPAGE(PG_LEVEL_2M)),
				  PG_LEVEL_2M);
}

static void large_pages_go_and_come_with_ranges(struct kunit *test)
{
	gfn_t first = ALIGN(PTK_BASE, KVM_PAGES_PER_HPAGE(PG_LEVEL_2M));
	gfn_t nr = KVM_PAGES_PER_HPAGE(PG_LEVEL_2M);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_page_track_notifier_node *other = ptk_create_tracker(test);
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, lpage(slot), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, first - 3, 5), 0);
	KUNIT_EXPECT_EQ(test, lpage(slot), 2);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, other, first + 1, 2), 0);
	KUNIT_EXPECT_EQ(test, lpage(slot), 3);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, first, nr + 7), 0);
	KUNIT_EXPECT_EQ(test, lpage(slot), nr);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, first, nr), 0);
	KUNIT_EXPECT_EQ(test, lpage(slot), 2);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, other, first + 1, 0), 1);
	KUNIT_EXPECT_EQ(test, lpage(slot), 1);
	ptk_unregister(test, other);
	KUNIT_EXPECT_EQ(test, lpage(slot), 0);
	ptk_unregister(test, n);
}

static void internal_slots_are_not_tracked(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_memory_slot *slot;

	ptk_create_slot_at(test, PTK_INTERNAL_SLOT, 100, 10);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 95, 10), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);

	/* One that comes later, either. */
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_INTERNAL_SLOT, 0, 0, 0), 0);
	slot = ptk_create_slot_at(test, PTK_INTERNAL_SLOT, 90, 10);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);

	/* The shadow MMU may count there. */
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, 95), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, 95, 10), 0);
	expect_tracked(test, slot, 95, 1);
	ptk_unregister(test, n);
}

static void trackers_do_not_share(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_page_track_notifier_node *other = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, other, FIRST, COUNT), -ENOENT);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, other, FIRST + 1, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, FIRST), 0);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	expect_tracked(test, slot, FIRST, COUNT + 1);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, other, FIRST + 1, COUNT), 0);
	expect_tracked(test, slot, FIRST, 1);

	ptk_unregister(test, n);
	ptk_unregister(test, other);
}

static void unregister_removes_what_was_added(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_page_track_notifier_node *other = ptk_create_tracker(test);
	int i;

	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PTK_BASE + 2 * i, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, other, PTK_BASE + 3, 2), 0);

	ptk_unregister(test, n);
	expect_tracked(test, slot, PTK_BASE + 3, 2);
	ptk_unregister(test, other);
	expect_tracked(test, slot, 0, 0);

	/* It may come back, with nothing. */
	KUNIT_ASSERT_EQ(test, ptk_register(test, n), 0);
	ptk_expect_no_range(test, n, 0);
	ptk_unregister(test, n);
}

/* Slots that come and go */

static void range_waits_for_a_slot(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_memory_slot *slot;
	int lpages;

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PTK_BASE - 3, 5), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);

	slot = ptk_create_slot(test);
	expect_tracked(test, slot, PTK_BASE, 2);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	lpages = ptk_disallow_lpages(slot, PTK_BASE);
	ptk_unregister(test, n);
	expect_tracked(test, slot, 0, 0);
	KUNIT_EXPECT_LT(test, ptk_disallow_lpages(slot, PTK_BASE), lpages);
}

/* What a vCPU may still use, as it fetched it before the slot's flags changed. */
static void slot_from_before_the_mode_is_not_trusted(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_memory_slot old = *ptk_create_slot(test);

	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, &old, FIRST));
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES,
					   KVM_MEM_LOG_DIRTY_PAGES), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, &old, FIRST));
	expect_tracked(test, ptk_get_slot(test, PTK_SLOT), FIRST, COUNT);
	ptk_unregister(test, n);
}

static void range_outlives_its_slot(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_expect_range(test, n, 0, FIRST, COUNT);

	/* While there is no slot, it can change. */
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, 1), 0);
	slot = ptk_create_slot(test);
	expect_tracked(test, slot, FIRST + 1, COUNT - 1);
	ptk_unregister(test, n);
}

/* move_with_trackers: never attached, attached, detached. */
static void slot_is_moved_with_trackers(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	gfn_t base = FIRST + 2;
	struct kvm_page_track_notifier_node *n;

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, base, PTK_NPAGES, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, 0), 0);

	n = ptk_create_tracker(test);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, base, PTK_NPAGES, 0), 0);
	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_EQ(test, slot->base_gfn, base);
	expect_tracked(test, slot, base, COUNT - 2);

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, FIRST + COUNT, PTK_NPAGES, 0), 0);
	expect_tracked(test, ptk_get_slot(test, PTK_SLOT), 0, 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES, 0), 0);
	expect_tracked(test, ptk_get_slot(test, PTK_SLOT), FIRST, COUNT);

	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, base, PTK_NPAGES, 0), 0);
	expect_tracked(test, ptk_get_slot(test, PTK_SLOT), 0, 0);
}

static void aborted_move_keeps_ranges(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, kvm_mmu_max_gfn() + 1,
					   PTK_NPAGES, 0), -EINVAL);
	slot = ptk_get_slot(test, PTK_SLOT);
	expect_tracked(test, slot, FIRST, COUNT);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	expect_tracked(test, slot, 0, 0);
	ptk_unregister(test, n);
}

static void range_crosses_slots(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot_at(test, PTK_SLOT, 100, 10);
	struct kvm_memory_slot *other = ptk_create_slot_at(test, PTK_SLOT2, 120, 10);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, 105, 18), 0);
	expect_tracked(test, slot, 105, 5);
	expect_tracked(test, other, 120, 3);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 8);
	ptk_unregister(test, n);
}

static void both_address_spaces_are_tracked(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);
	struct kvm_memory_slot *smm_slot;

	ptk_require_smm(test);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PTK_BASE, 2), 0);
	smm_slot = ptk_create_slot_at(test, PTK_SMM_SLOT, PTK_BASE + 1, 5);
	expect_tracked(test, smm_slot, PTK_BASE + 1, 1);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 3);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, PTK_BASE + 1, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
	expect_tracked(test, smm_slot, 0, 0);
	ptk_unregister(test, n);
}

static struct kunit_case range_cases[] = {
	KUNIT_CASE(range_is_tracked_and_nothing_else),
	KUNIT_CASE(overlapping_adds_count_once),
	KUNIT_CASE(neighbours_become_one_range),
	KUNIT_CASE(many_ranges_are_removed_in_pieces),
	KUNIT_CASE(range_from_gfn_zero_is_tracked),
	KUNIT_CASE(middle_of_a_range_is_removed),
	KUNIT_CASE(large_pages_go_and_come_with_ranges),
	KUNIT_CASE(internal_slots_are_not_tracked),
	KUNIT_CASE(trackers_do_not_share),
	KUNIT_CASE(unregister_removes_what_was_added),
	KUNIT_CASE(range_waits_for_a_slot),
	KUNIT_CASE(slot_from_before_the_mode_is_not_trusted),
	KUNIT_CASE(range_outlives_its_slot),
	KUNIT_CASE(slot_is_moved_with_trackers),
	KUNIT_CASE(aborted_move_keeps_ranges),
	KUNIT_CASE(range_crosses_slots),
	KUNIT_CASE(both_address_spaces_are_tracked),
	{}
};

static struct kunit_suite range_suite = {
	.name = "kvm_page_track_range",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = range_cases,
};

kunit_test_suite(range_suite);
