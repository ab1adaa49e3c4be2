/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the gfns that a tracker has given up in its ranges.
 *
 * Giving a page up is part of a guest's access, so it must cost little, and thousands
 * of pages given up here and there must not split a range into as many pieces.
 * Hence a bit per gfn, in bitmaps that are allocated when needed, and which stay.
 *
 * Bits change under kvm->slots_arch_lock and may be read without a lock as long as
 * the set exists; a set that nobody else has needs none.  Of an interval
 * [@gfn, @end), @end is above @gfn.
 */
#ifndef __KVM_X86_PAGE_TRACK_UNTRACKED_H
#define __KVM_X86_PAGE_TRACK_UNTRACKED_H

#include <linux/bitops.h>
#include <linux/kvm_types.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include <asm/page.h>

/* The gfns of one bitmap, which is a page. */
#define PAGE_TRACK_MAP_GFNS	(PAGE_SIZE * BITS_PER_BYTE)

/* An empty set.  Context: any. */
static inline void page_track_untracked_init(struct xarray *untracked)
{
	xa_init_flags(untracked, XA_FLAGS_ACCOUNT);
}

/* Free all of the set.  Context: nobody uses it, may sleep. */
void page_track_untracked_destroy(struct xarray *untracked);

/* The bitmap that @gfn is in, or NULL.  Context: any. */
static inline unsigned long *page_track_untracked_map(struct xarray *untracked, gfn_t gfn)
{
	/* Many trackers never give a page up. */
	return xa_empty(untracked) ? NULL : xa_load(untracked, gfn / PAGE_TRACK_MAP_GFNS);
}

/* Is @gfn in this bitmap of its?  Context: any. */
static inline bool page_track_untracked_test(const unsigned long *map, gfn_t gfn)
{
	return test_bit(gfn % PAGE_TRACK_MAP_GFNS, map);
}

/* Is it in the set?  Context: any. */
static inline bool page_track_is_untracked(struct xarray *untracked, gfn_t gfn)
{
	const unsigned long *map = page_track_untracked_map(untracked, gfn);

	return map && page_track_untracked_test(map, gfn);
}

/*
 * The bitmap that @gfn is in, which is allocated if there is none.
 *
 * Returns ERR_PTR(-ENOMEM), with nothing changed, if it cannot be.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
unsigned long *page_track_untracked_prepare(struct xarray *untracked, gfn_t gfn);

/* Add @gfn to this bitmap of its, or remove it.  Context: kvm->slots_arch_lock held. */
void page_track_untracked_add(unsigned long *map, gfn_t gfn);
void page_track_untracked_clear(unsigned long *map, gfn_t gfn);

/*
 * The entry of the range that all gfns of the bitmap are in, as far as that is known: what was
 * set, NULL if nothing was, or once gfns of it were removed or restored, as for a change of
 * ranges.
 * Context: kvm->slots_arch_lock held.
 */
static inline void *page_track_map_entry(const unsigned long *map)
{
	return (void *)page_private(virt_to_page(map));
}

static inline void page_track_map_set_entry(const unsigned long *map, void *entry)
{
	set_page_private(virt_to_page(map), (unsigned long)entry);
}

/*
 * Copy what @from has of [@gfn, @end), and @except, if not NULL, has not, to @to, which
 * has nothing of the bitmap that this is all in.
 *
 * Returns 1, 0 if there is nothing, or -ENOMEM with nothing changed.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
int page_track_untracked_copy(struct xarray *to, struct xarray *from, struct xarray *except,
			      gfn_t gfn, gfn_t end);

/*
 * Add what @from has of the bitmap that @gfn is in to @to, where it is allocated.
 * Context: kvm->slots_arch_lock held.
 */
void page_track_untracked_merge(struct xarray *to, struct xarray *from, gfn_t gfn);

/* The first gfn behind the bitmap that @gfn is in.  Context: any. */
static inline gfn_t page_track_map_end(gfn_t gfn)
{
	return round_down(gfn, (gfn_t)PAGE_TRACK_MAP_GFNS) + PAGE_TRACK_MAP_GFNS;
}

/*
 * Add [@gfn, @end), as far as there are bitmaps: those of gfns that were in the set stay.
 * Context: kvm->slots_arch_lock held.
 */
void page_track_untracked_restore(struct xarray *untracked, gfn_t gfn, gfn_t end);

/* Remove [@gfn, @end).  Context: kvm->slots_arch_lock held. */
void page_track_untracked_remove(struct xarray *untracked, gfn_t gfn, gfn_t end);

/*
 * The first gfn of [@gfn, @end) that is in the set, or is not; @end if there is none.
 *
 * Context: nobody frees the set.  Without kvm->slots_arch_lock, others may change it.
 */
gfn_t page_track_next_untracked(struct xarray *untracked, gfn_t gfn, gfn_t end);
gfn_t page_track_next_kept(struct xarray *untracked, gfn_t gfn, gfn_t end);

/*
 * In one bitmap: the first run of gfns in [@gfn, @end), which is [@gfn, *@run_end) then; @end
 * if there is none.  The last gfn of [.., @end), which is there.
 *
 * Context: as above.
 */
gfn_t page_track_map_next_run(const unsigned long *map, gfn_t gfn, gfn_t end, gfn_t *run_end);
gfn_t page_track_map_last(const unsigned long *map, gfn_t end);

#endif /* __KVM_X86_PAGE_TRACK_UNTRACKED_H */
