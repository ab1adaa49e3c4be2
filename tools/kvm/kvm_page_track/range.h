/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of guest physical addresses: in bytes, from start on, up to end. */
#ifndef KVM_PAGE_TRACK_RANGE_H
#define KVM_PAGE_TRACK_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE	4096ull

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *list;
	size_t nr;
};

/* Room for a size or an address as people write it. */
#define SIZE_TEXT	32
#define RANGE_TEXT	64

bool parse_number(const char *text, uint64_t *number);

/* ADDRESS+SIZE or ADDRESS-END.  Returns what is wrong with it, or NULL. */
const char *parse_range(const char *text, struct range *range);

const char *size_text(uint64_t size, char text[SIZE_TEXT]);
const char *range_text(struct range range, char text[RANGE_TEXT]);

void add_range(struct ranges *ranges, struct range range);

/* Sort, and join what meets. */
void merge_ranges(struct ranges *ranges);

/* The pages that have a byte of them, merged. */
struct ranges whole_pages(const struct ranges *ranges);

uint64_t total_size(const struct ranges *ranges);

/* Has @ranges a byte of @range? */
bool ranges_meet(const struct ranges *ranges, struct range range);

/* Has it all of @range, which does not go from one into another? */
bool ranges_have(const struct ranges *ranges, struct range range);

#endif
