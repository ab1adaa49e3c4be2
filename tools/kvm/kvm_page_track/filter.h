/* SPDX-License-Identifier: GPL-2.0-only */
/* Which events count. */
#ifndef KVM_PAGE_TRACK_FILTER_H
#define KVM_PAGE_TRACK_FILTER_H

#include <asm/kvm_page_track.h>
#include <stdbool.h>

#include "range.h"

struct shadow_page;
#define SHADOW_BUCKETS	4096

/* The bytes of guest memory that events have told of. */
struct shadow {
	struct shadow_page *buckets[SHADOW_BUCKETS];
};

struct filter {
	struct ranges ranges;	/* of exact addresses; none: all */
	bool by_rip, by_cr3, by_vcpu;
	struct range rip;	/* rip.end, too, as the last one may be the highest */
	uint64_t cr3;
	uint64_t vcpu;
	struct shadow *shadow;	/* to have those only that change a value */
};

void forget_values(struct shadow *shadow);

bool passes(struct filter *filter, const struct kvm_page_track_event *event);

#endif
