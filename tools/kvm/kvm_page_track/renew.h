/* SPDX-License-Identifier: GPL-2.0-only */
/* When to track again what KVM has given up. */
#ifndef KVM_PAGE_TRACK_RENEW_H
#define KVM_PAGE_TRACK_RENEW_H

#include <asm/kvm_page_track.h>
#include <stdbool.h>
#include <stdint.h>

#include "attach.h"
#include "range.h"

/*
 * With once, each page is given up by its first write.  Else, one is for a write that KVM
 * cannot emulate: the CPU does it, and the page is tracked again a moment later, as at once
 * might be before that write.
 *
 * With notify, an event says so.  With exit, none does: the page is given up when the vCPU
 * follows the reply, which it may do at any time, e.g. if the VMM is stopped.  If the tracker
 * steps, it mostly is not given up at all.
 */
struct renewal {
	struct tracker *tracker;
	struct ranges pages;	/* all that is tracked */
	uint64_t interval;	/* with once, in ns */
	uint64_t due;		/* in ns; NEVER if nothing is */
	uint64_t wait;		/* in ns: before the next look for what is given up */
	uint64_t expected;	/* pages, if each reply is followed */
	bool given_up;		/* something is, as an event or a look has said */
};

#define NEVER	UINT64_MAX
uint64_t now_ns(void);

/* Milliseconds for poll(). */
int ms_until(uint64_t time);

/* @seconds is how often with once, or 0. */
void init_renewal(struct renewal *r, struct tracker *t, const struct ranges *ranges,
		  double seconds);
void free_renewal(struct renewal *r);

/* An event has come, or some are lost, whatever they said. */
void renewal_event(struct renewal *r, const struct kvm_page_track_event *e);
void renewal_lost(struct renewal *r);

/* Do what is due. */
void renew(struct renewal *r);

#endif
