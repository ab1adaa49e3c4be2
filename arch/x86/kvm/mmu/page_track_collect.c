// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: collecting untracked gfns.
 *
 * 1. Take: copy what the tracker has given up to a set of the call's own, a bitmap at
 *    once; to rearm, count the gfns up again, which write-protects them and flushes TLBs,
 *    and only then clear their bits, all under one hold of slots_arch_lock.  A gfn that
 *    is given up later is in the next call's set.
 * 2. Tell the caller of the set.
 * 3. If that fails, put back what was taken: a gfn that was given up again in between is
 *    untracked already, and any other becomes so.  Nothing is allocated for that.
 *
 * The tracker's range_lock is held throughout, so that no bit is cleared by another call,
 * and what is put back is in its ranges.  To whom the gfns are told is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/xarray.h>

#include "page_track.h"
#include "page_track_collect.h"
#include "page_track_part.h"
#include "page_track_untracked.h"
#include "page_track_walk.h"

struct collect {
	struct page_track_change change;
	struct kvm_page_track_collector *collector;
	struct xarray taken;
	const unsigned long *map;	/* the one of these that is at hand */
	bool rearm;
};

static struct collect *to_collect(struct page_track_change *c)
{
	return container_of(c, struct collect, change);
}

/* Move on to the first gfn that @gfns has.  False if there is none. */
static bool skip_to_next(struct page_track_change *c, struct xarray *gfns)
{
	c->gfn = page_track_next_untracked(gfns, c->gfn, c->end);
	return c->gfn < c->end;
}

/* Find the next run, [*@gfn, *@run_end), of what was taken.  False if there is none. */
static bool next_taken(struct page_track_change *c, gfn_t *gfn, gfn_t end, gfn_t *run_end)
{
	*gfn = page_track_map_next_run(to_collect(c)->map, *gfn, end, run_end);
	return *gfn < end;
}

/* Allocate for what was taken; a block for many gfns at once. */
static int prepare_taken(struct page_track_change *c, struct kvm_memory_slot *slot,
			 gfn_t gfn, gfn_t end)
{
	const unsigned long *map = to_collect(c)->map;
	gfn_t next, run_end;
	int r = 0;

	for (; !r && next_taken(c, &gfn, end, &run_end); gfn = next) {
		next = min(end, gfn + KVM_PAGE_TRACK_BLOCK_GFNS);
		r = page_track_prepare(c, slot, gfn, page_track_map_last(map, next) + 1);
	}

	return r;
}

static int count_taken_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			  gfn_t gfn, gfn_t end)
{
	gfn_t run_end;
	int r = 0;

	for (; !r && next_taken(c, &gfn, end, &run_end); gfn = run_end)
		r = __kvm_slot_page_track_add_range(&c->walk, slot, gfn, run_end);

	return r;
}

/* But for what a vCPU has given up again. */
static int count_taken_down(struct page_track_change *c, struct kvm_memory_slot *slot,
			    gfn_t gfn, gfn_t end)
{
	gfn_t run_end;
	int r = 0;

	for (; !r && next_taken(c, &gfn, end, &run_end); gfn = run_end)
		r = page_track_count_parts_down(c, slot, gfn, run_end);

	return r;
}

/* Track what was taken of [@c->gfn, @end) again, or leave it and take nothing. */
static int rearm(struct page_track_change *c, gfn_t end)
{
	struct collect *collect = to_collect(c);
	int r;

	collect->map = page_track_untracked_map(&collect->taken, c->gfn);

	/* A slot may have come since they were given up. */
	r = page_track_call_slots(c, c->gfn, end, prepare_taken);
	if (r) {
		page_track_untracked_remove(&collect->taken, c->gfn, end);
		return r;
	}

	r = page_track_count_slots(c, c->gfn, end, count_taken_up);
	page_track_untracked_remove(page_track_change_untracked(c), c->gfn, end);
	return r;
}

static int take_chunk(struct page_track_change *c)
{
	struct xarray *untracked = page_track_change_untracked(c);
	struct xarray *told = page_track_change_told(c);
	struct collect *collect = to_collect(c);
	gfn_t end;
	int r;

	if (!skip_to_next(c, untracked))
		return 0;

	end = min(c->end, page_track_map_end(c->gfn));
	r = page_track_untracked_copy(&collect->taken, untracked,
				      collect->rearm ? NULL : told, c->gfn, end);
	if (r > 0)
		r = collect->rearm ? rearm(c, end) :
				     PTR_ERR_OR_ZERO(page_track_untracked_prepare(told, c->gfn));
	if (r)
		return r;

	c->gfn = end;
	return 0;
}

static int put_back_chunk(struct page_track_change *c)
{
	struct collect *collect = to_collect(c);
	struct xarray *taken = &collect->taken;
	gfn_t end;
	int r;

	if (!skip_to_next(c, taken))
		return 0;

	end = min(c->end, page_track_map_end(c->gfn));
	collect->map = page_track_untracked_map(taken, c->gfn);
	r = page_track_count_slots(c, c->gfn, end, count_taken_down);
	page_track_untracked_merge(page_track_change_untracked(c), taken, c->gfn);
	c->gfn = end;
	return r;
}

/*
 * The gfns have been told.  To rearm, that is over: one that has been given up meanwhile
 * is for the next call.
 */
static int note_chunk(struct page_track_change *c)
{
	struct xarray *taken = &to_collect(c)->taken;

	if (to_collect(c)->rearm) {
		page_track_untracked_remove(page_track_change_told(c), c->gfn, c->end);
		c->gfn = c->end;
		return 0;
	}

	if (skip_to_next(c, taken)) {
		page_track_untracked_merge(page_track_change_told(c), taken, c->gfn);
		c->gfn = min(c->end, page_track_map_end(c->gfn));
	}

	return 0;
}

/* Do all of @fn, whatever is pending for the caller. */
static int finish(struct page_track_change *c, gfn_t first,
		  int (*fn)(struct page_track_change *c))
{
	c->gfn = first;
	c->finish = true;
	return page_track_do_chunks(c, fn);
}

static int collect_gfns(struct page_track_change *c)
{
	struct collect *collect = to_collect(c);
	gfn_t first = c->gfn;
	int r;

	page_track_untracked_init(&collect->taken);

	r = page_track_do_chunks(c, take_chunk);
	if (!r)
		r = collect->collector->tell(collect->collector, &collect->taken);

	if (!r)
		r = finish(c, first, note_chunk);
	else if (collect->rearm)
		finish(c, first, put_back_chunk);

	page_track_untracked_destroy(&collect->taken);
	return r;
}

int kvm_page_track_collect(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			   gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			   bool rearm, struct kvm_page_track_collector *collector)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + nr_pages, mode);
	struct collect collect = {
		.change = c,
		.collector = collector,
		.rearm = rearm,
	};

	collect.change.keeps = !rearm;
	return page_track_change_range(&collect.change, collect_gfns);
}
