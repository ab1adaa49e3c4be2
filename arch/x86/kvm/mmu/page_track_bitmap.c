// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: untracked pages for userspace, as a bitmap.
 *
 * The bitmap is that of the range, whose first page need not be the first of a bitmap
 * of layer 2.  Where no page was collected, it is cleared without a look at the set.  How
 * pages are collected is known to page_track_collect.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "page_track_bitmap.h"
#include "page_track_by_kvm.h"
#include "page_track_collect.h"
#include "page_track_event.h"
#include "page_track_untracked.h"

static_assert(sizeof(long) == sizeof(u64));

/* Where the bits of [@gfn, @end) are to go; @page has those of PAGE_TRACK_MAP_GFNS. */
struct bitmap_collector {
	struct kvm_page_track_collector collector;
	struct page_tracker *tracker;
	gfn_t gfn, end;
	unsigned long __user *bitmap;
	unsigned long *page;
};

/* Copy @nr bits, a word at once, to @to, which is zero there. */
static void copy_bits(unsigned long *to, unsigned long to_bit, const unsigned long *from,
		      unsigned long bit, unsigned long nr)
{
	unsigned long i, n, word;

	for (i = 0; i < nr; i += n) {
		n = min(nr - i, (unsigned long)BITS_PER_LONG);
		word = bitmap_read(from, bit + i, n);
		if (word)
			bitmap_write(to, word, to_bit + i, n);
	}
}

/* Have the bits of @gfns in [@first, @end). */
static void fill_page(unsigned long *page, struct xarray *gfns, gfn_t first, gfn_t end)
{
	const unsigned long *map;
	gfn_t next, gfn;

	bitmap_zero(page, PAGE_TRACK_MAP_GFNS);
	for (gfn = first; gfn < end; gfn = next) {
		next = min(end, page_track_map_end(gfn));
		map = page_track_untracked_map(gfns, gfn);
		if (map)
			copy_bits(page, gfn - first, map, gfn % PAGE_TRACK_MAP_GFNS, next - gfn);
	}
}

/* Store the bits of [@gfn, @end), PAGE_TRACK_MAP_GFNS at most. */
static int store_bits(const struct bitmap_collector *b, struct xarray *gfns, gfn_t gfn,
		      gfn_t end)
{
	unsigned long __user *to = b->bitmap + BIT_WORD(gfn - b->gfn);
	size_t size = BITS_TO_LONGS(end - gfn) * sizeof(long);

	if (page_track_next_untracked(gfns, gfn, end) == end)
		return clear_user(to, size) ? -EFAULT : 0;

	fill_page(b->page, gfns, gfn, end);
	return copy_to_user(to, b->page, size) ? -EFAULT : 0;
}

static int tell_bitmap(struct kvm_page_track_collector *collector, struct xarray *gfns)
{
	struct bitmap_collector *b = container_of(collector, struct bitmap_collector, collector);
	gfn_t next, gfn;
	int r;

	/*
	 * A vCPU that did not find the tracker before it was to track the gfns again may
	 * write still: userspace has to see that in memory once it knows the bitmap.
	 */
	page_track_settle(b->tracker);

	for (gfn = b->gfn; gfn < b->end; gfn = next) {
		next = min(b->end, gfn + PAGE_TRACK_MAP_GFNS);
		r = store_bits(b, gfns, gfn, next);
		if (r)
			return r;

		if (fatal_signal_pending(current))
			return -EINTR;

		cond_resched();
	}

	return 0;
}

static int get_collect(struct kvm_page_track_collect *collect, const void __user *argp)
{
	if (copy_from_user(collect, argp, sizeof(*collect)))
		return -EFAULT;

	if (collect->flags & ~KVM_PAGE_TRACK_COLLECT_REARM ||
	    memchr_inv(collect->reserved, 0, sizeof(collect->reserved)) ||
	    collect->mode != KVM_PAGE_TRACK_MODE_WRITE ||
	    !PAGE_ALIGNED(collect->gpa) || !PAGE_ALIGNED(collect->size))
		return -EINVAL;

	return 0;
}

int page_track_collect(struct page_tracker *tracker, const void __user *argp)
{
	struct bitmap_collector b = {
		.collector.tell = tell_bitmap,
		.tracker = tracker,
	};
	struct kvm_page_track_collect collect;
	gfn_t nr_pages;
	int r;

	r = get_collect(&collect, argp);
	if (r)
		return r;

	nr_pages = gpa_to_gfn(collect.size);
	b.gfn = gpa_to_gfn(collect.gpa);
	b.end = b.gfn + nr_pages;
	b.bitmap = u64_to_user_ptr(collect.bitmap);

	/*
	 * What is in guest memory has been told of, i.e. its page is given up; also what KVM
	 * has written, for which the ring must have room.
	 */
	page_track_settle(tracker);
	if (!kvm_page_track_tell_by_kvm(tracker->kvm, &tracker->node))
		return -EAGAIN;

	b.page = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!b.page)
		return -ENOMEM;

	r = kvm_page_track_collect(tracker->kvm, &tracker->node, b.gfn, nr_pages,
				   collect.mode, collect.flags & KVM_PAGE_TRACK_COLLECT_REARM,
				   &b.collector);
	free_page((unsigned long)b.page);
	return r;
}
