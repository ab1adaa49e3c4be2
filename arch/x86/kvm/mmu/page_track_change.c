// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: adding and removing ranges.
 *
 * A call for many gfns does so in chunks, and lets others take the locks between two
 * of them: set and counters agree whenever slots_arch_lock is free.  The tracker's
 * range_lock keeps its calls apart, so that one which fails can be undone.  A page
 * that an access gives up does not wait for it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/sched/signal.h>

#include "page_track.h"
#include "page_track_notifier.h"
#include "page_track_part.h"
#include "page_track_range.h"
#include "page_track_saved.h"
#include "page_track_untracked.h"

/*
 * What one chunk has at most: gfns of slots, per address space, 128 MiB; parts that are
 * tracked already.  A call for no more gfns than the latter is one chunk.
 */
#define CHUNK_GFNS	((gfn_t)16 * KVM_PAGE_TRACK_BLOCK_GFNS)
#define CHUNK_PARTS	1024

static_assert(CHUNK_PARTS <= CHUNK_GFNS);

static gfn_t chunk_end_in(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return max(gfn, slot->base_gfn) + CHUNK_GFNS;
}

/* Where the parts of a chunk end, and its ranges, of which nothing may be tracked any more. */
static gfn_t parts_end(struct page_track_change *c, gfn_t gfn, gfn_t end)
{
	MA_STATE(mas, &c->n->ranges[c->walk.mode], gfn, gfn);
	struct page_track_part part = { .end = gfn };
	int i;

	for (i = 0; i < CHUNK_PARTS; i++) {
		if (!mas_find(&mas, end - 1))
			break;
	}
	if (i == CHUNK_PARTS)
		end = min_t(gfn_t, end, (gfn_t)mas.last + 1);

	for (i = 0; i < CHUNK_PARTS; i++) {
		if (!page_track_next_part(c->n, c->walk.mode, end, &part))
			return end;
	}

	return part.end;
}

/* Where a chunk from @gfn on ends. */
static gfn_t chunk_end(struct page_track_change *c, gfn_t gfn)
{
	struct kvm *kvm = c->walk.kvm;
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;
	struct kvm_memslot_iter iter;
	gfn_t end = c->end;
	int i;

	if (end - gfn <= CHUNK_PARTS)
		return end;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_memslot_iter_start(&iter, __kvm_memslots(kvm, i), gfn);
		if (kvm_memslot_iter_is_valid(&iter, end))
			end = min(end, chunk_end_in(iter.slot, gfn));
	}

	if (head->new_slot && gfn < head->new_end)
		end = min(end, chunk_end_in(head->new_slot, gfn));

	return parts_end(c, gfn, end);
}

void page_track_include_neighbours(struct maple_tree *ranges, void *entry,
				   unsigned long *first, unsigned long *last)
{
	MA_STATE(mas, ranges, *last + 1, *last + 1);

	if (mas_walk(&mas) == entry)
		*last = mas.last;

	if (!*first)
		return;

	mas_set(&mas, *first - 1);
	if (mas_walk(&mas) == entry)
		*first = mas.index;
}

/* Go on to what [@part->end, @end) has of a range, all tracked or all untracked. */
static bool next_to_save(struct page_track_change *c, gfn_t end, struct page_track_part *part)
{
	MA_STATE(mas, page_track_change_tree(c), part->end, part->end);
	struct xarray *untracked = page_track_change_untracked(c);
	gfn_t range_end;

	part->entry = part->end < end ? mas_find(&mas, end - 1) : NULL;
	if (!part->entry)
		return false;

	part->gfn = max_t(gfn_t, part->end, mas.index);
	range_end = min_t(gfn_t, end, (gfn_t)mas.last + 1);
	part->untracked = page_track_is_untracked(untracked, part->gfn);
	if (part->untracked)
		part->end = page_track_next_kept(untracked, part->gfn, range_end);
	else
		part->end = page_track_next_untracked(untracked, part->gfn, range_end);
	return true;
}

static int save_parts(struct page_track_change *c, gfn_t gfn, gfn_t end)
{
	struct page_track_part part = { .end = gfn };
	int r = 0;

	while (!r && c->saved && next_to_save(c, end, &part))
		r = page_track_saved_push(c->saved, &part);

	return r;
}

