/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the parts of a tracker's ranges that are tracked, and the
 * slots that count them, see page_track_part.c.
 *
 * Whatever has no other context needs kvm->slots_arch_lock, and kvm->srcu or
 * slots_lock.
 */
#ifndef __KVM_X86_PAGE_TRACK_PART_H
#define __KVM_X86_PAGE_TRACK_PART_H

#include <linux/kvm_host.h>

#include "page_track_walk.h"

struct page_track_saved;

/* Gfns in a row that a tracker tracks with one action. */
struct page_track_part {
	gfn_t gfn, end;
	void *entry;
	bool untracked;		/* if saved: it does not, but has the range */
};

/* A change of what a tracker tracks of [@gfn, @end), which shrinks as it is done. */
struct page_track_change {
	struct kvm_page_track_walk walk;
	struct kvm_page_track_notifier_node *n;
	gfn_t gfn, end;
	void *entry;			/* to be stored, or NULL */
	struct page_track_saved *saved;	/* if not NULL, for what was there */
	gfp_t gfp;
	bool any;			/* has it found something to remove? */
	bool finish;			/* even if the caller is killed */
	bool keeps;			/* what is tracked stays as it is */
};

#define PAGE_TRACK_CHANGE(_name, _kvm, _n, _gfn, _end, _mode)		\
	struct page_track_change _name = {				\
		.walk = { .kvm = (_kvm), .mode = (_mode) },		\
		.n = (_n),						\
		.gfn = (_gfn),						\
		.end = (_end),						\
		.gfp = GFP_KERNEL_ACCOUNT,				\
	}

static inline struct maple_tree *page_track_change_tree(struct page_track_change *c)
{
	return &c->n->ranges[c->walk.mode];
}

static inline struct xarray *page_track_change_untracked(struct page_track_change *c)
{
	return &c->n->untracked[c->walk.mode];
}

/* Those of the untracked gfns that have been collected, and stay untracked. */
static inline struct xarray *page_track_change_told(struct page_track_change *c)
{
	return &c->n->told[c->walk.mode];
}

/* A callback may run when its tracker is unregistered already. */
static inline bool page_track_is_registered(struct kvm *kvm,
					    struct kvm_page_track_notifier_node *n)
{
	lockdep_assert_held(&kvm->slots_arch_lock);

	return !hlist_unhashed(&n->node);
}

/* Trackers are for the guest's memory, not for slots that KVM makes for itself. */
static inline bool page_track_is_internal(const struct kvm_memory_slot *slot)
{
	return slot->id >= KVM_USER_MEM_SLOTS;
}

/* The last gfn that a range may have.  Context: any. */
gfn_t page_track_max_gfn(void);

/* Context: any. */
bool page_track_is_valid_range(gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode);

/* Go on to the next part, or piece of one, of [@part->end, @end). */
bool page_track_next_part(struct kvm_page_track_notifier_node *n,
			  enum kvm_page_track_mode mode, gfn_t end,
			  struct page_track_part *part);

typedef int (*page_track_slot_fn)(struct page_track_change *c,
				  struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

/*
 * Call @fn for what the guest's slots of all address spaces have of [@gfn, @end); in
 * a walk, to count.  Returns 0 or its first error.
 */
int page_track_call_slots(struct page_track_change *c, gfn_t gfn, gfn_t end,
			  page_track_slot_fn fn);
int page_track_count_slots(struct page_track_change *c, gfn_t gfn, gfn_t end,
			   page_track_slot_fn fn);

/*
 * Such functions: allocate; count all up, or down; count what the tracker does not track, or
 * what it does.
 */
int page_track_prepare(struct page_track_change *c, struct kvm_memory_slot *slot,
		       gfn_t gfn, gfn_t end);
int page_track_count_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			gfn_t gfn, gfn_t end);
int page_track_count_down(struct page_track_change *c, struct kvm_memory_slot *slot,
			  gfn_t gfn, gfn_t end);
int page_track_count_gaps_up(struct page_track_change *c, struct kvm_memory_slot *slot,
			     gfn_t gfn, gfn_t end);
int page_track_count_parts_down(struct page_track_change *c,
				struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

/*
 * Do @fn for the range of @c, if it is one, with the lock that keeps a tracker's calls
 * apart; and, in it, @fn for one chunk after the other, with the locks above, until it
 * has moved @c->gfn to @c->end.  Both are in page_track_change.c.
 *
 * Both return the first error of @fn, -ESRCH if the tracker is not registered, or -EINTR
 * if the caller is killed, the latter only without @c->finish; the first one -EINVAL, too.
 * Context: process, may sleep; takes kvm->slots_arch_lock and mmu_lock.
 */
int page_track_change_range(struct page_track_change *c,
			    int (*fn)(struct page_track_change *c));
int page_track_do_chunks(struct page_track_change *c,
			 int (*fn)(struct page_track_change *c));

/*
 * Such functions, in page_track_change.c as well: add, or remove, the next chunk of what is
 * left, as ranges.
 */
int page_track_add_chunk(struct page_track_change *c);
int page_track_remove_chunk(struct page_track_change *c);

/* Let [@first, @last] be one range with its neighbours that have @entry. */
void page_track_include_neighbours(struct maple_tree *ranges, void *entry,
				   unsigned long *first, unsigned long *last);

#endif /* __KVM_X86_PAGE_TRACK_PART_H */
