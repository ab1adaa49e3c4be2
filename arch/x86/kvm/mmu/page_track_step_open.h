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

struct page_track_open_page {
	struct kvm_page_track_access access;
	/* The last one in which nobody had to know all that is written. */
	u64 generation;
	/* It was mapped writable, and may have been zapped since then. */
	bool written;
	u64 ids[PAGE_TRACK_MAX_OPENERS];
	u8 actions[PAGE_TRACK_MAX_OPENERS];
	u8 nr_again[PAGE_TRACK_MAX_OPENERS];
	u8 nr_ids;
};

/* Empty if @nr is 0. */
struct page_track_open_pages {
	struct page_track_open_page page[PAGE_TRACK_MAX_OPEN];
	u8 nr;
};

/*
 * Have the page of @access open for @n, whose action was @action at the fault.  Returns 1, or
 * 0 if that cannot be.
 *
 * Context: as above, and kvm->mmu_lock not held.
 */
int page_track_add_open(struct kvm_vcpu *vcpu, struct page_track_open_pages *open,
			const struct kvm_page_track_access *access, u8 action,
			struct kvm_page_track_notifier_node *n);

/* Is @gfn open, still?  If so, it counts as written. */
bool page_track_use_open(struct kvm *kvm, struct page_track_open_pages *open, gfn_t gfn);

/* Drop the tracker @id from those pages that it tracks otherwise now, or not at all. */
void page_track_recheck_opener(struct kvm *kvm, struct page_track_open_pages *open, u64 id);

/*
 * From now on, nobody in the view can write to the pages.
 *
 * Context: as above, and kvm->mmu_lock not held.
 */
void page_track_close_all(struct kvm_vcpu *vcpu, struct page_track_open_pages *open);

/*
 * Tell of the pages, of those that were written at least, or of all if the step was done to
 * its end, as @stepped says.  It has no access behind that.  Does not sleep.
 */
void page_track_tell_open(struct kvm_vcpu *vcpu, const struct page_track_open_pages *open,
			  struct kvm_page_track_stepped *stepped);

#endif /* __KVM_X86_PAGE_TRACK_STEP_OPEN_H */
