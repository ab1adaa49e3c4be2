// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 1: counters and their enforcement. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/* Add @n times, up to @max.  Return how often that was refused. */
static int add_many(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn,
		    int n, unsigned short max)
{
	int refused = 0;

	while (n--)
		refused += ptk_add_up_to(test, slot, gfn, max) != 0;
	return refused;
}

/* Remove until @gfn is not tracked.  Return how many counts it had. */
static int drain(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn)
{
	int n = 0;

	while (n <= PTK_SHADOW_MAX && ptk_remove(test, slot, gfn) >= 0)
		n++;
	return n;
}

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

	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, 3, PTK_OTHERS_MAX), 0);
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

static void others_end_at_their_limit(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);
	struct state before;

	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, PTK_OTHERS_MAX, PTK_OTHERS_MAX), 0);

	before = get_state(test, slot, PTK_BASE);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), -EOVERFLOW);
	expect_state(test, slot, PTK_BASE, before);
	KUNIT_EXPECT_EQ(test, drain(test, slot, PTK_BASE), PTK_OTHERS_MAX);
}

static void shadow_mmu_has_headroom(struct kunit *test)
{
	struct kvm_memory_slot *slot = ptk_create_tracked_slot(test);

	KUNIT_EXPECT_EQ(test, PTK_OTHERS_MAX + BIT(14), PTK_SHADOW_MAX);
	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, PTK_OTHERS_MAX, PTK_OTHERS_MAX), 0);
	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, BIT(14), PTK_SHADOW_MAX), 0);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, ptk_add_up_to(test, slot, PTK_BASE, PTK_SHADOW_MAX), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, drain(test, slot, PTK_BASE), PTK_SHADOW_MAX);
}

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

	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, 3, PTK_OTHERS_MAX), 0);
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

	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, 2, PTK_OTHERS_MAX), 0);
	KUNIT_EXPECT_EQ(test, ptk_set_slot(test, PTK_SLOT, PTK_BASE, PTK_NPAGES,
					   KVM_MEM_LOG_DIRTY_PAGES), 0);

	slot = ptk_get_slot(test, PTK_SLOT);
	KUNIT_EXPECT_TRUE(test, ptk_is_active(test, slot, PTK_BASE));
	KUNIT_EXPECT_EQ(test, drain(test, slot, PTK_BASE), 2);
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
		KUNIT_EXPECT_EQ(test, add_many(test, slot, gfn, 3, PTK_OTHERS_MAX), 0);
		KUNIT_EXPECT_EQ(test, ptk_disallow_lpage(slot, gfn, level), before + 1);
		KUNIT_EXPECT_EQ(test, drain(test, slot, gfn), 3);
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

	KUNIT_EXPECT_EQ(test, add_many(test, slot, PTK_BASE, 5, PTK_OTHERS_MAX), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
	KUNIT_EXPECT_EQ(test, ptk_add(test, slot, PTK_BASE + 1), 0);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 2);
	KUNIT_EXPECT_EQ(test, drain(test, slot, PTK_BASE), 5);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 1);
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

static struct kunit_case page_track_cases[] = {
	KUNIT_CASE(page_is_tracked_once_added),
	KUNIT_CASE(neighbours_are_not_tracked),
	KUNIT_CASE(each_add_needs_a_remove),
	KUNIT_CASE(page_can_be_tracked_again),
	KUNIT_CASE(no_slot_is_not_tracked),
	KUNIT_CASE(remove_without_directory_is_refused),
	KUNIT_CASE(remove_without_block_is_refused),
	KUNIT_CASE(remove_below_zero_is_refused),
	KUNIT_CASE(others_end_at_their_limit),
	KUNIT_CASE(shadow_mmu_has_headroom),
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
	KUNIT_CASE(other_address_space_sees_the_page),
	KUNIT_CASE(address_spaces_count_apart),
	KUNIT_CASE(tracked_page_forbids_large_pages_once),
	KUNIT_CASE(large_page_is_allowed_after_last_page),
	KUNIT_CASE(statistics_count_pages_not_adds),
	KUNIT_CASE(enable_fails_without_memory),
	KUNIT_CASE(enable_succeeds_after_failure),
	KUNIT_CASE(create_memslot_fails_without_memory),
	KUNIT_CASE(random_calls_agree_with_an_array),
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
