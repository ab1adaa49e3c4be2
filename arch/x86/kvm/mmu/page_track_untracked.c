// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 2: untracked gfns, see page_track_untracked.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/sched.h>

#include "page_track_untracked.h"

static unsigned long gfn_to_index(gfn_t gfn)
{
	return gfn / PAGE_TRACK_MAP_GFNS;
}

static unsigned long gfn_to_bit(gfn_t gfn)
{
	return gfn % PAGE_TRACK_MAP_GFNS;
}

/* The bit behind the last one that [.., @end) has of the bitmap at @index. */
static unsigned long end_to_bit(unsigned long index, gfn_t end)
{
	return min_t(gfn_t, end - (gfn_t)index * PAGE_TRACK_MAP_GFNS, PAGE_TRACK_MAP_GFNS);
}

void page_track_untracked_destroy(struct xarray *untracked)
{
	unsigned long index, *map;

	xa_for_each(untracked, index, map) {
		free_page((unsigned long)map);
		cond_resched();
	}

	xa_destroy(untracked);
}

unsigned long *page_track_untracked_prepare(struct xarray *untracked, gfn_t gfn)
{
	unsigned long *map = xa_load(untracked, gfn_to_index(gfn));
	int r;

	if (map)
		return map;

	map = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);

	r = xa_err(xa_store(untracked, gfn_to_index(gfn), map, GFP_KERNEL_ACCOUNT));
	if (!r)
		return map;

	free_page((unsigned long)map);
	return ERR_PTR(r);
}

void page_track_untracked_add(unsigned long *map, gfn_t gfn)
{
	set_bit(gfn_to_bit(gfn), map);
}

void page_track_untracked_clear(unsigned long *map, gfn_t gfn)
{
	clear_bit(gfn_to_bit(gfn), map);
}

int page_track_untracked_copy(struct xarray *to, struct xarray *from, struct xarray *except,
			      gfn_t gfn, gfn_t end)
{
	unsigned long first = gfn_to_bit(gfn), behind = end_to_bit(gfn_to_index(gfn), end);
	const unsigned long *map = xa_load(from, gfn_to_index(gfn));
	const unsigned long *no = except ? xa_load(except, gfn_to_index(gfn)) : NULL;
	unsigned long *copy;

	if (!map)
		return 0;

	if (no)
		first = find_next_andnot_bit(map, no, behind, first);
	else
		first = find_next_bit(map, behind, first);
	if (first >= behind)
		return 0;

	copy = page_track_untracked_prepare(to, gfn);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	if (no)
		bitmap_andnot(copy, map, no, PAGE_TRACK_MAP_GFNS);
	else
		bitmap_copy(copy, map, PAGE_TRACK_MAP_GFNS);
	bitmap_clear(copy, 0, first);
	bitmap_clear(copy, behind, PAGE_TRACK_MAP_GFNS - behind);
	return 1;
}

void page_track_untracked_merge(struct xarray *to, struct xarray *from, gfn_t gfn)
{
	const unsigned long *map = xa_load(from, gfn_to_index(gfn));
	unsigned long *all = xa_load(to, gfn_to_index(gfn));

	if (map && !WARN_ON_ONCE(!all))
		bitmap_or(all, all, map, PAGE_TRACK_MAP_GFNS);
}

void page_track_untracked_remove(struct xarray *untracked, gfn_t gfn, gfn_t end)
{
	unsigned long index, first, *map;

	xa_for_each_range(untracked, index, map, gfn_to_index(gfn), gfn_to_index(end - 1)) {
		first = index == gfn_to_index(gfn) ? gfn_to_bit(gfn) : 0;
		bitmap_clear(map, first, end_to_bit(index, end) - first);
		page_track_map_set_entry(map, NULL);
	}
}

void page_track_untracked_restore(struct xarray *untracked, gfn_t gfn, gfn_t end)
{
	unsigned long index, first, *map;

	xa_for_each_range(untracked, index, map, gfn_to_index(gfn), gfn_to_index(end - 1)) {
		first = index == gfn_to_index(gfn) ? gfn_to_bit(gfn) : 0;
		bitmap_set(map, first, end_to_bit(index, end) - first);
		page_track_map_set_entry(map, NULL);
	}
}

gfn_t page_track_next_untracked(struct xarray *untracked, gfn_t gfn, gfn_t end)
{
	unsigned long index, first, bit, *map;

	xa_for_each_range(untracked, index, map, gfn_to_index(gfn), gfn_to_index(end - 1)) {
		first = index == gfn_to_index(gfn) ? gfn_to_bit(gfn) : 0;
		bit = find_next_bit(map, end_to_bit(index, end), first);
		if (bit < end_to_bit(index, end))
			return (gfn_t)index * PAGE_TRACK_MAP_GFNS + bit;
	}

	return end;
}

gfn_t page_track_next_kept(struct xarray *untracked, gfn_t gfn, gfn_t end)
{
	unsigned long index, bit, *map;

	while (gfn < end) {
		index = gfn_to_index(gfn);
		map = xa_load(untracked, index);
		if (!map)
			return gfn;

		bit = find_next_zero_bit(map, end_to_bit(index, end), gfn_to_bit(gfn));
		gfn = (gfn_t)index * PAGE_TRACK_MAP_GFNS + bit;
		if (bit < end_to_bit(index, end))
			return gfn;
	}

	return end;
}

gfn_t page_track_map_next_run(const unsigned long *map, gfn_t gfn, gfn_t end, gfn_t *run_end)
{
	gfn_t base = round_down(gfn, (gfn_t)PAGE_TRACK_MAP_GFNS);
	unsigned long bit;

	if (gfn == end)
		return end;

	bit = find_next_bit(map, end - base, gfn - base);
	*run_end = base + find_next_zero_bit(map, end - base, bit);
	return base + bit;
}

gfn_t page_track_map_last(const unsigned long *map, gfn_t end)
{
	gfn_t base = round_down(end - 1, (gfn_t)PAGE_TRACK_MAP_GFNS);

	return base + find_last_bit(map, end - base);
}
