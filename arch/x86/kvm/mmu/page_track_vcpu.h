/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: what a vCPU keeps of accesses, in vcpu->arch.page_track.  What each
 * file does with it is known there.
 */
#ifndef __KVM_X86_PAGE_TRACK_VCPU_H
#define __KVM_X86_PAGE_TRACK_VCPU_H

#include <linux/bits.h>
#include <linux/kvm_host.h>

#include <asm/kvm_page_track.h>

struct kvm_page_track_step;

/* What a fault was on, as long as it is handled: to tell it again if emulation fails. */
struct kvm_page_track_fault {
	struct kvm_page_track_access access;
	bool valid;
	/* Nobody wants to know the data. */
	bool told;
};

/* A tracker that has the gfn of an access, and the action that it gave. */
struct kvm_page_track_found {
	struct kvm_page_track_notifier_node *node;
	u8 action;
};

#define KVM_PAGE_TRACK_MAX_FOUND	8

/*
 * kvm_page_track_insn.state: how far a write is, which of @found was taken back, and
 * which write it is.  0 is none.
 */
#define KVM_PAGE_TRACK_STAGE		GENMASK(1, 0)
#define KVM_PAGE_TRACK_DECIDED		1
#define KVM_PAGE_TRACK_WRITTEN		2
#define KVM_PAGE_TRACK_TAKEN_BACK(i)	BIT(2 + (i))
#define KVM_PAGE_TRACK_ANY_TAKEN_BACK	GENMASK(1 + KVM_PAGE_TRACK_MAX_FOUND, 2)
#define KVM_PAGE_TRACK_NEXT_WRITE	BIT(2 + KVM_PAGE_TRACK_MAX_FOUND)
#define KVM_PAGE_TRACK_WHICH_WRITE	GENMASK(31, 2 + KVM_PAGE_TRACK_MAX_FOUND)

/* The instruction that KVM emulates, and who has the gfn that it is about to write. */
struct kvm_page_track_insn {
	/* Between its start and its end: whether others than KVM have trackers. */
	bool active;
	bool too_late;
	/* It goes on after a stop: for one element, and natively if that fails. */
	bool resumed;

	/* How far the write to @gfn is.  Others may take back what is decided. */
	u32 state;
	gfn_t gfn;
	/* The answer is the same for all of [@first, @last], as long as nothing changes. */
	gfn_t first, last;
	u64 generation;

	/* In the order of registration.  If there are @more, one @beyond the last, in turn. */
	struct kvm_page_track_found found[KVM_PAGE_TRACK_MAX_FOUND];
	struct kvm_page_track_found beyond;
	u8 nr_found;
	bool more;
};

/*
 * What a vCPU keeps, from the first access on that it looks for trackers of others for.
 * Its own thread changes all but insn.state, which kvm_page_track_wait() does as well.
 */
struct kvm_page_track_vcpu {
	struct kvm_page_track_fault fault;
	struct kvm_page_track_insn insn;
	/* NULL before the first one, see page_track_step.c. */
	struct kvm_page_track_step *step;
};

#endif /* __KVM_X86_PAGE_TRACK_VCPU_H */
