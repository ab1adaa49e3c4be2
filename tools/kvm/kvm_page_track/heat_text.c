// SPDX-License-Identifier: GPL-2.0-only
/* A heat map in a terminal. */
#include "heat_draw.h"

#define RESET		"\33[0m"
#define UPPER_HALF	"\342\226\200"

/* For those who see no colour: nothing, and four degrees. */
static const char *const shades[HEAT_LEVELS + 1] = {
	" ", "\342\226\221", "\342\226\222", "\342\226\223", "\342\226\210",
};

/* The colour of xterm's cube of 6 * 6 * 6 that begins at 16. */
static unsigned int colour_number(unsigned int writer, unsigned int level)
{
	unsigned int colour[3];

	heat_colour(writer, level, colour);
	return 16 + 36 * colour[0] + 6 * colour[1] + colour[2];
}

static unsigned int cell_colour(const struct heat_map *m, unsigned int row, unsigned int column)
{
	unsigned int writer = 0, level = 0;

	if (row < m->rows)
		level = heat_of(m, row, column, &writer);
	return colour_number(writer, level);
}

static void draw_line(FILE *file, const struct heat_map *m, unsigned int row, bool colour)
{
	unsigned int column, writer;

	fprintf(file, "%#14llx ", (unsigned long long)row_address(m, row));
	for (column = 0; column < m->columns; column++) {
		if (colour)
			fprintf(file, "\33[38;5;%u;48;5;%um" UPPER_HALF,
				cell_colour(m, row, column), cell_colour(m, row + 1, column));
		else
			fputs(shades[heat_of(m, row, column, &writer)], file);
	}
	fputs(colour ? RESET "\n" : "\n", file);
}

static void draw_writers(FILE *file, const struct heat_map *m, bool colour)
{
	char text[WRITER_TEXT];
	unsigned int i;

	for (i = 0; i < NR_WRITERS; i++) {
		if (!m->total[i])
			continue;
		if (colour)
			fprintf(file, "\33[38;5;%um", colour_number(i, HEAT_LEVELS));
		fprintf(file, "%s %llu%s  ", writer_text(m, i, text),
			(unsigned long long)m->total[i], colour ? RESET : "");
	}
	fputc('\n', file);
}

void draw_text(FILE *file, const struct heat_map *m, bool colour)
{
	unsigned int row;

	for (row = 0; row < m->rows; row += colour ? 2 : 1)
		draw_line(file, m, row, colour);

	fprintf(file, "%*s0 s%*.1f s\n", LABEL_COLUMNS, "", (int)m->columns - 5,
		m->interval * (double)m->columns / 1e9);
	draw_writers(file, m, colour);
}
