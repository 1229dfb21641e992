/* SPDX-License-Identifier: MIT */
/* How large a metadata device has to be. */
#include "era/metadata_size.h"
#include "era/extents.h"
#include "era/trees.h"
#include "persistent-data/array_build.h"
#include "persistent-data/bitset.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/space_map.h"

#define POINTER_SIZE 8
#define RESERVE 32 /* 24 blocks, and what a commit writes of a small space map */

/* Of a btree that was edited: its nodes are a third full at least, but for the root. */
static uint64_t loose_nodes(uint64_t nr_entries, unsigned value_size)
{
	uint64_t per_node = btree_max_entries(value_size) / 3;
	uint64_t nodes = nr_entries / per_node + 1;
	uint64_t sum = nodes;

	while (nodes > 1) {
		nodes = nodes / (btree_max_entries(POINTER_SIZE) / 3) + 1;
		sum += nodes;
	}
	return sum;
}

static uint64_t loose_array(uint64_t nr_entries, unsigned value_size)
{
	uint64_t nr_blocks = array_nr_blocks(nr_entries, value_size);

	return nr_blocks + loose_nodes(nr_blocks, POINTER_SIZE);
}

/*
 * The bitmaps with a copy of each, and room for one more; index and counts likewise, of which one node
 * is always enough.
 */
static uint64_t space_map_size(uint64_t nr_blocks)
{
	return 3 * space_map_nr_bitmaps(nr_blocks) + 4;
}

/* As write.c does it, with the current writeset as one more. */
static uint64_t tight_trees(const struct metadata_need *need)
{
	return 1 + array_build_nr_blocks(need->nr_blocks, sizeof(uint32_t)) +
	       (need->nr_writesets + UINT64_C(1)) *
		       array_build_nr_blocks(bitset_nr_words(need->nr_blocks), sizeof(uint64_t)) +
	       btree_build_nr_nodes(need->nr_writesets + UINT64_C(1), WRITESET_VALUE_SIZE);
}

void metadata_size(const struct metadata_need *need, struct metadata_size *size)
{
	uint64_t era_array = loose_array(need->nr_blocks, sizeof(uint32_t));
	uint64_t writeset = loose_array(bitset_nr_words(need->nr_blocks), sizeof(uint64_t));
	uint64_t tree = loose_nodes(need->nr_writesets + UINT64_C(1), WRITESET_VALUE_SIZE);
	/* What a snapshot holds: the current writeset was archived when it was taken. */
	uint64_t held = 1 + era_array + tree + (need->nr_writesets + UINT64_C(1)) * writeset;
	uint64_t before;

	*size = (struct metadata_size){
		.trees = tight_trees(need),
		.loose_nodes = held - tight_trees(need),
		.snapshot = need->snapshot ? held : 0,
		.copy_on_write = era_array + tree + 2 * writeset,
		.reserve = RESERVE,
	};
	/* A larger device needs more bitmaps, which need a larger device: this soon ends. */
	do {
		before = size->total;
		size->space_map = space_map_size(before);
		size->total = size->trees + size->loose_nodes + size->snapshot +
			      size->copy_on_write + size->space_map + size->reserve;
	} while (size->total > before);
}

uint64_t metadata_size_block_sectors(uint64_t device_size)
{
	uint64_t sectors = SIZE_MIN_BLOCK_SECTORS;

	while (device_size / SECTOR_SIZE / sectors > SIZE_MANY_BLOCKS)
		sectors *= 2;
	return sectors;
}
