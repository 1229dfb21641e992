/* SPDX-License-Identifier: MIT */
/*
 * Blocks in memory, by number: those that were read, and those that are to be written.
 *
 * A block's data stay where they are until the block is removed or the cache is emptied.
 */
#ifndef PERSISTENT_DATA_BLOCK_CACHE_H
#define PERSISTENT_DATA_BLOCK_CACHE_H

#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"

#include <stddef.h>

#define BLOCK_CACHE_BUCKETS 4096

struct cached_block {
	struct cached_block *next; /* in its bucket */
	uint64_t number;
	enum block_type type;
	bool dirty;
	uint8_t *data;
};

struct block_cache {
	struct block_io *io;
	size_t nr;
	struct cached_block **buckets;
	uint8_t *run; /* where blocks that lie side by side are put together */
};

/* io stays the caller's. PD_ERR_NO_MEMORY; destroy in any case. */
int block_cache_init(struct block_cache *cache, struct block_io *io);
void block_cache_destroy(struct block_cache *cache);

/* NULL: not there. */
struct cached_block *block_cache_find(const struct block_cache *cache, uint64_t number);

/* A new block, all zero and not dirty; whatever was there under this number goes. NULL: no memory. */
struct cached_block *block_cache_add(struct block_cache *cache, uint64_t number,
				     enum block_type type);
void block_cache_remove(struct block_cache *cache, uint64_t number);
void block_cache_empty(struct block_cache *cache);

/* Seals and writes all dirty blocks, in long runs, in ascending order. PD_ERR_IO, PD_ERR_NO_MEMORY. */
int block_cache_write(struct block_cache *cache);

#endif
