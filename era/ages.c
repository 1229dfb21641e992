/* SPDX-License-Identifier: MIT */
/* How many data blocks were last written in which era. */
#include "era/ages.h"
#include "era/extents.h"
#include "persistent-data/error.h"

#include <stdlib.h>

#define FIRST_CAPACITY 1024

static int make_grid(struct ages_grid *grid, uint32_t nr_blocks)
{
	if (!grid->max_cells)
		return PD_OK;
	grid->per_cell = 1;
	while ((nr_blocks + grid->per_cell - 1) / grid->per_cell > grid->max_cells)
		grid->per_cell *= 2;
	grid->nr_cells = (nr_blocks + grid->per_cell - 1) / grid->per_cell;
	grid->eras = calloc(grid->nr_cells + 1, sizeof(*grid->eras));
	return grid->eras ? PD_OK : PD_ERR_NO_MEMORY;
}

static int ages_begin(struct sink *sink, const struct stream_info *info)
{
	struct ages *ages = (struct ages *)sink;
	int r = PD_OK;

	ages->info = *info;
	for (unsigned i = 0; !r && i < AGES_GRIDS; i++)
		r = make_grid(&ages->grids[i], info->nr_blocks);
	ages->capacity = FIRST_CAPACITY;
	ages->list = calloc(ages->capacity, sizeof(*ages->list));
	return ages->list ? r : PD_ERR_NO_MEMORY;
}

static int no_writeset(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	(void)sink;
	(void)era;
	(void)nr_bits;
	return PD_ERR_USAGE;
}

static int no_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	(void)sink;
	(void)first_word;
	(void)words;
	(void)n;
	return PD_ERR_USAGE;
}

static int nothing(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

/* The place of an era in the table, its own or a free one. */
static struct age *find(const struct ages *ages, uint32_t era)
{
	uint64_t i = era * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	for (;; i++) {
		struct age *age = &ages->list[i & (ages->capacity - 1)];

		if (!age->nr_blocks || age->era == era)
			return age;
	}
}

static int grow(struct ages *ages)
{
	struct ages larger = *ages;

	larger.capacity *= 2;
	larger.list = calloc(larger.capacity, sizeof(*larger.list));
	if (!larger.list)
		return PD_ERR_NO_MEMORY;
	for (uint64_t i = 0; i < ages->capacity; i++)
		if (ages->list[i].nr_blocks)
			*find(&larger, ages->list[i].era) = ages->list[i];
	free(ages->list);
	*ages = larger;
	return PD_OK;
}

static int count(struct ages *ages, uint32_t era, uint32_t nr_blocks)
{
	struct age *age = find(ages, era);

	if (!age->nr_blocks)
		ages->nr++;
	age->era = era;
	age->nr_blocks += nr_blocks;
	return ages->nr * 2 > ages->capacity ? grow(ages) : PD_OK;
}

static void add_to_grid(struct ages_grid *grid, uint32_t block, uint32_t era, uint32_t n)
{
	uint64_t end = ((uint64_t)block + n - 1) / grid->per_cell;

	for (uint64_t cell = block / grid->per_cell; cell <= end; cell++)
		if (grid->eras[cell] < era)
			grid->eras[cell] = era;
}

/* By runs of blocks of one era, which are long as a rule. */
static int ages_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct ages *ages = (struct ages *)sink;
	int r = PD_OK;

	for (unsigned i = 0, end; !r && i < n; i = end) {
		for (end = i + 1; end < n && eras[end] == eras[i];)
			end++;
		for (unsigned g = 0; g < AGES_GRIDS; g++)
			if (ages->grids[g].max_cells)
				add_to_grid(&ages->grids[g], first_block + i, eras[i], end - i);
		ages->last_era = eras[i];
		r = count(ages, eras[i], end - i);
	}
	return r;
}

static const struct sink_ops ages_ops = {ages_begin, no_writeset, no_words,
					 nothing,    ages_eras,	  nothing};

void ages_init(struct ages *ages, const uint64_t max_cells[AGES_GRIDS])
{
	*ages = (struct ages){.sink = {&ages_ops}};
	for (unsigned i = 0; i < AGES_GRIDS; i++)
		ages->grids[i].max_cells = max_cells[i];
}

void ages_destroy(struct ages *ages)
{
	for (unsigned i = 0; i < AGES_GRIDS; i++)
		free(ages->grids[i].eras);
	free(ages->list);
}

static int newest_first(const void *a, const void *b)
{
	uint32_t one = ((const struct age *)a)->era, other = ((const struct age *)b)->era;

	return one < other ? 1 : one > other ? -1 : 0;
}

static void pack(struct ages *ages)
{
	uint64_t to = 0;

	for (uint64_t i = 0; i < ages->capacity; i++)
		if (ages->list[i].nr_blocks)
			ages->list[to++] = ages->list[i];
}

int ages_finish(struct ages *ages, uint64_t device_size, const struct report *report)
{
	uint64_t since = 0;
	bool has_current = find(ages, ages->info.current_era)->nr_blocks;

	pack(ages);
	/* A table is half empty at least: there is room for one more. */
	if (!has_current)
		ages->list[ages->nr++] = (struct age){.era = ages->info.current_era};
	qsort(ages->list, ages->nr, sizeof(*ages->list), newest_first);
	for (uint64_t i = 0; i < ages->nr; i++) {
		since += ages->list[i].nr_blocks;
		ages->list[i].since_blocks = since;
	}
	return device_end(&ages->info, device_size, &ages->end, report);
}

uint64_t ages_bytes(const struct ages *ages, uint64_t nr_blocks, bool with_last)
{
	uint64_t size = (uint64_t)ages->info.data_block_size * SECTOR_SIZE;
	uint64_t missing = ages->info.nr_blocks * size - ages->end;

	return nr_blocks * size - (with_last ? missing : 0);
}
