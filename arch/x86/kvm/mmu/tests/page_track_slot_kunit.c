// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 1: counters in slots, and their memory. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/* Blocks and directories */

static void slot_edges_are_tracked(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t last = PTK_BASE + PTK_NPAGES - 1;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, last));
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, last), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, last));
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, last));
}

static void block_edges_are_different_pages(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t last = PTK_BASE + PTK_BLOCK - 1;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, last), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, last + 1));
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, last + 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, last), 1);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, last + 1));
}

static void slot_of_one_page_is_tracked(struct kunit *test)
{
	struct kvm_memory_slot *slot;

	KUNIT_ASSERT_EQ(test, ptk_enable(test), 0);
	slot = ptk_create_slot_at(test, PTK_SLOT, PTK_BASE, 1);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), sizeof(void *) + PAGE_SIZE);
}

static void blocks_come_with_their_first_page(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE + PTK_BLOCK - 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE + PTK_BLOCK), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + 2 * PAGE_SIZE);
}

static void block_is_taken_from_the_cache(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	struct kvm_mmu_memory_cache *blocks = &ptk_vm(test)->blocks;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, blocks->nobjs, 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, blocks->nobjs, 1);
}

static void block_stays_after_its_last_page(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_remove(test, slot, PTK_BASE), 1);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
}

static void slots_have_no_directory_before_enable(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, PTK_BASE));
}

static void enable_serves_slots_old_and_new(struct kunit *test)
{
	struct kvm_memory_slot *old = ptk_create_slot(test);
	struct kvm_memory_slot *new;

	KUNIT_EXPECT_EQ(test, ptk_enable(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY);

	new = ptk_create_slot_at(test, PTK_SLOT2, 0, PTK_NPAGES);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 2 * PTK_DIRECTORY);

	KUNIT_EXPECT_EQ(test, ptk_add(test, old, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, new, 0), 0);
}

static void enable_again_changes_nothing(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_enable(test), 0);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
}

static void tebibyte_slot_costs_little(struct kunit *test)
{
	u64 npages = SZ_1T >> PAGE_SHIFT;
	struct kvm_memory_slot *slot;

	if (npages - 1 > kvm_mmu_max_gfn())
		kunit_skip(test, "physical addresses of this CPU are too short");
	if (kvm_memslots_have_rmaps(ptk_kvm(test)))
		kunit_skip(test, "without TDP MMU, rmaps of the slot take 2 GiB");

	KUNIT_ASSERT_EQ(test, ptk_enable(test), 0);
	slot = ptk_create_slot_at(test, PTK_SLOT, 0, npages);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, npages - 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), SZ_1M + SZ_4K);
}

/* Slots that change or go */

static void deleted_slot_leaves_nothing(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, PTK_BASE, 3), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE + PTK_BLOCK), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
}

static void moved_slot_starts_untracked(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	gfn_t base = 2 * PTK_BASE;

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, base, PTK_NPAGES, 0), 0);

	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_FALSE(test, ptk_is_active(test, slot, base));
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, base), 0);
}

/* KVM finds out late, when vCPUs cannot use the slot any more. */
static void aborted_move_keeps_counts(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, kvm_mmu_max_gfn() + 1,
					   PTK_NPAGES, 0), -EINVAL);

	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_EQ(test, slot->base_gfn, PTK_BASE);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + PAGE_SIZE);
}

static void flag_change_keeps_counts(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_add_many(test, slot, PTK_BASE, 2), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES,
					   KVM_MEM_LOG_DIRTY_PAGES), 0);

	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_drain(test, slot, PTK_BASE), 2);
}

/* Failing allocations */

/* Whatever kvm_page_track_enable() kept on failure goes with the slots. */
static void expect_not_enabled(struct kunit *test, int r)
{
	struct kvm *kvm = ptk_kvm(test);

	if (r) {
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
		KUNIT_EXPECT_EQ(test, kvm->arch.page_track_modes, 0);
	} else {
		KUNIT_EXPECT_EQ(test, ptk_bytes(test), PTK_DIRECTORY + sizeof(void *));
	}

	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT2, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);

	kvm->arch.page_track_modes = 0;
	ptk_create_slot(test);
	ptk_create_slot_at(test, PTK_SLOT2, 0, 1);
}

static void enable_fails_without_memory(struct kunit *test)
{
	ptk_require_faults(test);
	ptk_create_slot(test);
	ptk_create_slot_at(test, PTK_SLOT2, 0, 1);

	ptk_fail_each_alloc(test, ptk_enable, expect_not_enabled, 2);
}

static void enable_succeeds_after_failure(struct kunit *test)
{
	struct kvm_memory_slot *slot;

	ptk_require_faults(test);
	slot = ptk_create_slot(test);

	KUNIT_EXPECT_EQ(test, ptk_fail_first_alloc(test, ptk_enable), -ENOMEM);
	KUNIT_EXPECT_EQ(test, ptk_enable(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), 0);
}

static int create_memslot(struct kunit *test)
{
	struct kvm *kvm = ptk_kvm(test);
	int r;

	mutex_lock(&kvm->slots_arch_lock);
	r = kvm_page_track_create_memslot(kvm, ptk_vm(test)->data);
	mutex_unlock(&kvm->slots_arch_lock);
	return r;
}

static void expect_no_counters(struct kunit *test, int r)
{
	struct kvm_memory_slot *slot = ptk_vm(test)->data;

	if (r)
		KUNIT_EXPECT_EQ(test, r, -ENOMEM);
	else
		kvm_page_track_free_memslot(ptk_kvm(test), slot);

	KUNIT_EXPECT_NULL(test, slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE]);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
}

static void create_memslot_fails_without_memory(struct kunit *test)
{
	struct kvm_memory_slot slot = { .base_gfn = PTK_BASE, .npages = PTK_NPAGES };

	ptk_require_faults(test);
	KUNIT_ASSERT_EQ(test, ptk_enable(test), 0);
	ptk_vm(test)->data = &slot;

	ptk_fail_each_alloc(test, create_memslot, expect_no_counters, 1);
}

static struct kunit_case slot_cases[] = {
	KUNIT_CASE(slot_edges_are_tracked),
	KUNIT_CASE(block_edges_are_different_pages),
	KUNIT_CASE(slot_of_one_page_is_tracked),
	KUNIT_CASE(blocks_come_with_their_first_page),
	KUNIT_CASE(block_is_taken_from_the_cache),
	KUNIT_CASE(block_stays_after_its_last_page),
	KUNIT_CASE(slots_have_no_directory_before_enable),
	KUNIT_CASE(enable_serves_slots_old_and_new),
	KUNIT_CASE(enable_again_changes_nothing),
	KUNIT_CASE(tebibyte_slot_costs_little),
	KUNIT_CASE(deleted_slot_leaves_nothing),
	KUNIT_CASE(moved_slot_starts_untracked),
	KUNIT_CASE(aborted_move_keeps_counts),
	KUNIT_CASE(flag_change_keeps_counts),
	KUNIT_CASE(enable_fails_without_memory),
	KUNIT_CASE(enable_succeeds_after_failure),
	KUNIT_CASE(create_memslot_fails_without_memory),
	{}
};

static struct kunit_suite slot_suite = {
	.name = "kvm_page_track_slot",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = slot_cases,
};

kunit_test_suite(slot_suite);
