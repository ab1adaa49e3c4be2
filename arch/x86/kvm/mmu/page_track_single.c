// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: single pages, for trackers that add and remove them all the time.
 *
 * A page that is a range of its own costs a change of a tree each time.  Instead, the first
 * one makes a range of all gfns that are in one bitmap with it, and the tracker has given the
 * others up: to add a page, or to remove it, is a bit then.  Whoever goes by ranges without
 * what is given up need not know; but to collect what is, as trackers of userspace do, would
 * find all the others.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kvm_host.h>
#include <linux/maple_tree.h>

#include "page_track.h"
#include "page_track_notifier.h"
#include "page_track_part.h"
#include "page_track_untracked.h"

/* Have [@gfn, @end), where there is nothing, in a range, with all gfns untracked. */
static unsigned long *create_range(struct page_track_change *c, gfn_t gfn, gfn_t end)
{
	MA_STATE(mas, page_track_change_tree(c), 0, 0);
	struct xarray *untracked = page_track_change_untracked(c);
	unsigned long *map = page_track_untracked_prepare(untracked, gfn);
	unsigned long first = gfn, last = end - 1;
	int r;

	if (IS_ERR(map))
		return map;

	page_track_include_neighbours(page_track_change_tree(c), c->entry, &first, &last);
	mas_set_range(&mas, first, last);
	r = mas_preallocate(&mas, c->entry, c->gfp);
	if (r)
		return ERR_PTR(r);

	page_track_untracked_restore(untracked, gfn, end);

	/* In this order.  Pairs with kvm_page_track_get_action(), which looks again. */
	smp_wmb();
	mas_store_prealloc(&mas, c->entry);
	page_track_map_set_entry(map, c->entry);
	return map;
}

/*
 * The bitmap of @c->gfn if all that is in the bitmap is in a range with @c->entry.  NULL if there
 * is something else, ERR_PTR(-ENOMEM) if there is no memory for what is missing.
 */
static unsigned long *find_map(struct page_track_change *c)
{
	MA_STATE(mas, page_track_change_tree(c), c->gfn, c->gfn);
	unsigned long *map = page_track_untracked_map(page_track_change_untracked(c), c->gfn);
	gfn_t gfn, end;
	void *entry;

	if (map && page_track_map_entry(map) == c->entry)
		return map;

	gfn = round_down(c->gfn, (gfn_t)PAGE_TRACK_MAP_GFNS);
	end = min(page_track_map_end(gfn), page_track_max_gfn() + 1);
	entry = mas_walk(&mas);
	if (mas.index > gfn || mas.last < end - 1)
		return NULL;

	if (!entry)
		return create_range(c, gfn, end);

	if (!map || entry != c->entry)
		return NULL;

	page_track_map_set_entry(map, entry);
	return map;
}

/* The slots that have one gfn, of each address space. */
struct slots {
	struct kvm_memory_slot *slot[KVM_MAX_NR_ADDRESS_SPACES];
	int nr;
};

static void find_slots(struct kvm *kvm, gfn_t gfn, struct slots *slots)
{
	struct kvm_memory_slot *slot;
	int i;

	slots->nr = 0;
	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		slot = __gfn_to_memslot(__kvm_memslots(kvm, i), gfn);
		if (slot && !page_track_is_internal(slot))
			slots->slot[slots->nr++] = slot;
	}
}

/* Is there one that is not visible yet?  Then single pages are counted as any. */
static bool has_new_slot(struct page_track_change *c)
{
	return c->walk.kvm->arch.track_notifier_head.new_slot;
}

static int prepare(struct page_track_change *c, const struct slots *slots)
{
	int i, r = 0;

	if (has_new_slot(c))
		return page_track_call_slots(c, c->gfn, c->end, page_track_prepare);

	if (!slots->nr)
		return -ENOENT;

	for (i = 0; i < slots->nr && !r; i++)
		r = page_track_prepare(c, slots->slot[i], c->gfn, c->end);

	return r;
}

static int count_up(struct page_track_change *c, const struct slots *slots)
{
	struct kvm *kvm = c->walk.kvm;
	int i, r = 0;

	if (has_new_slot(c))
		return page_track_count_slots(c, c->gfn, c->end, page_track_count_up);

	write_lock(&kvm->mmu_lock);
	for (i = 0; i < slots->nr && !r; i++)
		r = kvm_slot_page_track_add_page(kvm, NULL, slots->slot[i], c->gfn,
						 c->walk.mode);
	write_unlock(&kvm->mmu_lock);

	return KVM_BUG_ON(r, kvm) ? -EIO : 0;
}

static int count_down(struct page_track_change *c)
{
	struct kvm *kvm = c->walk.kvm;
	struct slots slots;
	int i, r = 0;

	if (has_new_slot(c))
		return page_track_count_slots(c, c->gfn, c->end, page_track_count_down);

	find_slots(kvm, c->gfn, &slots);
	write_lock(&kvm->mmu_lock);
	for (i = 0; i < slots.nr && r >= 0; i++)
		r = kvm_slot_page_track_remove_page(kvm, slots.slot[i], c->gfn, c->walk.mode);
	write_unlock(&kvm->mmu_lock);

	return KVM_BUG_ON(r < 0, kvm) ? -EIO : 0;
}

static int add_single(struct page_track_change *c)
{
	struct slots slots;
	unsigned long *map;
	int r;

	/* Whatever can fail comes first. */
	r = kvm_page_track_enable(c->walk.kvm, c->walk.mode);
	if (r)
		return r;

	find_slots(c->walk.kvm, c->gfn, &slots);
	r = prepare(c, &slots);
	if (r)
		return r;

	map = find_map(c);
	if (IS_ERR(map))
		return PTR_ERR(map);

	if (!map)
		return page_track_add_chunk(c);

	if (page_track_untracked_test(map, c->gfn)) {
		r = count_up(c, &slots);
		page_track_untracked_clear(map, c->gfn);
	}
	c->gfn = c->end;
	return r;
}

static int remove_single(struct page_track_change *c)
{
	unsigned long *map = page_track_untracked_map(page_track_change_untracked(c), c->gfn);
	bool untracked = map && page_track_untracked_test(map, c->gfn);
	int r = 0;

	if (!untracked && (!map || !page_track_map_entry(map)))
		return page_track_remove_chunk(c);

	if (!untracked) {
		r = count_down(c);
		page_track_untracked_add(map, c->gfn);
		c->any = true;
	}
	c->gfn = c->end;
	return r;
}

static int add_page(struct page_track_change *c)
{
	return page_track_do_chunks(c, add_single);
}

static int remove_page(struct page_track_change *c)
{
	int r = page_track_do_chunks(c, remove_single);

	return r ?: c->any ? 0 : -ENOENT;
}

int kvm_page_track_add_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			    gfn_t gfn, enum kvm_page_track_mode mode, u8 action)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + 1, mode);

	c.entry = xa_mk_value(action);
	return page_track_change_range(&c, add_page);
}
EXPORT_SYMBOL_GPL(kvm_page_track_add_page);

int kvm_page_track_remove_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			       gfn_t gfn, enum kvm_page_track_mode mode)
{
	PAGE_TRACK_CHANGE(c, kvm, n, gfn, gfn + 1, mode);

	return page_track_change_range(&c, remove_page);
}
EXPORT_SYMBOL_GPL(kvm_page_track_remove_page);
