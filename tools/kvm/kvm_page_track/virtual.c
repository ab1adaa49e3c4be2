// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "fail.h"
#include "stop.h"
#include "virtual.h"

#define ENTRIES		512
#define ADDRESS		0x000ffffffffff000ull
#define PRESENT		0x01
#define LARGE		0x80	/* in an entry of level 2 or 3 */

/* A table that refers to itself maps what a range has over and over. */
#define MOST_PIECES	1000000

struct walk {
	struct tracker *tracker;
	struct ranges found;		/* physical, in the order of virtual addresses */
	uint64_t mapped;		/* bytes */
	uint64_t first_gap;		/* virtual, if not all is mapped */
	uint64_t gap;			/* bytes */
};

const char *parse_virtual(const char *text, struct range *range)
{
	const char *end = text[0] ? strpbrk(text, "+-") : NULL;
	char first[SIZE_TEXT];
	uint64_t number;

	if (!end) {
		if (!parse_number(text, &range->start))
			return "is not a number";
		range->end = range->start;
		return NULL;
	}

	snprintf(first, sizeof(first), "%.*s", (int)(end - text), text);
	if (end - text >= SIZE_TEXT || !parse_number(first, &range->start) ||
	    !parse_number(end + 1, &number))
		return "is not ADDRESS, ADDRESS+SIZE or ADDRESS-END";

	/* Before one is taken away, which of zero makes the highest address. */
	if (*end == '+' ? !number : number <= range->start)
		return "is empty";

	range->end = number - 1;
	if (*end == '+')
		range->end += range->start;
	return range->end < range->start ? "is too long" : NULL;
}

bool is_canonical(struct range range, int levels)
{
	int shift = 12 + 9 * levels - 1;
	uint64_t half = range.start >> shift;

	return half == range.end >> shift && (!half || half == UINT64_MAX >> shift);
}

/* Returns false if a part of it is not in guest memory. */
static bool read_guest(struct tracker *t, uint64_t gpa, void *data, size_t size)
{
	struct kvm_page_track_slot slot = { .gpa = gpa };
	struct iovec to = { data, size }, from = { .iov_len = size };

	if (!next_slot(t, &slot) || slot.gpa > gpa || slot.gpa + slot.size < gpa + size)
		return false;
	if (!slot.userspace_addr)
		fail(STATUS_PERMISSION,
		     "no permission to see where process %d has the guest's memory: it takes CAP_SYS_PTRACE, as root has it",
		     t->pid);

	from.iov_base = (void *)(uintptr_t)(slot.userspace_addr + (gpa - slot.gpa));
	if (process_vm_readv(t->pid, &to, 1, &from, 1, 0) == (ssize_t)size)
		return true;
	if (errno == ESRCH)
		fail_gone(t);
	fail(errno == EPERM ? STATUS_PERMISSION : STATUS_OTHER,
	     "cannot read the page table at 0x%llx: %s", (unsigned long long)gpa,
	     strerror(errno));
}

static void add_gap(struct walk *w, uint64_t va, uint64_t last)
{
	if (!w->gap)
		w->first_gap = va;
	w->gap += last - va + 1;
}

static void add_mapped(struct walk *w, uint64_t gpa, uint64_t size)
{
	struct range *before = w->found.nr ? &w->found.list[w->found.nr - 1] : NULL;

	w->mapped += size;
	if (before && before->end == gpa)
		before->end += size;
	else if (w->found.nr < MOST_PIECES)
		add_range(&w->found, (struct range) { gpa, gpa + size });
	else
		fail(STATUS_OTHER, "the ranges are in more than %d pieces", MOST_PIECES);
}

/* Go through the @table of @level from @va to @last, which it translates. */
static void walk_table(struct walk *w, uint64_t table, int level, uint64_t va, uint64_t last)
{
	uint64_t entries[ENTRIES], entry, part, size = 1ull << (12 + 9 * (level - 1));

	if (!read_guest(w->tracker, table, entries, sizeof(entries))) {
		add_gap(w, va, last);
		return;
	}

	while (!stopped()) {
		entry = entries[va / size % ENTRIES];
		part = va | (size - 1);
		if (part > last)
			part = last;

		if (!(entry & PRESENT) || (level > 3 && entry & LARGE))
			add_gap(w, va, part);
		else if (level == 1 || entry & LARGE)
			add_mapped(w, (entry & ADDRESS & -size) | (va & (size - 1)),
				   part - va + 1);
		else
			walk_table(w, entry & ADDRESS, level - 1, va, part);

		if (part == last)
			return;
		va = part + 1;
	}
}

static const char *virtual_text(uint64_t first, uint64_t size, char text[RANGE_TEXT])
{
	return range_text((struct range) { first, first + size }, text);
}

static void tell(const struct walk *w, const char *virtual)
{
	char physical[RANGE_TEXT];

	range_text(w->found.list[0], physical);
	if (w->found.nr == 1)
		note("%s is %s", virtual, physical);
	else
		note("%s is %s and %zu more", virtual, physical, w->found.nr - 1);
}

void add_virtual(struct tracker *t, const struct ranges *virtual, uint64_t cr3, int levels,
		 bool quiet, struct ranges *physical)
{
	char text[RANGE_TEXT], gap[SIZE_TEXT];
	uint64_t root[ENTRIES];
	size_t i, j;

	/* The low bits are flags and PCID. */
	if (!read_guest(t, cr3 & ADDRESS, root, sizeof(root)))
		fail(STATUS_NOT_MEMORY, "the guest has no memory for a page table at 0x%llx",
		     (unsigned long long)(cr3 & ADDRESS));

	for (i = 0; i < virtual->nr; i++) {
		struct range range = virtual->list[i];
		struct walk w = { .tracker = t };

		walk_table(&w, cr3 & ADDRESS, levels, range.start, range.end);
		/* What it has not come to may be mapped. */
		if (stopped())
			return;

		virtual_text(range.start, range.end - range.start + 1, text);
		if (!w.mapped)
			fail(STATUS_NOT_MEMORY, "the page table at 0x%llx does not map %s",
			     (unsigned long long)(cr3 & ADDRESS), text);
		if (w.gap)
			note("%s of %s, from 0x%llx on, are not mapped, and left out",
			     size_text(w.gap, gap), text, (unsigned long long)w.first_gap);
		if (!quiet)
			tell(&w, text);

		for (j = 0; j < w.found.nr; j++)
			add_range(physical, w.found.list[j]);
		resize(w.found.list, 0, 0);
	}
}
