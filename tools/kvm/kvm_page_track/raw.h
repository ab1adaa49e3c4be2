/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of events: a header, ranges, and events as the ring has them, up to the end of
 * the file.  All in the byte order of x86.
 */
#ifndef KVM_PAGE_TRACK_RAW_H
#define KVM_PAGE_TRACK_RAW_H

#include <asm/kvm_page_track.h>
#include <stdbool.h>
#include <stdio.h>

#include "range.h"

#define RAW_MAGIC	"kvm-page"

struct raw_header {
	char magic[8];
	__u32 version;		/* 1 */
	__u32 event_size;	/* in bytes */
	__u64 realtime;		/* in ns, to add to the time of an event for the date */
	__u32 nr_ranges;	/* struct range, two __u64 each, behind this */
	__u32 reserved;		/* zero */
};

/* A new header, if events are of this boot; else @recorded is that of where they come from. */
void write_raw_header(FILE *file, const struct ranges *ranges,
		      const struct raw_header *recorded);
void write_raw(FILE *file, const struct kvm_page_track_event *event);

/* Fails if it is not such a file.  Adds the ranges that were tracked. */
FILE *open_raw(const char *path, struct raw_header *header, struct ranges *ranges);
bool read_raw(FILE *file, const struct raw_header *header,
	      struct kvm_page_track_event *event);

#endif
