// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: single pages, see page_track_single.c. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"
#include "mmu/page_track_untracked.h"

/* The first gfn of a bitmap, and of the slot. */
#define MAP	((gfn_t)2 * PAGE_TRACK_MAP_GFNS)
#define PAGE	(MAP + 5)
#define COUNT	12

static int add(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn)
{
	return kvm_page_track_add_page(ptk_kvm(test), n, gfn, KVM_PAGE_TRACK_WRITE, 0);
}

static int remove(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn)
{
	return kvm_page_track_remove_page(ptk_kvm(test), n, gfn, KVM_PAGE_TRACK_WRITE);
}

static struct kvm_page_track_notifier_node *create(struct kunit *test)
{
	ptk_create_slot_at(test, PTK_SLOT, MAP, PTK_BLOCK);
	return ptk_create_tracker(test);
}

static bool is_active(struct kunit *test, gfn_t gfn)
{
	return ptk_is_active(test, ptk_get_slot(test, PTK_SLOT), gfn);
}

static int disallow_lpage(struct kunit *test)
{
	return ptk_disallow_lpage(ptk_get_slot(test, PTK_SLOT), PAGE, PG_LEVEL_2M);
}

static void bad_pages_are_refused(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = kunit_kzalloc(test, sizeof(*n), GFP_KERNEL);
	gfn_t max = kvm_mmu_max_gfn();
	struct kvm *kvm = ptk_kvm(test);

	KUNIT_ASSERT_NOT_NULL(test, n);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), -ESRCH);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), -ESRCH);

	n = create(test);
	KUNIT_EXPECT_EQ(test, add(test, n, max + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, remove(test, n, max + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, add(test, n, ~(gfn_t)0), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_page_track_add_page(kvm, n, PAGE, KVM_PAGE_TRACK_MAX, 0),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_page_track_remove_page(kvm, n, PAGE, KVM_PAGE_TRACK_MAX),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), -ENOENT);
	ptk_expect_no_range(test, n, 0);
	KUNIT_EXPECT_EQ(test, kvm->arch.page_track_modes, 0);
	ptk_unregister(test, n);
}

static void pages_are_tracked_one_by_one(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create(test);
	int disallowed = disallow_lpage(test);

	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE + 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	KUNIT_EXPECT_TRUE(test, is_active(test, PAGE));
	KUNIT_EXPECT_FALSE(test, is_active(test, PAGE + 1));
	KUNIT_EXPECT_EQ(test, disallow_lpage(test), disallowed + 2);
	ptk_expect_range(test, n, 0, PAGE, 1);
	ptk_expect_range(test, n, PAGE + 1, PAGE + 2, 1);
	ptk_expect_no_range(test, n, PAGE + 3);

	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE + 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), -ENOENT);
	KUNIT_EXPECT_FALSE(test, is_active(test, PAGE));
	ptk_expect_range(test, n, 0, PAGE + 2, 1);

	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, disallow_lpage(test), disallowed);
}

static void last_gfn_is_tracked(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create(test);
	gfn_t max = kvm_mmu_max_gfn();

	ptk_create_slot_at(test, PTK_SLOT2, max - 1, 2);
	KUNIT_EXPECT_EQ(test, add(test, n, max), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, max - 1), 0);
	KUNIT_EXPECT_EQ(test, remove(test, n, max), 0);
	ptk_expect_range(test, n, 0, max - 1, 1);
	ptk_expect_no_range(test, n, max);
	ptk_unregister(test, n);
}

static void page_is_of_both_address_spaces(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	ptk_require_smm(test);
	n = create(test);
	ptk_create_slot_at(test, PTK_SMM_SLOT, PAGE, 1);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_unregister(test, n);
}

static void page_is_of_a_new_slot(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = ptk_create_tracker(test);

	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), -ENOENT);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, MAP, PTK_BLOCK), -ENOENT);
	ptk_create_slot_at(test, PTK_SLOT, MAP, PTK_BLOCK);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_create_slot_at(test, PTK_SLOT, MAP, PTK_BLOCK);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
	KUNIT_EXPECT_TRUE(test, is_active(test, PAGE));

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), 0);
	ptk_create_slot_at(test, PTK_SLOT, MAP, PTK_BLOCK);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	ptk_unregister(test, n);
}

