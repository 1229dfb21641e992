/* SPDX-License-Identifier: MIT */
/*
 * The space map: how often each metadata block is referred to, on disk.
 *
 * Source of the layout: dm-space-map-common.h and .c in Linux's drivers/md/persistent-data/. A count
 * takes two bits of a bitmap block, high bit first, at bits 2b and 2b + 1 of a little-endian string of
 * bits; three stands for three or more, and the exact count is then in a btree.
 */
#ifndef PERSISTENT_DATA_SPACE_MAP_H
#define PERSISTENT_DATA_SPACE_MAP_H

#include "persistent-data/block_reader.h"
#include "persistent-data/damage.h"

#define SPACE_MAP_ROOT_SIZE 32	      /* bytes that are used of a root in a superblock */
#define SPACE_MAP_MAX_BITMAPS 255     /* entries of the index block */
#define SPACE_MAP_BITMAP_COUNTS 16320 /* counts of a bitmap block */

/* Layout of the index block and of a bitmap block, in bytes. */
#define INDEX_ENTRIES 16
#define INDEX_ENTRY_SIZE 16
#define BITMAP_COUNTS 16

struct space_map_root {
	uint64_t nr_blocks; /* metadata blocks that are counted */
	uint64_t nr_allocated;
	uint64_t bitmap_root; /* the index block */
	uint64_t ref_count_root;
};

void space_map_root_decode(const uint8_t *from, struct space_map_root *root);
void space_map_root_encode(const struct space_map_root *root, uint8_t *to);

static inline uint64_t space_map_nr_bitmaps(uint64_t nr_blocks)
{
	return (nr_blocks + SPACE_MAP_BITMAP_COUNTS - 1) / SPACE_MAP_BITMAP_COUNTS;
}

/* The i-th of a bitmap's counts, which begin at BITMAP_COUNTS: 0 to 3. */
static inline unsigned space_map_inline_count(const uint8_t *counts, unsigned i)
{
	unsigned pair = (unsigned)counts[i / 4] >> (i % 4 * 2);

	return (pair & 1) << 1 | (pair >> 1 & 1);
}

struct space_map_visitor {
	void *context;
	damage_fn damage; /* begin, end: metadata blocks whose counts are lost or wrong */
	damage_fn hint;	  /* the same for what does no harm: numbers that only help in a search */
	/* the count on disk is not the number of references that was counted */
	int (*mismatch)(void *context, uint64_t block, uint32_t stored, uint32_t counted);
};

/*
 * Checks the whole space map, and all counts against reader->refs, once every other reference has
 * been counted there. root->nr_blocks must not be more than the device has. 0, what a function of the
 * visitor returned, or PD_ERR_NO_MEMORY.
 */
int space_map_check(struct block_reader *reader, const struct space_map_root *root,
		    const struct space_map_visitor *visitor);

#endif
