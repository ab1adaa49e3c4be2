// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: what trackers track.
 *
 * A tracker owns a set of gfns per mode, kept as ranges, which do not depend on
 * slots.  Each slot counts what the trackers have of its gfns.  Both change under
 * kvm->slots_arch_lock, so that a new slot and a new range never miss each other.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>

#include "mmu.h"
#include "page_track.h"
#include "page_track_dropped.h"

typedef int (*slot_part_fn)(struct kvm *kvm, struct kvm_memory_slot *slot,
			    gfn_t gfn, gfn_t end, enum kvm_page_track_mode mode);

/*
 * Call @fn for what the slots of all address spaces have of [@gfn, @end).
 * Returns its first error, or whether it ever returned 1.
 */
static int call_slot_parts(struct kvm *kvm, gfn_t gfn, gfn_t end,
			   enum kvm_page_track_mode mode, slot_part_fn fn)
{
	struct kvm_memslot_iter iter;
	struct kvm_memory_slot *slot;
	int i, r, any = 0;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i), gfn, end) {
			slot = iter.slot;
			r = fn(kvm, slot, max(gfn, slot->base_gfn),
			       min(end, slot->base_gfn + slot->npages), mode);
			if (r < 0)
				return r;
			any |= r;
		}
	}

	return any;
}

/* Gfns in a row that a tracker tracks with one action. */
struct part {
	gfn_t gfn, end;
	void *entry;
};

/* Go on to the next part, or piece of one, of [@part->end, @end). */
static bool next_part(struct kvm_page_track_notifier_node *n,
		      enum kvm_page_track_mode mode, gfn_t end, struct part *part)
{
	MA_STATE(mas, &n->ranges[mode], part->end, part->end);
	gfn_t range_end, gfn = part->end;

	if (gfn >= end)
		return false;

	while ((part->entry = mas_find(&mas, end - 1))) {
		gfn = max_t(gfn_t, gfn, mas.index);
		range_end = min_t(gfn_t, end, (gfn_t)mas.last + 1);
		part->gfn = page_track_next_kept(&n->dropped[mode], gfn, range_end);
		if (part->gfn == range_end)
			continue;

		part->end = page_track_next_dropped(&n->dropped[mode], part->gfn,
						    range_end);
		return true;
	}

	return false;
}

/*
 * Count up what @n does not track yet of [@gfn, @end).  Returns whether that made a
 * gfn tracked, or -EIO.
 */
static int count_gaps_up(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			 gfn_t gfn, gfn_t end, enum kvm_page_track_mode mode)
{
	struct part part = { .end = gfn };
	int r, any = 0;

	while (next_part(n, mode, end, &part)) {
		r = call_slot_parts(kvm, gfn, part.gfn, mode,
				    __kvm_slot_page_track_add_range);
		if (r < 0)
			return r;
		any |= r;
		gfn = part.end;
	}

	r = call_slot_parts(kvm, gfn, end, mode, __kvm_slot_page_track_add_range);
	return r < 0 ? r : any | r;
}

/*
 * Count down what @n tracks of [@gfn, @end).  Returns whether that made a gfn
 * untracked, or -EIO.
 */
static int count_parts_down(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			    gfn_t gfn, gfn_t end, enum kvm_page_track_mode mode)
{
	struct part part = { .end = gfn };
	int r, any = 0;

	while (next_part(n, mode, end, &part)) {
		r = call_slot_parts(kvm, part.gfn, part.end, mode,
				    __kvm_slot_page_track_remove_range);
		if (r < 0)
			return r;
		any |= r;
	}

	return any;
}

/* Let [@first, @last] be one range with its neighbours that have @entry. */
static void include_neighbours(struct maple_tree *ranges, void *entry,
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

static int add_gfns(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
		    gfn_t gfn, gfn_t end, enum kvm_page_track_mode mode, void *entry)
{
	MA_STATE(mas, &n->ranges[mode], 0, 0);
	unsigned long first = gfn, last = end - 1;
	int r;

	/* Whatever can fail comes first. */
	r = kvm_page_track_enable(kvm, mode);
	if (r)
		return r;

	r = call_slot_parts(kvm, gfn, end, mode, kvm_slot_page_track_prepare_range);
	if (r)
		return r;

	include_neighbours(&n->ranges[mode], entry, &first, &last);
	mas_set_range(&mas, first, last);
	r = mas_preallocate(&mas, entry, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;

	r = count_gaps_up(kvm, n, gfn, end, mode);
	mas_store_prealloc(&mas, entry);
	page_track_dropped_remove(&n->dropped[mode], gfn, end);

	/* SPTEs made from now on lack the access.  Drop those made before. */
	if (r > 0)
		kvm_zap_gfn_range(kvm, gfn, end);

	return min(r, 0);
}

static int remove_gfns(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
		       gfn_t gfn, gfn_t end, enum kvm_page_track_mode mode)
{
	MA_STATE(mas, &n->ranges[mode], 0, 0);
	struct part part = { .end = gfn };
	int r;

	if (!next_part(n, mode, end, &part))
		return -ENOENT;

	mas_set_range(&mas, gfn, end - 1);
	r = mas_preallocate(&mas, NULL, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;

	r = count_parts_down(kvm, n, gfn, end, mode);
	mas_store_prealloc(&mas, NULL);
	page_track_dropped_remove(&n->dropped[mode], gfn, end);

	/* Have the next access map the gfns anew, with huge pages if possible. */
	if (r > 0)
		kvm_zap_gfn_range(kvm, gfn, end);

	return min(r, 0);
}

static void remove_all_gfns(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			    enum kvm_page_track_mode mode)
{
	gfn_t first = 0, last_end = 0;
	struct part part = {};

	while (next_part(n, mode, ULONG_MAX, &part)) {
		if (call_slot_parts(kvm, part.gfn, part.end, mode,
				    __kvm_slot_page_track_remove_range) <= 0)
			continue;
		if (!last_end)
			first = part.gfn;
		last_end = part.end;
	}

	/* There may be many ranges, zap once. */
	if (last_end)
		kvm_zap_gfn_range(kvm, first, last_end);

	__mt_destroy(&n->ranges[mode]);
}

void kvm_page_track_remove_all_ranges(struct kvm *kvm,
				      struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++)
		remove_all_gfns(kvm, n, mode);
	kvm_page_track_changed(kvm);
}

static bool is_valid_range(gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode)
{
	/* Below ULONG_MAX, so that the index behind the range exists. */
	gfn_t max = min_t(gfn_t, kvm_mmu_max_gfn(), ULONG_MAX - 1);

	return mode < KVM_PAGE_TRACK_MAX && nr_pages && gfn <= max &&
	       nr_pages - 1 <= max - gfn;
}

/* A callback may run when its tracker is unregistered already. */
static bool is_registered(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	lockdep_assert_held(&kvm->slots_arch_lock);

	return !hlist_unhashed(&n->node);
}

/* Have the gfns of a range lead to @entry, or to nothing if it is NULL. */
static int change_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			void *entry)
{
	gfn_t end = gfn + nr_pages;
	int idx, r = -ESRCH;

	if (!is_valid_range(gfn, nr_pages, mode))
		return -EINVAL;

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);

	if (is_registered(kvm, n))
		r = entry ? add_gfns(kvm, n, gfn, end, mode, entry) :
			    remove_gfns(kvm, n, gfn, end, mode);
	kvm_page_track_changed(kvm);

	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);

	return r;
}

