/* SPDX-License-Identifier: GPL-2.0-only */
/* The pages that a tracker has given up. */
#ifndef KVM_PAGE_TRACK_COLLECT_H
#define KVM_PAGE_TRACK_COLLECT_H

#include <stdbool.h>

#include "attach.h"
#include "range.h"

/*
 * Store in @found, merged, those of @pages that are given up and, without @rearm, were not
 * found before; with it, track them again.  Returns 0, or an errno; @found is what was
 * found before that.
 */
int collect_pages(struct tracker *t, const struct ranges *pages, bool rearm,
		  struct ranges *found);

#endif
