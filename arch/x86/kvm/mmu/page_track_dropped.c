// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 2: dropped gfns, see page_track_dropped.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/minmax.h>

#include "page_track_dropped.h"

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

void page_track_dropped_destroy(struct xarray *dropped)
{
	unsigned long index, *map;

	xa_for_each(dropped, index, map)
		free_page((unsigned long)map);

	xa_destroy(dropped);
}

bool __page_track_is_dropped(struct xarray *dropped, gfn_t gfn)
{
	unsigned long *map = xa_load(dropped, gfn_to_index(gfn));

	return map && test_bit(gfn_to_bit(gfn), map);
}

unsigned long *page_track_dropped_prepare(struct xarray *dropped, gfn_t gfn)
{
	unsigned long *map = xa_load(dropped, gfn_to_index(gfn));
	int r;

	if (map)
		return map;

	map = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);

	r = xa_err(xa_store(dropped, gfn_to_index(gfn), map, GFP_KERNEL_ACCOUNT));
	if (!r)
		return map;

	free_page((unsigned long)map);
	return ERR_PTR(r);
}

bool page_track_dropped_test(const unsigned long *map, gfn_t gfn)
{
	return test_bit(gfn_to_bit(gfn), map);
}

void page_track_dropped_add(unsigned long *map, gfn_t gfn)
{
	set_bit(gfn_to_bit(gfn), map);
}

void page_track_dropped_remove(struct xarray *dropped, gfn_t gfn, gfn_t end)
{
	unsigned long index, first, *map;

	xa_for_each_range(dropped, index, map, gfn_to_index(gfn), gfn_to_index(end - 1)) {
		first = index == gfn_to_index(gfn) ? gfn_to_bit(gfn) : 0;
		bitmap_clear(map, first, end_to_bit(index, end) - first);
	}
}

gfn_t page_track_next_dropped(struct xarray *dropped, gfn_t gfn, gfn_t end)
{
	unsigned long index, first, bit, *map;

	xa_for_each_range(dropped, index, map, gfn_to_index(gfn), gfn_to_index(end - 1)) {
		first = index == gfn_to_index(gfn) ? gfn_to_bit(gfn) : 0;
		bit = find_next_bit(map, end_to_bit(index, end), first);
		if (bit < end_to_bit(index, end))
			return (gfn_t)index * PAGE_TRACK_MAP_GFNS + bit;
	}

	return end;
}

gfn_t page_track_next_kept(struct xarray *dropped, gfn_t gfn, gfn_t end)
{
	unsigned long index, bit, *map;

	while (gfn < end) {
		index = gfn_to_index(gfn);
		map = xa_load(dropped, index);
		if (!map)
			return gfn;

		bit = find_next_zero_bit(map, end_to_bit(index, end), gfn_to_bit(gfn));
		gfn = (gfn_t)index * PAGE_TRACK_MAP_GFNS + bit;
		if (bit < end_to_bit(index, end))
			return gfn;
	}

	return end;
}
