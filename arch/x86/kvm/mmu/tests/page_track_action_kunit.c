// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: the actions of ranges. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

#define FIRST	(PTK_BASE + 7)
#define COUNT	12

static int add_with(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		    gfn_t nr, u8 action)
{
	return kvm_page_track_add_range(ptk_kvm(test), n, gfn, nr, KVM_PAGE_TRACK_WRITE,
					action);
}

static int get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn)
{
	return kvm_page_track_get_action(n, gfn, KVM_PAGE_TRACK_WRITE);
}

static void new_action_changes_nothing_else(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	ptk_create_slot(test);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST, COUNT, 255), 0);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST + 4, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST - 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST), 255);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST + 5), 1);
	KUNIT_EXPECT_EQ(test, get_action(n, FIRST + 6), 255);

	/* One range each, until they have the same action again. */
	ptk_expect_range(test, n, 0, FIRST, 4);
	ptk_expect_range(test, n, FIRST + 4, FIRST + 4, 2);
	ptk_expect_range(test, n, FIRST + 6, FIRST + 6, COUNT - 6);
	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST + 4, 2, 255), 0);
	ptk_expect_range(test, n, 0, FIRST, COUNT);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, FIRST, COUNT), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_unregister(test, n);
}

static void page_is_untracked_once_and_by_its_action(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, add_with(test, n, FIRST, COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST + COUNT, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);

	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 1), 1);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, FIRST));
	ptk_expect_range(test, n, 0, FIRST + 1, COUNT - 1);
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_untrack_page(test, n, FIRST + 1, 1), 0);
}

static struct kunit_case action_cases[] = {
	KUNIT_CASE(new_action_changes_nothing_else),
	KUNIT_CASE(page_is_untracked_once_and_by_its_action),
	{}
};

static struct kunit_suite action_suite = {
	.name = "kvm_page_track_action",
	.init = ptk_init,
	.exit = ptk_exit,
	.test_cases = action_cases,
};

kunit_test_suite(action_suite);