int kvm_page_track_add_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			     u8 action)
{
	return change_range(kvm, n, gfn, nr_pages, mode, xa_mk_value(action));
}
EXPORT_SYMBOL_GPL(kvm_page_track_add_range);

int kvm_page_track_remove_range(struct kvm *kvm,
				struct kvm_page_track_notifier_node *n, gfn_t gfn,
				gfn_t nr_pages, enum kvm_page_track_mode mode)
{
	return change_range(kvm, n, gfn, nr_pages, mode, NULL);
}
EXPORT_SYMBOL_GPL(kvm_page_track_remove_range);

int kvm_page_track_next_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			      enum kvm_page_track_mode mode, gfn_t *gfn,
			      gfn_t *nr_pages, u8 *action)
{
	struct part part = { .end = *gfn };

	if (mode >= KVM_PAGE_TRACK_MAX)
		return -EINVAL;

	if (!is_valid_range(*gfn, 1, mode))
		return -ENOENT;

	guard(mutex)(&kvm->slots_arch_lock);

	if (!is_registered(kvm, n))
		return -ESRCH;

	/* No range goes beyond, see is_valid_range(). */
	if (!next_part(n, mode, ULONG_MAX, &part))
		return -ENOENT;

	*gfn = part.gfn;
	*nr_pages = part.end - part.gfn;
	*action = xa_to_value(part.entry);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_next_range);

int kvm_page_track_get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
			      enum kvm_page_track_mode mode)
{
	void *entry = gfn <= ULONG_MAX ? mtree_load(&n->ranges[mode], gfn) : NULL;

	if (!entry || page_track_is_dropped(&n->dropped[mode], gfn))
		return -ENOENT;

	return xa_to_value(entry);
}

int kvm_page_track_drop_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, enum kvm_page_track_mode mode, u8 action)
{
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);
	lockdep_assert_once(srcu_read_lock_held(&kvm->srcu));

	if (!is_registered(kvm, n) ||
	    kvm_page_track_get_action(n, gfn, mode) != action)
		return 0;

	r = page_track_dropped_prepare(&n->dropped[mode], gfn);
	if (r)
		return r;

	/* SPTEs, of 4K like those of its neighbours, get the access by a fault. */
	r = call_slot_parts(kvm, gfn, gfn + 1, mode, __kvm_slot_page_track_remove_range);
	page_track_dropped_add(&n->dropped[mode], gfn);
	kvm_page_track_changed(kvm);
	return r < 0 ? r : 1;
}

static int apply_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		       gfn_t end, enum kvm_page_track_mode mode)
{
	int r = kvm_slot_page_track_prepare_range(kvm, slot, gfn, end, mode);

	/* Nobody has SPTEs for @slot yet. */
	return r ?: min(__kvm_slot_page_track_add_range(kvm, slot, gfn, end, mode), 0);
}

static int apply_tracker(struct kvm *kvm, struct kvm_memory_slot *slot,
			 struct kvm_page_track_notifier_node *n)
{
	gfn_t end = min_t(gfn_t, slot->base_gfn + slot->npages, ULONG_MAX);
	enum kvm_page_track_mode mode;
	struct part part;
	int r;

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		part.end = slot->base_gfn;
		while (next_part(n, mode, end, &part)) {
			r = apply_range(kvm, slot, part.gfn, part.end, mode);
			if (r)
				return r;
		}
	}

	return 0;
}

int kvm_page_track_apply_ranges(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_page_track_notifier_node *n;
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);

	hlist_for_each_entry(n, &kvm->arch.track_notifier_head.track_notifier_list, node) {
		r = apply_tracker(kvm, slot, n);
		if (r) {
			kvm_page_track_free_memslot(kvm, slot);
			return r;
		}
	}

	return 0;
}
