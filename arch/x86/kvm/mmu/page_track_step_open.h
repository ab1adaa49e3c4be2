/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the pages that a step has open, and who is told of them, see
 * page_track_step.c.
 *
 * Context of all: the thread of the vCPU that steps, kvm->srcu held.
 */
#ifndef __KVM_X86_PAGE_TRACK_STEP_OPEN_H
#define __KVM_X86_PAGE_TRACK_STEP_OPEN_H

#include <linux/kvm_host.h>

#include "page_track_access.h"
#include "page_track_notifier.h"

struct kvm_page_track_stepped;

/* Pages that one step can open, and trackers that it tells of each. */
#define PAGE_TRACK_MAX_OPEN	32
#define PAGE_TRACK_MAX_OPENERS	8
/* ... and pages that are not to be written. */
#define PAGE_TRACK_MAX_COPIES	4

struct page_track_open_page {
	struct kvm_page_track_access access;
	/* The last one in which nobody had to know all that is written. */
	u64 generation;
	/* It was mapped writable, and may have been zapped since then. */
	bool written;
	/* What the vCPU has in its place, or NULL. */
	struct page *copy;
	u64 ids[PAGE_TRACK_MAX_OPENERS];
	u8 actions[PAGE_TRACK_MAX_OPENERS];
	u8 nr_again[PAGE_TRACK_MAX_OPENERS];
	u8 nr_ids;
};

struct page_track_open_pages {
	struct page_track_open_page page[PAGE_TRACK_MAX_OPEN];
	u8 nr;
	/* Allocated once, all; as many as are in use come first. */
	struct page *copies[PAGE_TRACK_MAX_COPIES];
	u8 nr_copies;
};

/* Start with none. */
static inline void page_track_init_open(struct page_track_open_pages *open)
{
	open->nr = 0;
	open->nr_copies = 0;
}

/*
 * Have the page of @access open for @n, whose action was @action at the fault.  Returns 1, or
 * 0 if that cannot be.
 *
 * Context: as above, and kvm->mmu_lock not held.
 */
int page_track_add_open(struct kvm_vcpu *vcpu, struct page_track_open_pages *open,
			const struct kvm_page_track_access *access, u8 action,
			struct kvm_page_track_notifier_node *n);

/* Allocate what copies need.  Returns 0 or -ENOMEM.  Context: as above, not in a step. */
int page_track_alloc_copies(struct page_track_open_pages *open);

static inline bool page_track_has_alloced_copies(const struct page_track_open_pages *open)
{
	return open->copies[PAGE_TRACK_MAX_COPIES - 1];
}

/*
 * Have a copy of @gfn, which is open, written in its place until all is closed.  Returns 1;
 * 0 if there are too many; or -EAGAIN if the page is not there, or none of memory.
 *
 * Context: as above, copies are allocated, kvm->mmu_lock not held.
 */
int page_track_copy_open(struct kvm_vcpu *vcpu, struct page_track_open_pages *open, gfn_t gfn);

/* The copy of @gfn, or NULL. */
struct page *page_track_find_copy(struct page_track_open_pages *open, gfn_t gfn);

/* Context: all is closed, and nothing of the view that was there before is used any more. */
void page_track_free_copies(struct page_track_open_pages *open);

/* Is @gfn open, still?  If so, it counts as written. */
bool page_track_use_open(struct kvm *kvm, struct page_track_open_pages *open, gfn_t gfn);

/* Drop the tracker @id from those pages that it tracks otherwise now, or not at all. */
void page_track_recheck_opener(struct kvm *kvm, struct page_track_open_pages *open, u64 id);

/*
 * From now on, nobody in the view can write to the pages, or has a copy.
 *
 * Context: as above, and kvm->mmu_lock not held.
 */
void page_track_close_all(struct kvm_vcpu *vcpu, struct page_track_open_pages *open);

/*
 * Tell of the pages, of those that were written at least, or of all if the step was done to
 * its end, as @stepped says.  Of copies, tell those who have opened the page, and only at the
 * end.  @stepped has no access behind that.  Does not sleep.
 */
void page_track_tell_open(struct kvm_vcpu *vcpu, const struct page_track_open_pages *open,
			  struct kvm_page_track_stepped *stepped);

#endif /* __KVM_X86_PAGE_TRACK_STEP_OPEN_H */
