/* SPDX-License-Identifier: GPL-2.0-only */
/* Pictures of a heat map. */
#ifndef KVM_PAGE_TRACK_HEAT_DRAW_H
#define KVM_PAGE_TRACK_HEAT_DRAW_H

#include <stdbool.h>
#include <stdio.h>

#include "heat_map.h"

/* Columns in front of the map, and lines around it. */
#define LABEL_COLUMNS	15
#define OTHER_LINES	3

/* Two rows a line in colour, else one. */
void draw_text(FILE *file, const struct heat_map *m, bool colour);

/* By gnuplot, as SVG or PNG, which the name of the file says.  Fails the program. */
void check_picture(const char *path);
void draw_picture(const char *path, const struct heat_map *m);

#endif
