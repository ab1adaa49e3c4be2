// SPDX-License-Identifier: GPL-2.0-only
/* A heat map as a file, by gnuplot. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail.h"
#include "heat_draw.h"

#define NR_LABELS	8

static bool ends_in(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

/* Without making it: gnuplot may never come to that. */
static bool can_be_made(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	if (!access(path, F_OK))
		return !access(path, W_OK);
	snprintf(folder, sizeof(folder), "%.*s.", slash ? (int)(slash - path) + 1 : 0, path);
	return !access(folder, W_OK);
}

void check_picture(const char *path)
{
	if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
		fail(STATUS_USAGE, "%s: a picture is .svg or .png", path);
	if (strpbrk(path, "'\\\n"))
		fail(STATUS_USAGE, "%s: no quotes, please", path);
	if (!can_be_made(path))
		fail(STATUS_OTHER, "cannot write %s: %s", path, strerror(errno));
	if (system("command -v gnuplot >/dev/null 2>&1"))
		fail(STATUS_OTHER, "a picture takes gnuplot, which is not here");
}

static void set_up(FILE *gnuplot, const char *path, const struct heat_map *m)
{
	unsigned int i;

	fprintf(gnuplot, "set terminal %s size 1200,700 %s\n",
		ends_in(path, ".svg") ? "svg" : "png", "background rgb 'white'");
	fprintf(gnuplot, "set output '%s'\n", path);
	fprintf(gnuplot, "set xlabel 'time in s'\nset ylabel 'guest physical address'\n");
	fprintf(gnuplot, "set xrange [0:%g]\nset yrange [%u:0]\n",
		m->used * m->interval / 1e9, m->rows);
	fprintf(gnuplot, "set tics out nomirror\nset key outside right top\n");

	fprintf(gnuplot, "set ytics (");
	for (i = 0; i < NR_LABELS; i++) {
		unsigned int row = i * m->rows / NR_LABELS;

		fprintf(gnuplot, "%s'0x%llx' %u", i ? ", " : "",
			(unsigned long long)row_address(m, row), row);
	}
	fprintf(gnuplot, ")\n");
}

/* A value of the cube of 6 * 6 * 6 as xterm has it. */
static unsigned int rgb(unsigned int value)
{
	return value ? 55 + 40 * value : 0;
}

static void plot_writers(FILE *gnuplot, const struct heat_map *m)
{
	unsigned int i, colour[3];
	char text[WRITER_TEXT];

	for (i = 0; i < NR_WRITERS; i++) {
		if (!m->total[i])
			continue;
		heat_colour(i, HEAT_LEVELS, colour);
		fprintf(gnuplot, ", NaN with boxes fillstyle solid lc rgb '#%02x%02x%02x'",
			rgb(colour[0]), rgb(colour[1]), rgb(colour[2]));
		fprintf(gnuplot, " title '%s: %llu'", writer_text(m, i, text),
			(unsigned long long)m->total[i]);
	}
}

/* The middle of each cell, and its colour. */
static void plot_cells(FILE *gnuplot, const struct heat_map *m)
{
	unsigned int row, column, writer, level, colour[3];

	for (row = 0; row < m->rows; row++) {
		for (column = 0; column < m->used; column++) {
			level = heat_of(m, row, column, &writer);
			heat_colour(writer, level, colour);
			fprintf(gnuplot, "%g %g %u %u %u\n",
				(column + 0.5) * m->interval / 1e9, row + 0.5, rgb(colour[0]),
				rgb(colour[1]), rgb(colour[2]));
		}
	}
	fprintf(gnuplot, "e\n");
}

void draw_picture(const char *path, const struct heat_map *m)
{
	FILE *gnuplot = popen("gnuplot", "we");

	if (!gnuplot)
		fail(STATUS_OTHER, "cannot start gnuplot: %s", strerror(errno));

	set_up(gnuplot, path, m);
	fprintf(gnuplot, "plot '-' with rgbimage notitle");
	plot_writers(gnuplot, m);
	fputc('\n', gnuplot);
	plot_cells(gnuplot, m);
	if (pclose(gnuplot))
		fail(STATUS_OTHER, "gnuplot could not make %s", path);
}
