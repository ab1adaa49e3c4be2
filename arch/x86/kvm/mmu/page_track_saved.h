/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: what a tracker had before a call changed it.
 *
 * A stack of parts, i.e. of gfns in a row with one entry, for a call that may have to
 * be undone after others could get in between.  A call that is done at once needs
 * none.
 */
#ifndef __KVM_X86_PAGE_TRACK_SAVED_H
#define __KVM_X86_PAGE_TRACK_SAVED_H

#include <linux/types.h>

#include "page_track_part.h"

struct page_track_saved_page;

/* Zeroed, it is empty. */
struct page_track_saved {
	struct page_track_saved_page *top;
};

/* Returns 0 or -ENOMEM.  Context: may sleep. */
int page_track_saved_push(struct page_track_saved *saved,
			  const struct page_track_part *part);

/* Take the last part that was pushed.  False if there is none.  Context: any. */
bool page_track_saved_pop(struct page_track_saved *saved, struct page_track_part *part);

/* Leave none.  Context: any. */
void page_track_saved_destroy(struct page_track_saved *saved);

#endif /* __KVM_X86_PAGE_TRACK_SAVED_H */