int page_track_add_chunk(struct page_track_change *c)
{
	MA_STATE(mas, page_track_change_tree(c), 0, 0);
	gfn_t gfn = c->gfn, end = chunk_end(c, gfn);
	unsigned long first = gfn, last = end - 1;
	int r;

	/* Whatever can fail comes first. */
	r = kvm_page_track_enable(c->walk.kvm, c->walk.mode);
	if (r)
		return r;

	r = page_track_call_slots(c, gfn, end, page_track_prepare);
	if (r)
		return r;

	r = save_parts(c, gfn, end);
	if (r)
		return r;

	page_track_include_neighbours(page_track_change_tree(c), c->entry, &first, &last);
	mas_set_range(&mas, first, last);
	r = mas_preallocate(&mas, c->entry, c->gfp);
	if (r)
		return r;

	r = page_track_count_slots(c, gfn, end, page_track_count_gaps_up);
	mas_store_prealloc(&mas, c->entry);
	page_track_untracked_remove(page_track_change_untracked(c), gfn, end);
	c->gfn = end;
	return r;
}

int page_track_remove_chunk(struct page_track_change *c)
{
	MA_STATE(mas, page_track_change_tree(c), c->gfn, c->gfn);
	gfn_t gfn, end;
	int r;

	/* A range, be its gfns untracked or not: these shall not come back. */
	if (!mas_find(&mas, c->end - 1)) {
		c->gfn = c->end;
		return 0;
	}

	gfn = max_t(gfn_t, c->gfn, mas.index);
	end = chunk_end(c, gfn);
	mas_set_range(&mas, gfn, end - 1);
	r = mas_preallocate(&mas, NULL, c->gfp);
	if (r)
		return r;

	r = page_track_count_slots(c, gfn, end, page_track_count_parts_down);
	mas_store_prealloc(&mas, NULL);
	page_track_untracked_remove(page_track_change_untracked(c), gfn, end);
	page_track_untracked_remove(page_track_change_told(c), gfn, end);
	c->gfn = end;
	c->any = true;
	return r;
}

/* Have a part that was saved lead to its old entry again. */
static int restore_entry(struct page_track_change *c)
{
	MA_STATE(mas, page_track_change_tree(c), c->gfn, c->end - 1);
	int r = mas_store_gfp(&mas, c->entry, c->gfp);

	c->gfn = c->end;
	return r;
}

/* It was tracked: also what was given up since, by what was not to be added. */
static int restore_chunk(struct page_track_change *c)
{
	/* There are blocks already, but maybe in a slot that has just come. */
	int r = page_track_call_slots(c, c->gfn, c->end, page_track_prepare);

	if (!r) {
		r = page_track_count_slots(c, c->gfn, c->end, page_track_count_gaps_up);
		page_track_untracked_remove(page_track_change_untracked(c), c->gfn, c->end);
	}

	return restore_entry(c) ?: r;
}

/* It was untracked. */
static int restore_untracked_chunk(struct page_track_change *c)
{
	int r = page_track_count_slots(c, c->gfn, c->end, page_track_count_parts_down);

	page_track_untracked_restore(page_track_change_untracked(c), c->gfn, c->end);
	return restore_entry(c) ?: r;
}

/* What has been added has not been collected: not until nothing can fail any more. */
static int forget_told_chunk(struct page_track_change *c)
{
	page_track_untracked_remove(page_track_change_told(c), c->gfn, c->end);
	c->gfn = c->end;
	return 0;
}

static int do_chunk(struct page_track_change *c, int (*fn)(struct page_track_change *c))
{
	struct kvm *kvm = c->walk.kvm;
	int idx, r;

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);
	r = page_track_is_registered(kvm, c->n) ? fn(c) : -ESRCH;
	if (!c->keeps)
		kvm_page_track_changed(kvm);
	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);

	return r;
}

/* Call @fn until all is done. */
int page_track_do_chunks(struct page_track_change *c,
			 int (*fn)(struct page_track_change *c))
{
	int r;

	for (;;) {
		r = do_chunk(c, fn);
		if (r || c->gfn == c->end)
			return r;

		if (!c->finish && fatal_signal_pending(current))
			return -EINTR;

		cond_resched();
	}
}

