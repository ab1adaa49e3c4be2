/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the gfns that a tracker has dropped from its ranges.
 *
 * Dropping a page is part of a guest's access, so it must cost little, and thousands
 * of pages dropped here and there must not split a range into as many pieces.
 * Hence a bit per gfn, in bitmaps that are allocated when needed, and which stay.
 *
 * Bits change under kvm->slots_arch_lock and may be read without a lock as long as
 * the set exists.  Of an interval [@gfn, @end), @end is above @gfn.
 */
#ifndef __KVM_X86_PAGE_TRACK_DROPPED_H
#define __KVM_X86_PAGE_TRACK_DROPPED_H

#include <linux/bits.h>
#include <linux/kvm_types.h>
#include <linux/xarray.h>

#include <asm/page.h>

/* The gfns of one bitmap, which is a page. */
#define PAGE_TRACK_MAP_GFNS	(PAGE_SIZE * BITS_PER_BYTE)

/* An empty set.  Context: any. */
static inline void page_track_dropped_init(struct xarray *dropped)
{
	xa_init_flags(dropped, XA_FLAGS_ACCOUNT);
}

/* Free all of the set.  Context: nobody uses it. */
void page_track_dropped_destroy(struct xarray *dropped);

bool __page_track_is_dropped(struct xarray *dropped, gfn_t gfn);

/* Context: any. */
static inline bool page_track_is_dropped(struct xarray *dropped, gfn_t gfn)
{
	/* Many trackers never drop a page. */
	return !xa_empty(dropped) && __page_track_is_dropped(dropped, gfn);
}

/*
 * The bitmap that @gfn is in, which is allocated if there is none.
 *
 * Returns ERR_PTR(-ENOMEM), with nothing changed, if it cannot be.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
unsigned long *page_track_dropped_prepare(struct xarray *dropped, gfn_t gfn);

/* Is @gfn in this bitmap of its?  Add it.  Context: kvm->slots_arch_lock held. */
bool page_track_dropped_test(const unsigned long *map, gfn_t gfn);
void page_track_dropped_add(unsigned long *map, gfn_t gfn);

/* Remove [@gfn, @end).  Context: kvm->slots_arch_lock held. */
void page_track_dropped_remove(struct xarray *dropped, gfn_t gfn, gfn_t end);

/*
 * The first gfn of [@gfn, @end) that is in the set, or is not; @end if there is none.
 *
 * Context: kvm->slots_arch_lock held.
 */
gfn_t page_track_next_dropped(struct xarray *dropped, gfn_t gfn, gfn_t end);
gfn_t page_track_next_kept(struct xarray *dropped, gfn_t gfn, gfn_t end);

#endif /* __KVM_X86_PAGE_TRACK_DROPPED_H */
