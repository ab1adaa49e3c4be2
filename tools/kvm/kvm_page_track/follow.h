/* SPDX-License-Identifier: GPL-2.0-only */
/* Watch a VM, or read what was saved of one. */
#ifndef KVM_PAGE_TRACK_FOLLOW_H
#define KVM_PAGE_TRACK_FOLLOW_H

#include <asm/kvm_page_track.h>
#include <stdbool.h>
#include <stdint.h>

#include "attach.h"
#include "options.h"
#include "renew.h"

struct raw_header;

struct follower {
	/* Once, before all else.  May be NULL. */
	void (*begin)(struct follower *f);

	/* For each event that passes the filters.  Returns false to end. */
	bool (*event)(struct follower *f, const struct kvm_page_track_event *event);

	/* For each that does not, before it is forgotten.  May be NULL. */
	void (*ignored)(struct follower *f, const struct kvm_page_track_event *event);

	/* When all events that were there are done, and every tick ms if that is not 0. */
	void (*idle)(struct follower *f);
	int tick;

	/* For an event() that waits: what it calls renew() with meanwhile. */
	struct renewal renewal;

	/* Of the file that events come from, as of begin(); NULL for those of a VM. */
	const struct raw_header *recorded;
};

enum end {
	END_ASKED,		/* by the user or the follower: all is well */
	END_VM_GONE,
};

/*
 * Attach, and track the ranges with @action.  Fails the program if it cannot.  Before that,
 * call heed_signals(), and open what may have to be waited for, as tracking slows the guest.
 */
void start(struct options *o, struct tracker *t, __u32 action, __u32 flags);

/* Then go on until something ends it. */
enum end follow(struct options *o, struct tracker *t, struct follower *f);

/* The same with a file; o->ranges are those of the file if the user names none. */
void replay(struct options *o, struct follower *f);

#endif
