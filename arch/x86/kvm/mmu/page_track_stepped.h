/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 2: what trackers are told of a step, see page_track_step_open.c. */
#ifndef __KVM_X86_PAGE_TRACK_STEPPED_H
#define __KVM_X86_PAGE_TRACK_STEPPED_H

#include <linux/types.h>

struct kvm_page_track_access;

/* How many bytes of a page they are told of, at most. */
#define KVM_PAGE_TRACK_STEP_DATA	64

/* What is being told of a step. */
struct kvm_page_track_stepped {
	/* The one that faulted, and the instruction's address. */
	const struct kvm_page_track_access *access;
	u64 rip;
	/* Was an event being delivered there?  Was it, or the instruction, done to its end? */
	bool event;
	bool done;
	/* Has the tracker that is told opened the page?  Was it not written, but a copy? */
	bool opened;
	bool skipped;
};

#endif /* __KVM_X86_PAGE_TRACK_STEPPED_H */
