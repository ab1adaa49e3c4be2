// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 1: counters and their enforcement.
 *
 * Each slot has a counter per gfn and mode, gfn_track[mode][gfn].  It is the
 * number of reasons to intercept that kind of access to the gfn; whose reasons
 * they are is not known here.  Most gfns have none, hence gfn_track[mode] is a
 * directory of blocks, and a block is allocated when the first of its gfns is
 * tracked.  It then stays as long as the slot.  Its page knows, in
 * page_private(), how many of its counters are not zero.
 *
 * Who may do what:
 *  - directories are published under kvm->slots_arch_lock, blocks and counters
 *    change under kvm->mmu_lock held for write,
 *  - everybody may read them in a kvm->srcu read section or under slots_lock,
 *    which keeps the slot.  Copies of a slot, as memslot updates make them,
 *    share the directory, unless they are older than it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"

/* kvm->arch.page_track_modes has a bit per mode. */
static_assert(KVM_PAGE_TRACK_MAX <= BITS_PER_BYTE);

static void assert_slots_stable(struct kvm *kvm)
{
	lockdep_assert_once(lockdep_is_held(&kvm->slots_lock) ||
			    srcu_read_lock_held(&kvm->srcu));
}

static unsigned long nr_blocks(const struct kvm_memory_slot *slot)
{
	return DIV_ROUND_UP(slot->npages, KVM_PAGE_TRACK_BLOCK_GFNS);
}

/* The place in the directory of the block that @gfn belongs to, or NULL. */
static unsigned short **gfn_to_block(const struct kvm_memory_slot *slot,
				     gfn_t gfn, enum kvm_page_track_mode mode)
{
	unsigned short **directory;

	/* Pairs with the release in create_directory(). */
	directory = smp_load_acquire(&slot->arch.gfn_track[mode]);
	if (!directory)
		return NULL;

	return &directory[(gfn - slot->base_gfn) / KVM_PAGE_TRACK_BLOCK_GFNS];
}

static unsigned short *gfn_to_counter(const struct kvm_memory_slot *slot,
				      gfn_t gfn, enum kvm_page_track_mode mode)
{
	unsigned short **p = gfn_to_block(slot, gfn, mode);
	unsigned short *block;

	/* Pairs with the release in create_block(). */
	block = p ? smp_load_acquire(p) : NULL;
	if (!block)
		return NULL;

	return &block[(gfn - slot->base_gfn) % KVM_PAGE_TRACK_BLOCK_GFNS];
}

static int create_directory(struct kvm *kvm, struct kvm_memory_slot *slot,
			    enum kvm_page_track_mode mode)
{
	unsigned long nr = nr_blocks(slot);
	unsigned short **directory;

	if (slot->arch.gfn_track[mode])
		return 0;

	directory = kvcalloc(nr, sizeof(*directory), GFP_KERNEL_ACCOUNT);
	if (!directory)
		return -ENOMEM;

	atomic64_add(nr * sizeof(*directory), &kvm->stat.page_track_bytes);

	/* Publish the zeroed pointers.  Pairs with gfn_to_block(). */
	smp_store_release(&slot->arch.gfn_track[mode], directory);
	return 0;
}

static void free_directory(struct kvm *kvm, struct kvm_memory_slot *slot,
			   enum kvm_page_track_mode mode)
{
	unsigned short **directory = slot->arch.gfn_track[mode];
	unsigned long i, nr = nr_blocks(slot);
	u64 bytes = nr * sizeof(*directory);
	u64 pages = 0;

	if (!directory)
		return;

	for (i = 0; i < nr; i++) {
		if (!directory[i])
			continue;

		pages += page_private(virt_to_page(directory[i]));
		free_page((unsigned long)directory[i]);
		bytes += PAGE_SIZE;
		cond_resched();
	}

	kvfree(directory);
	slot->arch.gfn_track[mode] = NULL;

	atomic64_sub(pages, &kvm->stat.page_track_pages);
	atomic64_sub(bytes, &kvm->stat.page_track_bytes);
}

int kvm_page_track_enable(struct kvm *kvm, enum kvm_page_track_mode mode)
{
	struct kvm_memory_slot *slot;
	int i, bkt, r;

	lockdep_assert_held(&kvm->slots_arch_lock);
	assert_slots_stable(kvm);

	if (kvm->arch.page_track_modes & BIT(mode))
		return 0;

	/*
	 * On failure, keep what was allocated: it goes with its slot, and the
	 * caller may come again.
	 */
	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, i)) {
			r = create_directory(kvm, slot, mode);
			if (r)
				return r;
		}
	}

	/*
	 * Whoever sees the mode sees a directory in each slot.  Pairs with
	 * kvm_page_track_mode_enabled().
	 */
	smp_store_release(&kvm->arch.page_track_modes,
			  kvm->arch.page_track_modes | BIT(mode));
	return 0;
}

int kvm_page_track_create_memslot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	enum kvm_page_track_mode mode;
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		if (!(kvm->arch.page_track_modes & BIT(mode)))
			continue;

		r = create_directory(kvm, slot, mode);
		if (r) {
			kvm_page_track_free_memslot(kvm, slot);
			return r;
		}
	}

	return 0;
}

void kvm_page_track_free_memslot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	enum kvm_page_track_mode mode;

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++)
		free_directory(kvm, slot, mode);
}

static int create_block(struct kvm *kvm, struct kvm_mmu_memory_cache *blocks,
			struct kvm_memory_slot *slot, gfn_t gfn,
			enum kvm_page_track_mode mode)
{
	unsigned short **p = gfn_to_block(slot, gfn, mode);
	unsigned short *block;

	lockdep_assert_held_write(&kvm->mmu_lock);

