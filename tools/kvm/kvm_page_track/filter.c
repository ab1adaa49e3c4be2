// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "filter.h"
#include "print.h"

/* Bits 12 to 51 of CR3 are the address of the table, others PCID and its kind. */
#define CR3_ADDRESS	0x000ffffffffff000ull

struct shadow_page {
	struct shadow_page *next;
	uint64_t gfn;
	bool known[PAGE_SIZE];
	__u8 data[PAGE_SIZE];
};

static struct shadow_page *shadow_page(struct shadow *shadow, uint64_t gfn)
{
	struct shadow_page **bucket = &shadow->buckets[gfn % SHADOW_BUCKETS], *page;

	for (page = *bucket; page && page->gfn != gfn; page = page->next)
		;
	if (!page) {
		page = resize(NULL, 1, sizeof(*page));
		memset(page, 0, sizeof(*page));
		page->gfn = gfn;
		page->next = *bucket;
		*bucket = page;
	}
	return page;
}

void forget_values(struct shadow *shadow)
{
	struct shadow_page *page, *next;
	size_t i;

	for (i = 0; i < SHADOW_BUCKETS; i++) {
		for (page = shadow->buckets[i]; page; page = next) {
			next = page->next;
			free(page);
		}
		shadow->buckets[i] = NULL;
	}
}

/* Returns whether the event changes a byte, or may: what was there before is unknown. */
static bool changes(struct shadow *shadow, const struct kvm_page_track_event *e)
{
	struct shadow_page *page = shadow_page(shadow, e->gpa / PAGE_SIZE);
	size_t at = e->gpa % PAGE_SIZE, size = e->len ? e->len : PAGE_SIZE, i;
	bool changed = false;

	for (i = 0; i < size && at + i < PAGE_SIZE; i++) {
		bool known = i < known_bytes(e);

		if (!known || !page->known[at + i] || page->data[at + i] != e->data[i])
			changed = true;
		page->known[at + i] = known;
		if (known)
			page->data[at + i] = e->data[i];
	}
	return changed;
}

/* Of an event without a length, the first byte is known, and all behind it may be meant. */
static bool in_ranges(const struct ranges *ranges, const struct kvm_page_track_event *e)
{
	struct range range = { e->gpa, e->gpa + e->len };

	if (!e->len)
		range.end = (e->gpa | (PAGE_SIZE - 1)) + 1;
	return !ranges->nr || ranges_meet(ranges, range);
}

bool passes(struct filter *filter, const struct kvm_page_track_event *e)
{
	/* First, and always: the bytes of events that do not pass are those of memory, too. */
	bool changed = !filter->shadow || changes(filter->shadow, e);

	if (filter->by_rip && (e->rip < filter->rip.start || e->rip > filter->rip.end))
		return false;
	if (filter->by_cr3 && ((e->cr3 ^ filter->cr3) & CR3_ADDRESS))
		return false;
	if (filter->by_vcpu && e->vcpu_id != filter->vcpu)
		return false;
	return changed && in_ranges(&filter->ranges, e);
}
