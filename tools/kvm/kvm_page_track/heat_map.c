// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "heat_map.h"

static uint32_t *cell(const struct heat_map *m, unsigned int row, unsigned int column)
{
	return m->cells[(size_t)row * m->columns + column];
}

void init_heat_map(struct heat_map *m, const struct ranges *ranges, unsigned int rows,
		   unsigned int columns, uint64_t interval, enum writer by)
{
	uint64_t size = total_size(ranges);
	size_t nr;

	/* A row has a byte at least. */
	*m = (struct heat_map) { .ranges = *ranges, .size = size, .columns = columns,
		.rows = size < rows ? size : rows, .interval = interval, .by = by };
	nr = (size_t)m->rows * columns;
	m->cells = resize(NULL, nr, sizeof(*m->cells));
	memset(m->cells, 0, nr * sizeof(*m->cells));
}

/* Where an address is if there was nothing between the ranges. */
static bool offset_of(const struct heat_map *m, uint64_t address, uint64_t *offset)
{
	size_t i;

	*offset = 0;
	for (i = 0; i < m->ranges.nr; i++) {
		struct range *range = &m->ranges.list[i];

		if (range->start <= address && address < range->end) {
			*offset += address - range->start;
			return true;
		}
		*offset += range->end - range->start;
	}
	return false;
}

static uint64_t scale(uint64_t value, uint64_t to, uint64_t from)
{
	return (__uint128_t)value * to / from;
}

uint64_t row_address(const struct heat_map *m, unsigned int row)
{
	/* The first offset that scales to the row. */
	uint64_t offset = ((__uint128_t)row * m->size + m->rows - 1) / m->rows;
	size_t i;

	for (i = 0; i < m->ranges.nr - 1; i++) {
		uint64_t size = m->ranges.list[i].end - m->ranges.list[i].start;

		if (offset < size)
			break;
		offset -= size;
	}
	return m->ranges.list[i].start + offset;
}

/* Make one column of each two. */
static void halve_columns(struct heat_map *m)
{
	unsigned int row, column, writer;

	for (row = 0; row < m->rows; row++) {
		for (column = 0; column < m->columns; column++) {
			uint32_t *from = cell(m, row, column), *to = cell(m, row, column / 2);

			for (writer = 0; writer < NR_WRITERS; writer++) {
				uint32_t count = from[writer];

				from[writer] = 0;
				to[writer] += count;
			}
		}
	}
	m->interval *= 2;
	m->used = (m->used + 1) / 2;
}

/* The column of a time; none is before the first. */
static unsigned int column_of(struct heat_map *m, uint64_t time)
{
	uint64_t column;

	if (time < m->start)
		time = m->start;
	while ((column = (time - m->start) / m->interval) >= m->columns)
		halve_columns(m);
	if (column >= m->used)
		m->used = column + 1;
	return column;
}

void extend_heat_map(struct heat_map *m, uint64_t time)
{
	if (m->start)
		column_of(m, time);
}

uint64_t writer_of(const struct heat_map *m, const struct kvm_page_track_event *e)
{
	if (m->by == BY_VCPU)
		return e->vcpu_id;
	if (m->by == BY_RIP)
		return e->rip;
	/* Without PCID. */
	return e->cr3 & 0x000ffffffffff000ull;
}

unsigned int add_writer(struct heat_map *m, uint64_t writer)
{
	unsigned int i;

	for (i = 0; i < m->nr_writers; i++)
		if (m->writers[i] == writer)
			return i;
	if (i < NR_WRITERS - 1)
		m->writers[m->nr_writers++] = writer;
	return i;
}

void add_heat(struct heat_map *m, const struct kvm_page_track_event *e)
{
	unsigned int writer, column;
	uint64_t offset;

	/* A write that begins in front of a range is too rare to count where it ends. */
	if (!offset_of(m, e->gpa, &offset))
		return;

	if (!m->start)
		m->start = e->time ? e->time : 1;
	writer = add_writer(m, writer_of(m, e));
	column = column_of(m, e->time);
	cell(m, scale(offset, m->rows, m->size), column)[writer]++;
	m->total[writer]++;
}

unsigned int heat_of(const struct heat_map *m, unsigned int row, unsigned int column,
		     unsigned int *writer)
{
	const uint32_t *counts = cell(m, row, column);
	unsigned int i, level = 0;
	uint64_t sum = 0;

	*writer = 0;
	for (i = 0; i < NR_WRITERS; i++) {
		sum += counts[i];
		if (counts[i] > counts[*writer])
			*writer = i;
	}

	/* A level is eight times the one before. */
	for (; sum && level < HEAT_LEVELS; sum /= 8)
		level++;
	return level;
}

const char *writer_text(const struct heat_map *m, unsigned int writer, char text[WRITER_TEXT])
{
	static const char *const names[] = {
		[BY_CR3] = "cr3", [BY_RIP] = "rip", [BY_VCPU] = "vCPU" };

	if (writer == NR_WRITERS - 1)
		snprintf(text, WRITER_TEXT, "others");
	else
		snprintf(text, WRITER_TEXT, m->by == BY_VCPU ? "%s %llu" : "%s %#llx",
			 names[m->by], (unsigned long long)m->writers[writer]);
	return text;
}

void heat_colour(unsigned int writer, unsigned int level, unsigned int colour[3])
{
	/* Full for 2, half for 1. */
	static const unsigned char hues[NR_WRITERS][3] = {
		{ 2, 0, 0 }, { 0, 2, 0 }, { 1, 1, 2 }, { 2, 2, 0 }, { 2, 0, 2 }, { 0, 2, 2 },
		{ 1, 1, 1 },
	};
	int i;

	for (i = 0; i < 3; i++)
		colour[i] = level ? hues[writer][i] * (level + 1) / 2 : 0;
}
