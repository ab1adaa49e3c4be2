// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 2: a stack of parts, see page_track_saved.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>

#include <asm/page.h>

#include "page_track_saved.h"

#define PARTS_PER_PAGE	((PAGE_SIZE - 2 * sizeof(long)) / sizeof(struct page_track_part))

struct page_track_saved_page {
	struct page_track_saved_page *below;
	unsigned int nr;	/* never 0 */
	struct page_track_part parts[PARTS_PER_PAGE];
};

static_assert(sizeof(struct page_track_saved_page) <= PAGE_SIZE);

int page_track_saved_push(struct page_track_saved *saved,
			  const struct page_track_part *part)
{
	struct page_track_saved_page *top = saved->top;

	if (!top || top->nr == PARTS_PER_PAGE) {
		top = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
		if (!top)
			return -ENOMEM;

		top->below = saved->top;
		top->nr = 0;
		saved->top = top;
	}

	top->parts[top->nr++] = *part;
	return 0;
}

bool page_track_saved_pop(struct page_track_saved *saved, struct page_track_part *part)
{
	struct page_track_saved_page *top = saved->top;

	if (!top)
		return false;

	*part = top->parts[--top->nr];
	if (!top->nr) {
		saved->top = top->below;
		free_page((unsigned long)top);
	}

	return true;
}

void page_track_saved_destroy(struct page_track_saved *saved)
{
	struct page_track_part part;

	while (page_track_saved_pop(saved, &part))
		;
}
