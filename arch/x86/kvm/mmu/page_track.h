/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 1: counters and their enforcement, see page_track.c.
 *
 * Counters change under kvm->mmu_lock held for write and are read without a
 * lock; whoever makes or widens an SPTE reads them again under mmu_lock.
 */
#ifndef __KVM_X86_PAGE_TRACK_H
#define __KVM_X86_PAGE_TRACK_H

#include <linux/kvm_host.h>

/* The counters of these many gfns make one block, a page. */
#define KVM_PAGE_TRACK_BLOCK_GFNS	(PAGE_SIZE / sizeof(unsigned short))

/*
 * Private to layer 1: add @count, 1 or -1, to the counter of @gfn; and note that @nr
 * gfns of @gfn's block became tracked, or, if @nr is below 0, untracked.
 *
 * update_gfn_track() returns the new count, or, with nothing changed, -ENOENT if
 * it would be below 0, or -EOVERFLOW.
 * Context: kvm->mmu_lock held for write, slots_lock or srcu held.
 */
int update_gfn_track(struct kvm_memory_slot *slot, gfn_t gfn,
		     enum kvm_page_track_mode mode, int count);
void kvm_page_track_add_nr(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			   enum kvm_page_track_mode mode, long nr);

/*
 * Give each slot of @kvm, and each that will come, a directory for @mode.
 *
 * Returns 0 or -ENOMEM.
 * Context: kvm->slots_arch_lock held, and srcu or slots_lock; may sleep.
 */
int kvm_page_track_enable(struct kvm *kvm, enum kvm_page_track_mode mode);

/*
 * Has @kvm, and with it each of its slots, been enabled for @mode?
 *
 * Context: any.
 */
static inline bool kvm_page_track_mode_enabled(struct kvm *kvm,
					       enum kvm_page_track_mode mode)
{
	/* Pairs with the release in kvm_page_track_enable(). */
	return smp_load_acquire(&kvm->arch.page_track_modes) & BIT(mode);
}

/*
 * Give @slot, which is not visible yet, a directory for each mode that @kvm has
 * enabled.
 *
 * Returns 0 or -ENOMEM, with nothing allocated.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
int kvm_page_track_create_memslot(struct kvm *kvm, struct kvm_memory_slot *slot);

/* Free the counters of @slot.  Context: nobody can reach @slot, may sleep. */
void kvm_page_track_free_memslot(struct kvm *kvm, struct kvm_memory_slot *slot);

/*
 * Count @gfn of @slot up.  The first count stops large mappings of @gfn.  Each
 * removes the access from its SPTEs and flushes TLBs if one had it.  @blocks holds
 * pages, one at least, of which up to one is taken; it may be NULL if @gfn is prepared.
 *
 * Returns 0, or with nothing changed -EOVERFLOW, or -EIO if @slot has no
 * directory for @mode.  Either is a bug of KVM.
 * Context: kvm->mmu_lock held for write, slots_lock or srcu held.
 */
int kvm_slot_page_track_add_page(struct kvm *kvm,
				 struct kvm_mmu_memory_cache *blocks,
				 struct kvm_memory_slot *slot, gfn_t gfn,
				 enum kvm_page_track_mode mode);

/*
 * Count @gfn of @slot down.  The last count allows large mappings again; SPTEs
 * get the access back when the guest faults on them.
 *
 * Returns 1 if @gfn is not tracked any more, 0 if it still is, or -ENOENT with
 * nothing changed.
 * Context: as kvm_slot_page_track_add_page().
 */
int kvm_slot_page_track_remove_page(struct kvm *kvm,
				    struct kvm_memory_slot *slot, gfn_t gfn,
				    enum kvm_page_track_mode mode);

/*
 * Allocate what counting the gfns [@gfn, @end) of @slot will need.  It stays with
 * the slot, whether used or not.
 *
 * Returns 0 or -ENOMEM.
 * Context: kvm->slots_arch_lock held, and srcu or slots_lock; may sleep, takes
 * kvm->mmu_lock.
 */
int kvm_slot_page_track_prepare_range(struct kvm *kvm,
				      struct kvm_memory_slot *slot, gfn_t gfn,
				      gfn_t end, enum kvm_page_track_mode mode);

/*
 * Is @gfn tracked, in the address space of @slot or the other one?  A @slot of
 * NULL has nothing to track.  True as well if @slot was replaced by a copy and is
 * too old to know.
 *
 * Context: kvm->srcu or slots_lock held.
 */
bool kvm_slot_page_track_is_active(struct kvm *kvm,
				   const struct kvm_memory_slot *slot, gfn_t gfn,
				   enum kvm_page_track_mode mode);

#endif /* __KVM_X86_PAGE_TRACK_H */
