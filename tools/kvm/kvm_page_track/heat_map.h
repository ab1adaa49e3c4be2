/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How often who wrote where, when: columns of time, rows of addresses, and in each cell
 * the number of writes of each writer.  All of the time has room: when the columns are
 * used up, each two become one.
 */
#ifndef KVM_PAGE_TRACK_HEAT_MAP_H
#define KVM_PAGE_TRACK_HEAT_MAP_H

#include <asm/kvm_page_track.h>
#include <stdint.h>

#include "range.h"

/* Writers with a colour of their own; others share the last one. */
#define NR_WRITERS	7

enum writer { BY_CR3, BY_RIP, BY_VCPU };

struct heat_map {
	struct ranges ranges;	/* the rows, without what is between the ranges */
	uint64_t size;		/* of them */
	unsigned int rows, columns;
	uint64_t start;		/* of the first column, in ns; 0: no event yet */
	uint64_t interval;	/* of each */
	unsigned int used;	/* columns */
	enum writer by;
	uint64_t writers[NR_WRITERS - 1], total[NR_WRITERS];
	unsigned int nr_writers;
	uint32_t (*cells)[NR_WRITERS];
};

void init_heat_map(struct heat_map *m, const struct ranges *ranges, unsigned int rows,
		   unsigned int columns, uint64_t interval, enum writer by);
void add_heat(struct heat_map *m, const struct kvm_page_track_event *e);

/* Let time pass without an event. */
void extend_heat_map(struct heat_map *m, uint64_t time);

/* Who has most of a cell, and how much it has: 0 for nothing, up to HEAT_LEVELS. */
#define HEAT_LEVELS	4
unsigned int heat_of(const struct heat_map *m, unsigned int row, unsigned int column,
		     unsigned int *writer);

/* The first address of a row. */
uint64_t row_address(const struct heat_map *m, unsigned int row);

/* Give a colour to a writer; also by the first events of those who have none yet. */
uint64_t writer_of(const struct heat_map *m, const struct kvm_page_track_event *e);
unsigned int add_writer(struct heat_map *m, uint64_t writer);

#define WRITER_TEXT	64
const char *writer_text(const struct heat_map *m, unsigned int writer, char text[WRITER_TEXT]);

/* Red, green and blue, 0 to 5 each. */
void heat_colour(unsigned int writer, unsigned int level, unsigned int colour[3]);

#endif