/* Have [@gfn, @end) be as it was, without a look at the caller's signals or memory. */
static void undo_part(struct page_track_change *c, gfn_t gfn, gfn_t end, void *entry,
		      int (*fn)(struct page_track_change *c))
{
	PAGE_TRACK_CHANGE(undo, c->walk.kvm, c->n, gfn, end, c->walk.mode);

	undo.gfp |= __GFP_NOFAIL;
	undo.finish = true;
	undo.entry = entry;

	if (gfn < end)
		page_track_do_chunks(&undo, fn);
}

/* Undo what @c has added from @first on. */
static void undo_add(struct page_track_change *c, gfn_t first)
{
	gfn_t done = c->gfn;
	struct page_track_part part;

	while (page_track_saved_pop(c->saved, &part)) {
		/* Of the chunk that failed? */
		if (part.gfn >= done)
			continue;

		undo_part(c, part.end, done, NULL, page_track_remove_chunk);
		undo_part(c, part.gfn, part.end, part.entry,
			  part.untracked ? restore_untracked_chunk : restore_chunk);
		done = part.gfn;
	}

	undo_part(c, first, done, NULL, page_track_remove_chunk);
}

static int add_gfns(struct page_track_change *c)
{
	struct page_track_saved saved = {};
	gfn_t first = c->gfn;
	int r;

	/* One chunk is done at once, or not at all. */
	if (c->end - first > CHUNK_PARTS)
		c->saved = &saved;

	r = page_track_do_chunks(c, page_track_add_chunk);
	if (r && c->saved) {
		undo_add(c, first);
	} else if (!r && !xa_empty(page_track_change_told(c))) {
		c->gfn = first;
		c->finish = true;
		page_track_do_chunks(c, forget_told_chunk);
	}

	page_track_saved_destroy(&saved);
	return r;
}

static int remove_gfns(struct page_track_change *c)
{
	int r = page_track_do_chunks(c, page_track_remove_chunk);

	return r ?: c->any ? 0 : -ENOENT;
}

void kvm_page_track_remove_most_ranges(struct kvm *kvm,
				       struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		PAGE_TRACK_CHANGE(c, kvm, n, 0, ULONG_MAX, mode);

		c.gfp |= __GFP_NOFAIL;
		c.finish = true;
		page_track_do_chunks(&c, page_track_remove_chunk);
	}
}

void kvm_page_track_remove_all_ranges(struct kvm *kvm,
				      struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		PAGE_TRACK_CHANGE(c, kvm, n, 0, ULONG_MAX, mode);

		if (!mtree_empty(page_track_change_tree(&c)))
			page_track_count_slots(&c, c.gfn, c.end, page_track_count_parts_down);
		__mt_destroy(page_track_change_tree(&c));
	}

	kvm_page_track_changed(kvm);
}

int page_track_change_range(struct page_track_change *c,
			    int (*fn)(struct page_track_change *c))
{
	struct kvm_page_track_notifier_node *n = c->n;
	int r;

	if (!page_track_is_valid_range(c->gfn, c->end - c->gfn, c->walk.mode))
		return -EINVAL;

	/* Was it ever?  If so, there is a lock; whether it still is shows under that. */
	if (hlist_unhashed_lockless(&n->node))
		return -ESRCH;

	r = mutex_lock_killable(&n->range_lock);
	if (r)
		return r;

	r = fn(c);
	if (!c->keeps)
		WRITE_ONCE(n->nr_changes, n->nr_changes + 1);
	mutex_unlock(&n->range_lock);
	return r;
}

int kvm_page_track_add_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			     u8 action)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + nr_pages, mode);

	c.entry = xa_mk_value(action);
	return page_track_change_range(&c, add_gfns);
}
EXPORT_SYMBOL_GPL(kvm_page_track_add_range);

int kvm_page_track_remove_range(struct kvm *kvm,
				struct kvm_page_track_notifier_node *n, gfn_t gfn,
				gfn_t nr_pages, enum kvm_page_track_mode mode)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + nr_pages, mode);

	return page_track_change_range(&c, remove_gfns);
}
EXPORT_SYMBOL_GPL(kvm_page_track_remove_range);
