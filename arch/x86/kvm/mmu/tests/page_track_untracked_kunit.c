// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: pages that are given up in ranges. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"
#include "mmu/page_track_range.h"
#include "mmu/page_track_untracked.h"

/* What each test tracks lies around the edge of a bitmap. */
#define EDGE	((gfn_t)2 * PAGE_TRACK_MAP_GFNS)
#define FIRST	(EDGE - 6)
#define COUNT	12

static struct kvm_page_track_notifier_node *track(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	ptk_create_slot_at(test, PTK_SLOT, FIRST - 2, COUNT + 4);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	return n;
}

static void untrack(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn)
{
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, gfn, 0), 1);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, gfn, 0), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, ptk_get_slot(test, PTK_SLOT), gfn));
}

static void expect_all(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	ptk_expect_range(test, n, 0, FIRST, COUNT);
	ptk_expect_no_range(test, n, FIRST + COUNT);
}

static void untracked_pages_are_not_listed(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = track(test);

	untrack(test, n, FIRST);
	untrack(test, n, EDGE - 2);
	untrack(test, n, EDGE - 1);
	untrack(test, n, EDGE);
	untrack(test, n, FIRST + COUNT - 1);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 5);

	ptk_expect_range(test, n, 0, FIRST + 1, 3);
	ptk_expect_range(test, n, EDGE - 2, EDGE + 1, COUNT - 8);
	ptk_expect_no_range(test, n, FIRST + COUNT - 1);
	ptk_unregister(test, n);
}

static void untracked_pages_are_added_again(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = track(test);
	gfn_t gfn;

	for (gfn = FIRST; gfn < FIRST + COUNT; gfn += 2)
		untrack(test, n, gfn);

	/* The last one stays untracked. */
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT - 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	ptk_expect_range(test, n, 0, FIRST, COUNT - 2);

	/* Its neighbours do not add it, either. */
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST + COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	ptk_expect_range(test, n, FIRST + COUNT - 2, FIRST + COUNT - 1, 2);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST + COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	expect_all(test, n);
	ptk_unregister(test, n);
}

static void untracked_pages_are_removed_as_if_never_added(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = track(test);

	untrack(test, n, EDGE - 1);
	untrack(test, n, EDGE);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, EDGE - 1, 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, EDGE - 1, 2), -ENOENT);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_expect_no_range(test, n, 0);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	expect_all(test, n);
	ptk_unregister(test, n);
}

static void untracked_pages_are_not_of_a_new_slot(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = track(test);

	untrack(test, n, EDGE - 1);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_create_slot_at(test, PTK_SLOT, FIRST, COUNT);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, ptk_get_slot(test, PTK_SLOT), EDGE - 1));
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
}

static int untrack_edge(struct kunit *test)
{
	return ptk_untrack_page(test, ptk_vm(test)->data, EDGE, 0);
}

static void expect_untracked(struct kunit *test, int r)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;

	if (r > 0)
		KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	else
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);

	/* Whoever fails to give it up has it still. */
	KUNIT_EXPECT_EQ(test, kvm_page_track_get_action(n, EDGE, KVM_PAGE_TRACK_WRITE),
			r > 0 ? -ENOENT : 0);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, EDGE, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, FIRST, COUNT), 0);
	expect_all(test, n);
}

static void untrack_fails_without_memory(struct kunit *test)
{
	ptk_require_faults(test);
	ptk_vm(test)->data = track(test);

	/* The bitmap. */
	ptk_fail_each_alloc(test, untrack_edge, expect_untracked, 1);
	ptk_unregister(test, ptk_vm(test)->data);
}

static struct kunit_case untracked_cases[] = {
	KUNIT_CASE(untracked_pages_are_not_listed),
	KUNIT_CASE(untracked_pages_are_added_again),
	KUNIT_CASE(untracked_pages_are_removed_as_if_never_added),
	KUNIT_CASE(untracked_pages_are_not_of_a_new_slot),
	KUNIT_CASE(untrack_fails_without_memory),
	{}
};

static struct kunit_suite untracked_suite = {
	.name = "kvm_page_track_untracked",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = untracked_cases,
};

kunit_test_suite(untracked_suite);
