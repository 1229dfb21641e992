/* SPDX-License-Identifier: MIT */
/*
 * The set of a dm-cache's blocks that hold a part of a changed data block. The cache's blocks and the
 * data blocks need not be of one size, nor one size divide the other: a block of the cache is in the
 * set if it has a sector in common with a changed data block.
 *
 * Memory: two bits for each block of the cache, as many as its metadata say there are; pages of it
 * that no mapping touches are never written to.
 */
#ifndef ERA_CACHE_BLOCKS_H
#define ERA_CACHE_BLOCKS_H

#include "era/cache_xml.h"
#include "era/changed.h"

struct cache_blocks {
	const struct changed *changed;
	struct cache_info info;
	uint64_t *mapped; /* bits: the blocks of the cache that hold something, */
	uint64_t *stale;  /* and those of them that are in the set */
	uint64_t nr_dirty;
	uint32_t first_dirty;
};

/*
 * Reads what cache_dump printed. changed must be complete; destroy is needed in any case. What the
 * input returned, and PD_ERR_NO_MEMORY, are not reported, all else is. PD_ERR_CORRUPT: what is wrong
 * with the document, a block mapped twice and one past the end of what the era metadata track
 * included; PD_ERR_BUSY: blocks of the cache are dirty, so that what the origin has of them is not
 * known to the metadata.
 */
int cache_blocks_read(struct cache_blocks *blocks, const struct changed *changed,
		      const struct text_input *input, const struct report *report);
void cache_blocks_destroy(struct cache_blocks *blocks);

/* The next maximal run of the set, as changed_next() has it. */
bool cache_blocks_next(const struct cache_blocks *blocks, uint32_t *begin, uint32_t *end);

#endif
