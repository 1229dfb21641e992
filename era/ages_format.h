/* SPDX-License-Identifier: MIT */
/*
 * The shapes in which ages are shown. Each returns what the output returned, or PD_ERR_NO_MEMORY. The
 * ages must be finished.
 */
#ifndef ERA_AGES_FORMAT_H
#define ERA_AGES_FORMAT_H

#include "era/ages.h"
#include "era/text.h"

/* A row for each era, newest first. */
int ages_format_table(const struct ages *ages, const struct text_output *output);

/* The same as an object; snapshot: the metadata snapshot was read. */
int ages_format_json(const struct ages *ages, bool snapshot, const struct text_output *output);

/* Columns and rows of a terminal's map, without its labels, on a terminal so wide. */
#define MAP_MAX_ROWS 24
unsigned ages_map_columns(unsigned width);

/*
 * The device as a map, made of the first grid, for which ages_map_columns() * MAP_MAX_ROWS cells were
 * wanted; with colours for a terminal that has 256, or with plain characters.
 */
int ages_format_map(const struct ages *ages, unsigned width, bool colour,
		    const struct text_output *output);

/* The same as a picture, made of the second grid, for which this many cells were wanted. */
#define SVG_COLUMNS 128
#define SVG_MAX_ROWS 80
int ages_format_svg(const struct ages *ages, const char *title, const struct text_output *output);

#endif
