// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: the parts of a tracker's ranges that are tracked, and the
 * slots that count them.
 *
 * When a part is counted, or what was a change of ranges, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>

#include "mmu.h"
#include "page_track.h"
#include "page_track_part.h"
#include "page_track_untracked.h"
#include "page_track_written.h"

gfn_t page_track_max_gfn(void)
{
	/* Below ULONG_MAX, so that the index behind a range exists. */
	return min_t(gfn_t, kvm_mmu_max_gfn(), ULONG_MAX - 1);
}

bool page_track_is_valid_range(gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode)
{
	gfn_t max = page_track_max_gfn();

	return mode < KVM_PAGE_TRACK_MAX && nr_pages && gfn <= max &&
	       nr_pages - 1 <= max - gfn;
}

bool page_track_next_part(struct kvm_page_track_notifier_node *n,
			  enum kvm_page_track_mode mode, gfn_t end,
			  struct page_track_part *part)
{
	MA_STATE(mas, &n->ranges[mode], part->end, part->end);
	gfn_t range_end, gfn = part->end;

	if (gfn >= end)
		return false;

	while ((part->entry = mas_find(&mas, end - 1))) {
		gfn = max_t(gfn_t, gfn, mas.index);
		range_end = min_t(gfn_t, end, (gfn_t)mas.last + 1);
		part->gfn = page_track_next_kept(&n->untracked[mode], gfn, range_end);
		if (part->gfn == range_end)
			continue;

		part->end = page_track_next_untracked(&n->untracked[mode], part->gfn,
						      range_end);
		return true;
	}

	return false;
}

/* For the slot that is not visible yet, as far as kvm_page_track_apply_ranges() is. */
static int call_new_slot(struct page_track_change *c, gfn_t gfn, gfn_t end,
			 page_track_slot_fn fn)
{
	struct kvm_page_track_notifier_head *head = &c->walk.kvm->arch.track_notifier_head;
	int r;

	lockdep_assert_held(&c->walk.kvm->slots_arch_lock);

	if (!head->new_slot)
		return 0;

	gfn = max(gfn, head->new_slot->base_gfn);
	end = min(end, head->new_end);
	if (gfn >= end)
		return 0;

	c->walk.unmapped = true;
	r = fn(c, head->new_slot, gfn, end);
	c->walk.unmapped = false;
	return r;
}

/* For the slots of @gfn, mostly the same as in the call before. */
static int call_slots_of_gfn(struct page_track_change *c, gfn_t gfn, page_track_slot_fn fn)
{
	struct kvm *kvm = c->walk.kvm;
	struct kvm_memory_slot *slot;
	int i, r = 0;

	for (i = 0; !r && i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		slot = __gfn_to_memslot(__kvm_memslots(kvm, i), gfn);
		if (slot && !page_track_is_internal(slot))
			r = fn(c, slot, gfn, gfn + 1);
	}

	return r;
}

static int call_slots(struct page_track_change *c, gfn_t gfn, gfn_t end,
		      page_track_slot_fn fn)
{
	struct kvm *kvm = c->walk.kvm;
	struct kvm_memslot_iter iter;
	struct kvm_memory_slot *slot;
	int i, r;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i), gfn, end) {
			slot = iter.slot;
			if (page_track_is_internal(slot))
				continue;

			r = fn(c, slot, max(gfn, slot->base_gfn),
			       min(end, slot->base_gfn + slot->npages));
			if (r)
				return r;
		}
	}

	return 0;
}

int page_track_call_slots(struct page_track_change *c, gfn_t gfn, gfn_t end,
			  page_track_slot_fn fn)
{
	int r = end - gfn == 1 ? call_slots_of_gfn(c, gfn, fn) : call_slots(c, gfn, end, fn);

	return r ?: call_new_slot(c, gfn, end, fn);
}

int page_track_count_slots(struct page_track_change *c, gfn_t gfn, gfn_t end,
			   page_track_slot_fn fn)
{
	int r;

	kvm_page_track_begin_walk(&c->walk);
	r = page_track_call_slots(c, gfn, end, fn);
	kvm_page_track_end_walk(&c->walk);
	return r;
}

int page_track_prepare(struct page_track_change *c, struct kvm_memory_slot *slot,
		       gfn_t gfn, gfn_t end)
{
	int r = kvm_slot_page_track_prepare_range(c->walk.kvm, slot, gfn, end, c->walk.mode);

	if (r || !c->n->written || c->walk.mode != KVM_PAGE_TRACK_WRITE)
		return r;

	return page_track_written_prepare(c->n->written, slot->as_id, gfn, end);
}

int page_track_count_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			gfn_t gfn, gfn_t end)
{
	return __kvm_slot_page_track_add_range(&c->walk, slot, gfn, end);
}

int page_track_count_down(struct page_track_change *c, struct kvm_memory_slot *slot,
			  gfn_t gfn, gfn_t end)
{
	return __kvm_slot_page_track_remove_range(&c->walk, slot, gfn, end);
}

int page_track_count_gaps_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			     gfn_t gfn, gfn_t end)
{
	struct page_track_part part = { .end = gfn };
	int r;

	while (page_track_next_part(c->n, c->walk.mode, end, &part)) {
		r = __kvm_slot_page_track_add_range(&c->walk, slot, gfn, part.gfn);
		if (r)
			return r;
		gfn = part.end;
	}

	return __kvm_slot_page_track_add_range(&c->walk, slot, gfn, end);
}

int page_track_count_parts_down(struct page_track_change *c,
				struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end)
{
	struct page_track_part part = { .end = gfn };
	int r = 0;

	while (!r && page_track_next_part(c->n, c->walk.mode, end, &part))
		r = __kvm_slot_page_track_remove_range(&c->walk, slot, part.gfn, part.end);

	return r;
}