static void neighbours_in_two_bitmaps_are_one_range(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create(test);

	ptk_create_slot_at(test, PTK_SLOT2, MAP - 2, 2);
	KUNIT_EXPECT_EQ(test, add(test, n, MAP), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, MAP - 1), 0);
	ptk_expect_range(test, n, 0, MAP - 1, 2);
	ptk_expect_no_range(test, n, MAP + 1);
	ptk_unregister(test, n);
}

/* Beside ranges, a page is a range of its own; and a range that comes later has its way. */
static void pages_and_ranges_mix(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n = create(test);
	struct kvm *kvm = ptk_kvm(test);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, n, PAGE, COUNT), 0);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE + COUNT), 0);
	ptk_expect_range(test, n, 0, PAGE, COUNT + 1);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE + 1), 0);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE + 1), -ENOENT);
	ptk_expect_range(test, n, PAGE + 1, PAGE + 2, COUNT - 1);
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, MAP, PTK_BLOCK), 0);

	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, kvm_page_track_add_range(kvm, n, PAGE, COUNT,
						       KVM_PAGE_TRACK_WRITE, 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	ptk_expect_range(test, n, 0, PAGE, COUNT);
	KUNIT_EXPECT_EQ(test, kvm_page_track_get_action(n, PAGE, KVM_PAGE_TRACK_WRITE), 1);
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, kvm_page_track_get_action(n, PAGE, KVM_PAGE_TRACK_WRITE), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT);
	KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), COUNT - 1);
	ptk_unregister(test, n);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
}

static int add_kept(struct kunit *test)
{
	return add(test, ptk_vm(test)->data, PAGE);
}

static void expect_not_added(struct kunit *test, int r)
{
	struct kvm_page_track_notifier_node *n = ptk_vm(test)->data;

	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
		KUNIT_EXPECT_EQ(test, remove(test, n, PAGE), -ENOENT);
		KUNIT_EXPECT_EQ(test, ptk_remove_range(test, n, MAP, PTK_BLOCK), -ENOENT);
	} else {
		KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
	}
	ptk_unregister(test, n);

	/* Have the next call allocate all of it again. */
	ptk_set_slot(test, PTK_SLOT, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	ptk_kvm(test)->arch.page_track_modes = 0;
	ptk_vm(test)->data = create(test);
}

static void first_page_fails_without_memory(struct kunit *test)
{
	ptk_require_faults(test);
	ptk_vm(test)->data = create(test);

	/* A directory, the array of a cache, a block, the bitmap, a node of the tree. */
	ptk_fail_each_alloc(test, add_kept, expect_not_added, 5);
	ptk_unregister(test, ptk_vm(test)->data);
}

static int add_and_remove(struct kunit *test)
{
	return add(test, ptk_vm(test)->data, PAGE + 2) ?:
	       remove(test, ptk_vm(test)->data, PAGE + 2);
}

static void next_page_needs_no_memory(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	ptk_require_faults(test);
	n = create(test);
	ptk_vm(test)->data = n;
	KUNIT_EXPECT_EQ(test, add(test, n, PAGE), 0);
	KUNIT_EXPECT_EQ(test, ptk_fail_first_alloc(test, add_and_remove), 0);
	ptk_unregister(test, n);
}

static struct kunit_case single_cases[] = {
	KUNIT_CASE(bad_pages_are_refused),
	KUNIT_CASE(pages_are_tracked_one_by_one),
	KUNIT_CASE(last_gfn_is_tracked),
	KUNIT_CASE(page_is_of_both_address_spaces),
	KUNIT_CASE(page_is_of_a_new_slot),
	KUNIT_CASE(neighbours_in_two_bitmaps_are_one_range),
	KUNIT_CASE(pages_and_ranges_mix),
	KUNIT_CASE(first_page_fails_without_memory),
	KUNIT_CASE(next_page_needs_no_memory),
	{}
};

static struct kunit_suite single_suite = {
	.name = "kvm_page_track_single",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = single_cases,
};

kunit_test_suite(single_suite);
