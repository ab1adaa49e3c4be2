// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "range.h"

#define UNITS		"KMGT"
#define MAX_ADDRESS	0x10000000000000ull

/* A number, decimal or with 0x hexadecimal, with an optional unit of UNITS. */
static const char *read_number(const char *text, uint64_t *number)
{
	const char *unit;
	char *end;

	/* Neither space nor sign. */
	if (!isdigit((unsigned char)*text))
		return NULL;

	errno = 0;
	/* A leading zero means nothing. */
	*number = strtoull(text, &end, !strncasecmp(text, "0x", 2) ? 16 : 10);
	if (errno || end == text)
		return NULL;

	unit = *end ? strchr(UNITS, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		int shift = 10 * (unit - UNITS + 1);

		if (*number > UINT64_MAX >> shift)
			return NULL;
		*number <<= shift;
		end++;
	}
	return end;
}

bool parse_number(const char *text, uint64_t *number)
{
	const char *end = read_number(text, number);

	return end && !*end;
}

const char *parse_range(const char *text, struct range *range)
{
	const char *end = read_number(text, &range->start);
	uint64_t number;

	if (!end || (*end != '+' && *end != '-') || !parse_number(end + 1, &number))
		return "is not ADDRESS+SIZE or ADDRESS-END";

	if (range->start > MAX_ADDRESS || number > MAX_ADDRESS)
		return "ends beyond 2^52, where no physical address is";

	range->end = *end == '+' ? range->start + number : number;
	if (range->end > MAX_ADDRESS)
		return "ends beyond 2^52, where no physical address is";
	if (range->end <= range->start)
		return "is empty";
	return NULL;
}

const char *size_text(uint64_t size, char text[SIZE_TEXT])
{
	int unit = -1;

	while (size && !(size & 1023) && unit < (int)strlen(UNITS) - 1) {
		size >>= 10;
		unit++;
	}

	snprintf(text, SIZE_TEXT, "%llu%.*s", (unsigned long long)size, unit >= 0,
		 &UNITS[unit < 0 ? 0 : unit]);
	return text;
}

const char *range_text(struct range range, char text[RANGE_TEXT])
{
	char size[SIZE_TEXT];

	snprintf(text, RANGE_TEXT, "0x%llx+%s", (unsigned long long)range.start,
		 size_text(range.end - range.start, size));
	return text;
}

void add_range(struct ranges *ranges, struct range range)
{
	/* A new size now and then: 1, 2, 4, ... */
	if (!(ranges->nr & (ranges->nr - 1)))
		ranges->list = resize(ranges->list, ranges->nr ? 2 * ranges->nr : 1,
				      sizeof(range));
	ranges->list[ranges->nr++] = range;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void merge_ranges(struct ranges *ranges)
{
	struct range *list = ranges->list;
	size_t i, last = 0;

	if (!ranges->nr)
		return;

	qsort(list, ranges->nr, sizeof(*list), compare_ranges);
	for (i = 1; i < ranges->nr; i++) {
		if (list[i].start > list[last].end)
			list[++last] = list[i];
		else if (list[i].end > list[last].end)
			list[last].end = list[i].end;
	}

	ranges->nr = last + 1;
}

struct ranges whole_pages(const struct ranges *ranges)
{
	struct ranges pages = {};
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		add_range(&pages, (struct range) {
			.start = ranges->list[i].start & -PAGE_SIZE,
			.end = ((ranges->list[i].end - 1) | (PAGE_SIZE - 1)) + 1,
		});
	merge_ranges(&pages);
	return pages;
}

uint64_t total_size(const struct ranges *ranges)
{
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		size += ranges->list[i].end - ranges->list[i].start;
	return size;
}

bool ranges_meet(const struct ranges *ranges, struct range range)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		if (ranges->list[i].start < range.end && range.start < ranges->list[i].end)
			return true;
	return false;
}

bool ranges_have(const struct ranges *ranges, struct range range)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		if (ranges->list[i].start <= range.start && range.end <= ranges->list[i].end)
			return true;
	return false;
}
