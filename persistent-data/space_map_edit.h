/* SPDX-License-Identifier: MIT */
/*
 * The space map of metadata that is edited in place: all reference counts in memory, a byte a block,
 * and the way back to what was last committed.
 *
 * A block that the last commit refers to is taken until the next one, also when its count has sunk to
 * zero: only then is it allocated anew. What a commit has to write is every bitmap with a count that
 * changed, and the index, all in new places; to allocate these changes counts as well, hence
 * space_map_edit_place().
 *
 * What is allocated for one commit lies side by side where there is room for that, so that it is one
 * write, and as near to the beginning as it can: a sparse file stays small. It grows beyond what is in
 * use nevertheless, to less than twice that in the tests of a large origin: digestion leaves single
 * blocks idle between others, and to fill these first made commits take twice as long.
 *
 * Counts end at two: a block is shared by the live trees and a snapshot's, or not at all (see
 * ref_counts.h). So the tree of counts above two, which the format has besides, stays empty.
 */
#ifndef PERSISTENT_DATA_SPACE_MAP_EDIT_H
#define PERSISTENT_DATA_SPACE_MAP_EDIT_H

#include "persistent-data/block_io.h"
#include "persistent-data/ref_counts.h"
#include "persistent-data/space_map.h"

#define SPACE_MAP_EDIT_MAX_COUNT 2

struct space_map_index {
	uint64_t block; /* of the bitmap; 0: has none yet */
	uint32_t nr_free;
	uint32_t none_free_before;
};

struct space_map_places {
	uint64_t index_block; /* 0: has none yet */
	struct space_map_index bitmaps[SPACE_MAP_MAX_BITMAPS];
};

/* One count as it was before it changed. */
struct space_map_change {
	uint32_t block;
	uint8_t count;
};

struct space_map_edit {
	uint64_t nr_blocks; /* metadata blocks, at most METADATA_MAX_BLOCKS */
	uint64_t nr_allocated;
	uint64_t nr_free; /* that can be allocated before the next commit */
	uint64_t reserve; /* free blocks that space_map_edit_allocate() leaves alone */
	uint64_t next;	  /* where to look for a free one; 0: where several are side by side */
	unsigned nr_bitmaps;
	uint8_t *counts; /* with zeroes after the last one, to a multiple of eight */
	size_t nr_words;
	uint64_t *taken; /* bits: cannot be allocated */
	uint64_t *fresh; /* bits: allocated since the last commit */
	bool dirty[SPACE_MAP_MAX_BITMAPS];
	struct space_map_places places, committed;
	struct space_map_change *changes; /* since the last commit, in order */
	size_t nr_changes, room;
};

/* All blocks are free, and no bitmap has a place yet. PD_ERR_NO_MEMORY; destroy in any case. */
int space_map_edit_init(struct space_map_edit *map, uint64_t nr_blocks);
void space_map_edit_destroy(struct space_map_edit *map);

/*
 * After init: takes over the counts of metadata that was found sound, as they were counted by walking
 * it, and the places of its bitmaps.
 */
int space_map_edit_load(struct space_map_edit *map, struct block_io *io,
			const struct space_map_root *root, const struct ref_counts *refs);

/* A free block, which then has the count 1. PD_ERR_NO_SPACE, PD_ERR_NO_MEMORY. */
int space_map_edit_allocate(struct space_map_edit *map, uint64_t *block);

/* PD_ERR_CORRUPT where the block is not in use, or shared already; PD_ERR_NO_MEMORY. */
int space_map_edit_inc(struct space_map_edit *map, uint64_t block);
int space_map_edit_dec(struct space_map_edit *map, uint64_t block);

/* 0 past the end too. */
unsigned space_map_edit_count(const struct space_map_edit *map, uint64_t block);
bool space_map_edit_is_fresh(const struct space_map_edit *map, uint64_t block);

/*
 * Finds new places for the index and for every bitmap that has to be written: no count changes
 * after that until the commit is done. It may use up the reserve.
 */
int space_map_edit_place(struct space_map_edit *map);

/* Fill in a dirty bitmap, and then, when all bitmaps are done, the index. */
void space_map_edit_bitmap(struct space_map_edit *map, unsigned i, uint8_t *block);
void space_map_edit_index(const struct space_map_edit *map, uint8_t *block);

/* What is now is committed, or never was. */
void space_map_edit_accept(struct space_map_edit *map);
void space_map_edit_undo(struct space_map_edit *map);

#endif
