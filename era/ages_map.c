/* SPDX-License-Identifier: MIT */
/* Ages as a map for a terminal. */
#include "era/age_classes.h"
#include "era/ages_format.h"
#include "era/extents.h"

#define LABEL 10    /* columns left of the map */
#define STEP 8	    /* columns come in so many */
#define MIN_WIDTH 8 /* columns of the map */
#define MAX_WIDTH 1024

/* Of 256 colours: from yellow, the newest, through red and violet to blue; never is left plain. */
static const unsigned char colours[AGE_CLASSES] = {226, 214, 203, 162, 127, 55, 18};
static const char characters[AGE_CLASSES + 1] = "@#%*+=-.";

unsigned ages_map_columns(unsigned width)
{
	unsigned columns =
		width > LABEL + MIN_WIDTH + 1 ? (width - LABEL - 1) / STEP * STEP : MIN_WIDTH;

	return columns > MAX_WIDTH ? MAX_WIDTH : columns;
}

struct map {
	const struct ages *ages;
	struct age_classes classes;
	unsigned columns;
	bool colour;
	struct text text;
	unsigned now; /* the class whose colour is switched on */
};

static void switch_to(struct map *map, unsigned class)
{
	if (!map->colour || class == map->now)
		return;
	if (class == AGE_NEVER)
		text_print(&map->text, "\033[0m");
	else
		text_print(&map->text, "\033[48;5;%um", colours[class]);
	map->now = class;
}

static void put_cell(struct map *map, unsigned class)
{
	switch_to(map, class);
	text_print(&map->text, "%c", map->colour && class != AGE_NEVER ? ' ' : characters[class]);
}

static void put_line(struct map *map, uint64_t first)
{
	const struct ages_grid *grid = &map->ages->grids[0];
	uint64_t block = (uint64_t)map->ages->info.data_block_size * SECTOR_SIZE;
	char label[SIZE_TEXT];

	text_print(&map->text, "%*s ", LABEL,
		   first ? size_text(label, first * grid->per_cell * block) : "0");
	for (uint64_t i = first; i < grid->nr_cells && i < first + map->columns; i++)
		put_cell(map, age_classes_of(&map->classes, grid->eras[i]));
	switch_to(map, AGE_NEVER);
	text_print(&map->text, "\n");
}

static void put_legend(struct map *map, unsigned i)
{
	const struct age_class *class = &map->classes.classes[i];
	char name[CLASS_TEXT], size[SIZE_TEXT], share[SHARE_TEXT];

	if (!class->nr_blocks)
		return;
	text_print(&map->text, "%*s ", LABEL, "");
	for (unsigned n = 0; n < 2; n++)
		put_cell(map, i);
	switch_to(map, AGE_NEVER);
	text_print(&map->text, " %-26s %10llu blocks  %10s  %8s\n", class_text(name, class),
		   (unsigned long long)class->nr_blocks,
		   size_text(size, ages_bytes(map->ages, class->nr_blocks, class->with_last)),
		   share_text(share, class->nr_blocks, map->ages->info.nr_blocks));
}

static void put_map(struct map *map)
{
	const struct ages *ages = map->ages;
	const struct ages_grid *grid = &ages->grids[0];
	uint64_t block = (uint64_t)ages->info.data_block_size * SECTOR_SIZE;
	char size[SIZE_TEXT], cell[SIZE_TEXT];

	text_print(&map->text, "%u block%s, %s, in era %u; a character is %s (%llu block%s)\n\n",
		   ages->info.nr_blocks, ages->info.nr_blocks == 1 ? "" : "s",
		   size_text(size, ages->end), ages->info.current_era,
		   size_text(cell, grid->per_cell * block), (unsigned long long)grid->per_cell,
		   grid->per_cell == 1 ? "" : "s, the newest counts");
	for (uint64_t i = 0; i < grid->nr_cells && !text_error(&map->text); i += map->columns)
		put_line(map, i);
	text_print(&map->text, "\n");
	for (unsigned i = 0; i < map->classes.nr; i++)
		put_legend(map, i);
	put_legend(map, AGE_NEVER);
}

int ages_format_map(const struct ages *ages, unsigned width, bool colour,
		    const struct text_output *output)
{
	struct map map = {.ages = ages,
			  .columns = ages_map_columns(width),
			  .colour = colour,
			  .now = AGE_NEVER};
	int r = text_init(&map.text, output);

	if (r)
		return r;
	age_classes_make(&map.classes, ages);
	put_map(&map);
	r = text_flush(&map.text);
	text_destroy(&map.text);
	return r;
}
