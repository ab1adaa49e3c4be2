// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: what trackers track.
 *
 * A tracker owns a set of gfns per mode, kept as ranges, which do not depend on
 * slots.  Each slot counts what the trackers have of its gfns.  Both change under
 * kvm->slots_arch_lock, so that a new slot and a new range never miss each other: a
 * slot that is not visible yet counts from its first gfn on, and whoever changes a
 * range meanwhile knows how far that is.
 *
 * What an action means, and when anybody is called, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/sched/signal.h>

#include "page_track.h"
#include "page_track_notifier.h"
#include "page_track_part.h"
#include "page_track_range.h"
#include "page_track_untracked.h"

/*
 * How many gfns to look at in one turn with slots_arch_lock.  Each may be a range of which
 * nothing is tracked any more.
 */
#define TURN_GFNS	BIT_ULL(16)

/* -EAGAIN if there is nothing in this turn, and @part is where the next one begins. */
static int next_part_in_turn(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     enum kvm_page_track_mode mode, struct page_track_part *part)
{
	MA_STATE(mas, &n->ranges[mode], part->end, part->end);
	gfn_t end;

	guard(mutex)(&kvm->slots_arch_lock);

	if (!page_track_is_registered(kvm, n))
		return -ESRCH;

	/* No range goes beyond, see page_track_is_valid_range(). */
	if (part->end >= ULONG_MAX || !mas_find(&mas, ULONG_MAX - 1))
		return -ENOENT;

	end = min_t(gfn_t, max_t(gfn_t, part->end, mas.index) + TURN_GFNS, ULONG_MAX);
	if (!page_track_next_part(n, mode, end, part)) {
		part->end = end;
		return -EAGAIN;
	}

	/* All of it, however far that goes. */
	part->end = part->gfn;
	page_track_next_part(n, mode, ULONG_MAX, part);
	return 0;
}

int kvm_page_track_next_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			      enum kvm_page_track_mode mode, gfn_t *gfn,
			      gfn_t *nr_pages, u8 *action)
{
	struct page_track_part part = { .end = *gfn };
	int r;

	if (mode >= KVM_PAGE_TRACK_MAX)
		return -EINVAL;

	if (!page_track_is_valid_range(*gfn, 1, mode))
		return -ENOENT;

	while ((r = next_part_in_turn(kvm, n, mode, &part)) == -EAGAIN) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	if (r)
		return r;

	*gfn = part.gfn;
	*nr_pages = part.end - part.gfn;
	*action = xa_to_value(part.entry);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_next_range);

int kvm_page_track_get_range_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
				    enum kvm_page_track_mode mode)
{
	void *entry = gfn <= ULONG_MAX ? mtree_load(&n->ranges[mode], gfn) : NULL;

	return entry ? xa_to_value(entry) : -ENOENT;
}

int kvm_page_track_get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
			      enum kvm_page_track_mode mode)
{
	struct xarray *untracked = &n->untracked[mode];
	const unsigned long *map = page_track_untracked_map(untracked, gfn);
	int action;

	/* A range is removed before its bits, which are looked at first. */
	if (map && page_track_untracked_test(map, gfn))
		return -ENOENT;

	action = kvm_page_track_get_range_action(n, gfn, mode);
	if (action < 0)
		return action;

	/* And one that comes with bits, after them.  Pairs with create_range(). */
	smp_rmb();
	if (!map)
		map = page_track_untracked_map(untracked, gfn);
	return map && page_track_untracked_test(map, gfn) ? -ENOENT : action;
}

/* Of a tracker that has given no page up. */
static int get_range_action_around(struct maple_tree *ranges, gfn_t gfn, gfn_t *first,
				   gfn_t *last)
{
	MA_STATE(mas, ranges, gfn, gfn);
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	*first = max_t(gfn_t, *first, mas.index);
	*last = min_t(gfn_t, *last, mas.last);
	rcu_read_unlock();

	return entry ? xa_to_value(entry) : -ENOENT;
}

int kvm_page_track_get_action_around(struct kvm_page_track_notifier_node *n, gfn_t gfn,
				     enum kvm_page_track_mode mode, gfn_t *first, gfn_t *last)
{
	int action;

	if (gfn <= ULONG_MAX && xa_empty(&n->untracked[mode])) {
		action = get_range_action_around(&n->ranges[mode], gfn, first, last);

		/* As below, for all of them. */
		smp_rmb();
		if (xa_empty(&n->untracked[mode]))
			return action;
	}

	*first = gfn;
	*last = gfn;
	return kvm_page_track_get_action(n, gfn, mode);
}