	if (KVM_BUG_ON(!p, kvm))
		return -EIO;

	if (*p)
		return 0;

	if (KVM_BUG_ON(!blocks, kvm))
		return -EIO;

	block = kvm_mmu_memory_cache_alloc(blocks);
	clear_page(block);

	/* Publish the zeroed counters.  Pairs with gfn_to_counter(). */
	smp_store_release(p, block);

	atomic64_add(PAGE_SIZE, &kvm->stat.page_track_bytes);
	return 0;
}

int update_gfn_track(struct kvm_memory_slot *slot, gfn_t gfn,
		     enum kvm_page_track_mode mode, int count)
{
	unsigned short *counter = gfn_to_counter(slot, gfn, mode);
	int val;

	/* Without a block, nothing was ever added. */
	if (!counter)
		return -ENOENT;

	val = *counter + count;
	if (val < 0)
		return -ENOENT;
	if (val > USHRT_MAX)
		return -EOVERFLOW;

	/* Pairs with the lockless READ_ONCE() in gfn_is_tracked(). */
	WRITE_ONCE(*counter, val);
	return val;
}

void kvm_page_track_add_nr(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			   enum kvm_page_track_mode mode, long nr)
{
	struct page *page = virt_to_page(*gfn_to_block(slot, gfn, mode));

	set_page_private(page, page_private(page) + nr);
	atomic64_add(nr, &kvm->stat.page_track_pages);
}

int kvm_slot_page_track_add_page(struct kvm *kvm,
				 struct kvm_mmu_memory_cache *blocks,
				 struct kvm_memory_slot *slot, gfn_t gfn,
				 enum kvm_page_track_mode mode)
{
	int r;

	lockdep_assert_held_write(&kvm->mmu_lock);
	assert_slots_stable(kvm);

	r = create_block(kvm, blocks, slot, gfn, mode);
	if (r)
		return r;

	r = update_gfn_track(slot, gfn, mode, 1);
	if (r < 0)
		return r;

	trace_kvm_page_track_add(slot->as_id, gfn, mode, r);

	if (r == 1) {
		kvm_page_track_add_nr(kvm, slot, gfn, mode, 1);
		kvm_mmu_gfn_disallow_lpage(slot, gfn);
	}

	/*
	 * If a range counted @gfn first, it may not have come to the slots of the
	 * other address space yet.
	 */
	if (kvm_mmu_slot_gfn_write_protect(kvm, slot, gfn, PG_LEVEL_4K))
		kvm_flush_remote_tlbs(kvm);

	return 0;
}

int kvm_slot_page_track_remove_page(struct kvm *kvm,
				    struct kvm_memory_slot *slot, gfn_t gfn,
				    enum kvm_page_track_mode mode)
{
	int r;

	lockdep_assert_held_write(&kvm->mmu_lock);
	assert_slots_stable(kvm);

	r = update_gfn_track(slot, gfn, mode, -1);
	if (r < 0)
		return r;

	trace_kvm_page_track_remove(slot->as_id, gfn, mode, r);

	if (!r) {
		kvm_page_track_add_nr(kvm, slot, gfn, mode, -1);
		kvm_mmu_gfn_allow_lpage(slot, gfn);
	}
	return !r;
}

static int prepare_block(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			 enum kvm_page_track_mode mode)
{
	struct kvm_mmu_memory_cache blocks = {};
	int r = __kvm_mmu_topup_memory_cache(&blocks, 1, 1);

	if (!r) {
		write_lock(&kvm->mmu_lock);
		r = create_block(kvm, &blocks, slot, gfn, mode);
		write_unlock(&kvm->mmu_lock);
	}

	kvm_mmu_free_memory_cache(&blocks);
	cond_resched();
	return r;
}

int kvm_slot_page_track_prepare_range(struct kvm *kvm,
				      struct kvm_memory_slot *slot, gfn_t gfn,
				      gfn_t end, enum kvm_page_track_mode mode)
{
	gfn_t offset = round_down(gfn - slot->base_gfn, KVM_PAGE_TRACK_BLOCK_GFNS);
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);
	assert_slots_stable(kvm);

	/* Mostly nothing is missing. */
	if (end - gfn == 1 && gfn_to_counter(slot, gfn, mode))
		return 0;

	/* Only a slot that is not visible yet may have none. */
	r = create_directory(kvm, slot, mode);

	for (gfn = slot->base_gfn + offset; gfn < end && !r; gfn += KVM_PAGE_TRACK_BLOCK_GFNS) {
		if (!gfn_to_counter(slot, gfn, mode))
			r = prepare_block(kvm, slot, gfn, mode);
	}

	return r;
}

static bool gfn_is_tracked(const struct kvm_memory_slot *slot, gfn_t gfn,
			   enum kvm_page_track_mode mode)
{
	unsigned short *counter = gfn_to_counter(slot, gfn, mode);

	/*
	 * The mode is enabled.  A slot without a directory is a copy from before
	 * that, which somebody still uses: only the new one can tell.
	 */
	if (!counter)
		return !READ_ONCE(slot->arch.gfn_track[mode]);

	/* Pairs with the WRITE_ONCE() in update_gfn_track(). */
	return READ_ONCE(*counter);
}

bool kvm_slot_page_track_is_active(struct kvm *kvm,
				   const struct kvm_memory_slot *slot, gfn_t gfn,
				   enum kvm_page_track_mode mode)
{
	assert_slots_stable(kvm);

	if (!slot || !kvm_page_track_mode_enabled(kvm, mode))
		return false;

	if (gfn_is_tracked(slot, gfn, mode))
		return true;

	slot = kvm_other_as_memslot(kvm, slot, gfn);
	return slot && gfn_is_tracked(slot, gfn, mode);
}
