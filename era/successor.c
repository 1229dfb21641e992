/* SPDX-License-Identifier: MIT */
/* Compares what two space maps count. */
#include "era/successor.h"
#include "era/counts.h"
#include "persistent-data/error.h"

#include <stdlib.h>

#define MAX_GAPS 2 /* blocks that a transaction took and gave back */

/* The first index block behind a block; 0: there is none. */
static uint64_t next_index(const struct scan *scan, uint64_t number)
{
	for (uint64_t i = number + 1; i < scan->nr_blocks; i++)
		if (scan->kinds[i] == KIND_INDEX)
			return i;
	return 0;
}

/* Whether what `later` counts besides are the first blocks behind `begin` that `earlier` has as free. */
static bool takes_next(const struct counts *earlier, const struct counts *later, uint64_t begin,
		       uint64_t nr_blocks)
{
	uint64_t nr_free = 0, nr_gaps = 0;
	bool any = false;

	for (uint64_t i = 1; i < nr_blocks; i++) {
		bool is_new = !earlier->of[i] && later->of[i];

		if (is_new && (i < begin || (!any && nr_free)))
			return false;
		any |= is_new;
		if (is_new)
			nr_gaps = nr_free;
		nr_free += i >= begin && !earlier->of[i] && !is_new;
	}
	return any && nr_gaps <= MAX_GAPS;
}

static bool compare(struct scan *scan, struct counts *earlier, struct counts *later,
		    uint8_t *buffer, uint64_t index, uint64_t next)
{
	counts_read(earlier, scan, index, buffer);
	counts_read(later, scan, next, buffer);
	return later->whole && takes_next(earlier, later, index + 1, scan->nr_blocks);
}

bool state_has_successor(struct scan *scan, const struct state *state, const bool *consistent,
			 int *error)
{
	uint64_t index = state->superblock.space_map.bitmap_root;
	struct counts earlier = {calloc(scan->nr_blocks, 1)}, later = {calloc(scan->nr_blocks, 1)};
	uint8_t *buffer = aligned_alloc(METADATA_BLOCK_SIZE, 2 * (size_t)METADATA_BLOCK_SIZE);
	uint64_t next = next_index(scan, index);
	bool result = false;

	if (!earlier.of || !later.of || !buffer)
		*error = PD_ERR_NO_MEMORY;
	else if (next && !consistent[next] && scan->kinds[index] == KIND_INDEX && scan->unfilled)
		result = compare(scan, &earlier, &later, buffer, index, next);
	free(earlier.of);
	free(later.of);
	free(buffer);
	return result;
}