int __kvm_page_track_untrack_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				  gfn_t gfn, enum kvm_page_track_mode mode)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + 1, mode);
	unsigned long *map;
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);
	lockdep_assert_once(srcu_read_lock_held(&kvm->srcu));

	map = page_track_untracked_prepare(&n->untracked[mode], gfn);
	if (IS_ERR(map))
		return PTR_ERR(map);

	if (page_track_untracked_test(map, gfn))
		return 0;

	/* SPTEs get the access by a fault, or were zapped, to be huge. */
	r = page_track_count_slots(&c, gfn, gfn + 1, page_track_count_down);
	page_track_untracked_add(map, gfn);
	kvm_page_track_changed(kvm);
	return r ?: 1;
}

int kvm_page_track_untrack_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				gfn_t gfn, enum kvm_page_track_mode mode, u8 action)
{
	if (gfn > ULONG_MAX || !page_track_is_registered(kvm, n) ||
	    mtree_load(&n->ranges[mode], gfn) != xa_mk_value(action))
		return 0;

	return __kvm_page_track_untrack_page(kvm, n, gfn, mode);
}

static int count_parts_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			  gfn_t gfn, gfn_t end)
{
	struct page_track_part part = { .end = gfn };
	int r = 0;

	while (!r && page_track_next_part(c->n, c->walk.mode, end, &part))
		r = __kvm_slot_page_track_add_range(&c->walk, slot, part.gfn, part.end);

	return r;
}

/* Count what a tracker has of @slot in [@c->gfn, @c->end). */
static int apply_tracker(struct page_track_change *c, struct kvm_memory_slot *slot)
{
	struct page_track_part part = { .end = c->gfn };
	int r;

	if (!page_track_next_part(c->n, c->walk.mode, c->end, &part))
		return 0;

	do {
		r = page_track_prepare(c, slot, part.gfn, part.end);
		if (r)
			return r;
	} while (page_track_next_part(c->n, c->walk.mode, c->end, &part));

	c->walk.unmapped = true;
	kvm_page_track_begin_walk(&c->walk);
	r = count_parts_up(c, slot, c->gfn, c->end);
	kvm_page_track_end_walk(&c->walk);
	return r;
}

static int apply_trackers(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			  gfn_t end)
{
	struct kvm_page_track_notifier_node *n;
	enum kvm_page_track_mode mode;
	int r;

	kvm_page_track_for_each_notifier(kvm, n) {
		for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
			PAGE_TRACK_CHANGE(c, kvm, n, gfn, end, mode);

			r = apply_tracker(&c, slot);
			if (r)
				return r;
		}
	}

	return 0;
}

/* The first gfn of [@gfn, @end) that some tracker has, or @end. */
static gfn_t next_tracked(struct kvm *kvm, gfn_t gfn, gfn_t end)
{
	struct kvm_page_track_notifier_node *n;
	enum kvm_page_track_mode mode;

	kvm_page_track_for_each_notifier(kvm, n) {
		for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
			struct page_track_part part = { .end = gfn };

			if (page_track_next_part(n, mode, end, &part))
				end = part.gfn;
		}
	}

	return end;
}

/* How many gfns to count at once: the more trackers, the fewer; each may be a range. */
static unsigned int nr_to_apply(struct kvm *kvm)
{
	unsigned int nr_trackers = max(1u, kvm->arch.track_notifier_head.nr_external);

	return max(64u, (unsigned int)(4 * KVM_PAGE_TRACK_BLOCK_GFNS) / nr_trackers);
}

/* Whoever changes ranges meanwhile counts them in @slot, below @end. */
static void let_others_change(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t end)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	head->new_slot = slot;
	head->new_end = end;
	mutex_unlock(&kvm->slots_arch_lock);

	cond_resched();

	mutex_lock(&kvm->slots_arch_lock);
	head->new_slot = NULL;
}

int kvm_page_track_apply_ranges(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	gfn_t end = min_t(gfn_t, slot->base_gfn + slot->npages, ULONG_MAX);
	gfn_t gfn, next, turn_end;
	int r;

	lockdep_assert_held(&kvm->slots_lock);
	lockdep_assert_held(&kvm->slots_arch_lock);

	if (page_track_is_internal(slot))
		return 0;

	for (gfn = slot->base_gfn; gfn < end; gfn = next) {
		turn_end = min(end, gfn + TURN_GFNS);
		let_others_change(kvm, slot, gfn);

		next = next_tracked(kvm, gfn, turn_end);
		if (next == turn_end && !fatal_signal_pending(current))
			continue;

		next = min(end, next + nr_to_apply(kvm));
		r = fatal_signal_pending(current) ? -EINTR :
						    apply_trackers(kvm, slot, gfn, next);
		if (r) {
			kvm_page_track_free_memslot(kvm, slot);
			return r;
		}
	}

	return 0;
}
