/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 1: counting ranges, see page_track_walk.c. */
#ifndef __KVM_X86_PAGE_TRACK_WALK_H
#define __KVM_X86_PAGE_TRACK_WALK_H

#include <linux/kvm_host.h>

/* Ranges of several slots, counted under one kvm->mmu_lock, with one TLB flush. */
struct kvm_page_track_walk {
	struct kvm *kvm;
	enum kvm_page_track_mode mode;
	bool unmapped;		/* the slot is not visible yet, nobody has mapped it */

	/*
	 * Private to layer 1: are TLBs to be flushed, and which gfns @word + n of
	 * @word_slot are to be write-protected before that, by bit n of @mask.
	 */
	bool flush;
	struct kvm_memory_slot *word_slot;
	gfn_t word;
	unsigned long mask;
};

/*
 * Begin, and end: what was counted in between is enforced then.
 *
 * Context: slots_lock or srcu held; takes kvm->mmu_lock, or drops it.
 */
void kvm_page_track_begin_walk(struct kvm_page_track_walk *walk)
	__acquires(&walk->kvm->mmu_lock);
void kvm_page_track_end_walk(struct kvm_page_track_walk *walk)
	__releases(&walk->kvm->mmu_lock);

/*
 * Count each gfn of [@gfn, @end), which is prepared and may be empty, up.  Remove
 * the access from SPTEs of those that became tracked.  Between two blocks,
 * kvm->mmu_lock is dropped, after a flush, for whoever waits.
 *
 * Returns 0, or -EIO if a counter overflows, a bug of KVM.
 * Context: in a walk; may sleep.
 */
int __kvm_slot_page_track_add_range(struct kvm_page_track_walk *walk,
				    struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

/*
 * Count them down.  Of the large pages around those that became untracked, zap the
 * SPTEs in pieces of those that can be large again, so that the next access to
 * wherever in one maps it.
 *
 * Returns 0, or -EIO if a counter underflows, a bug of KVM.
 * Context: in a walk; may sleep.
 */
int __kvm_slot_page_track_remove_range(struct kvm_page_track_walk *walk,
				       struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

#endif /* __KVM_X86_PAGE_TRACK_WALK_H */
