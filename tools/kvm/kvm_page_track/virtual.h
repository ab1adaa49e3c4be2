/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest virtual addresses, which the tool looks up in the guest's page tables itself. */
#ifndef KVM_PAGE_TRACK_VIRTUAL_H
#define KVM_PAGE_TRACK_VIRTUAL_H

#include "attach.h"
#include "range.h"

/*
 * ADDRESS, ADDRESS+SIZE or ADDRESS-END, of 64 bits.  The end of @range is the last address,
 * which may be the highest.  Returns what is wrong with it, or NULL.
 */
const char *parse_virtual(const char *text, struct range *range);

/* Is all of such a range in one half of what @levels (4 or 5) of page tables translate? */
bool is_canonical(struct range range, int levels);

/*
 * Add to @physical where the page table at @cr3 maps @virtual, whose ranges are as above,
 * now.  Fail if that is nowhere, say if it is not all; if not @quiet, say where.  A signal
 * ends it before it has come to all.
 */
void add_virtual(struct tracker *t, const struct ranges *virtual, uint64_t cr3, int levels,
		 bool quiet, struct ranges *physical);

#endif
