// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <sys/ioctl.h>

#include "collect.h"

/* So many pages are collected by one call: 1 GiB. */
#define PIECE_PAGES	262144ull

/* The pages of the bits, of which there are @nr, from @gpa on. */
static void add_bits(struct ranges *found, uint64_t gpa, const uint64_t *bitmap, uint64_t nr)
{
	struct range run;
	uint64_t i;

	for (i = 0; i < nr; i++) {
		if (!bitmap[i / 64]) {
			i |= 63;
			continue;
		}

		run.start = gpa + i * PAGE_SIZE;
		while (i < nr && bitmap[i / 64] >> i % 64 & 1)
			i++;
		run.end = gpa + i * PAGE_SIZE;
		if (run.end > run.start)
			add_range(found, run);
	}
}

int collect_pages(struct tracker *t, const struct ranges *pages, bool rearm,
		  struct ranges *found)
{
	static uint64_t bitmap[PIECE_PAGES / 64];
	struct kvm_page_track_collect collect = { .bitmap = (uintptr_t)bitmap,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.flags = rearm ? KVM_PAGE_TRACK_COLLECT_REARM : 0 };
	int error = 0;
	uint64_t gpa;
	size_t i;

	found->nr = 0;
	for (i = 0; i < pages->nr && !error; i++) {
		for (gpa = pages->list[i].start; gpa < pages->list[i].end && !error;
		     gpa += collect.size) {
			collect.gpa = gpa;
			collect.size = pages->list[i].end - gpa;
			if (collect.size > PIECE_PAGES * PAGE_SIZE)
				collect.size = PIECE_PAGES * PAGE_SIZE;
			if (ioctl(t->fd, KVM_PAGE_TRACK_COLLECT, &collect))
				error = errno;
			else
				add_bits(found, gpa, bitmap, collect.size / PAGE_SIZE);
		}
	}
	merge_ranges(found);
	return error;
}
