/* SPDX-License-Identifier: MIT */
/* Edits metadata in place. */
#include "persistent-data/transaction.h"
#include "persistent-data/btree_edit.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BLOCKS 4096 /* 16 MiB */

static const struct btree_values exact_counts = {.size = sizeof(uint32_t)};

/*
 * What is there was read from a cache, perhaps: whoever wrote it may have been killed before the flush,
 * or the flush may have failed, behind which a cache takes for written what is not. The superblock must
 * be durable before a block is reused that only an older one refers to.
 */
static int make_superblock_durable(struct transaction *tx)
{
	int r = block_io_read(tx->io, 0, 1, tx->superblock);

	if (!r)
		r = block_io_write(tx->io, 0, 1, tx->superblock);
	return r ? r : block_io_flush(tx->io);
}

static int init(struct transaction *tx, struct block_io *io, uint64_t nr_blocks)
{
	int r;

	*tx = (struct transaction){
		.io = io,
		.superblock = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE),
	};
	r = block_cache_init(&tx->cache, io);
	if (!r)
		r = space_map_edit_init(&tx->map, nr_blocks);
	if (!r && !tx->superblock)
		r = PD_ERR_NO_MEMORY;
	return r ? r : make_superblock_durable(tx);
}

int transaction_create(struct transaction *tx, struct block_io *io)
{
	uint64_t superblock;
	int r = init(tx, io, io->nr_blocks);

	/* The first block that is allocated is block 0. */
	if (!r)
		r = space_map_edit_allocate(&tx->map, &superblock);
	return r ? r : btree_edit_new(tx, &exact_counts, &tx->ref_count_root);
}

int transaction_open(struct transaction *tx, struct block_io *io, const struct space_map_root *root,
		     const struct ref_counts *refs)
{
	int r = init(tx, io, root->nr_blocks);

	tx->ref_count_root = root->ref_count_root;
	return r ? r : space_map_edit_load(&tx->map, io, root, refs);
}

void transaction_close(struct transaction *tx)
{
	block_cache_destroy(&tx->cache);
	space_map_edit_destroy(&tx->map);
	free(tx->superblock);
	tx->superblock = NULL;
}

static int read_block(struct transaction *tx, uint64_t number, enum block_type type,
		      struct cached_block **result)
{
	struct cached_block *block = block_cache_find(&tx->cache, number);
	int r = PD_OK;

	if (!space_map_edit_count(&tx->map, number) || (block && block->type != type))
		return PD_ERR_CORRUPT;
	if (!block) {
		block = block_cache_add(&tx->cache, number, type);
		if (!block)
			return PD_ERR_NO_MEMORY;
		r = block_io_read(tx->io, number, 1, block->data);
		if (!r && block_verify(block->data, type, number))
			r = PD_ERR_CORRUPT;
	}
	if (r)
		block_cache_remove(&tx->cache, number);
	else
		*result = block;
	return r;
}

int transaction_read(struct transaction *tx, uint64_t block, enum block_type type,
		     const uint8_t **data)
{
	struct cached_block *cached;
	int r = read_block(tx, block, type, &cached);

	if (!r)
		*data = cached->data;
	return r;
}

static int check_writable(const struct transaction *tx)
{
	if (!tx->in_doubt)
		return PD_OK;
	errno = EIO;
	return PD_ERR_IO;
}

int transaction_new(struct transaction *tx, enum block_type type, uint64_t *block, uint8_t **data)
{
	struct cached_block *cached;
	int r = check_writable(tx);

	if (!r)
		r = space_map_edit_allocate(&tx->map, block);

	if (r)
		return r;
	cached = block_cache_add(&tx->cache, *block, type);
	if (!cached)
		return PD_ERR_NO_MEMORY;
	cached->dirty = true;
	*data = cached->data;
	return PD_OK;
}

static int copy_block(struct transaction *tx, const struct cached_block *old, uint64_t *block,
		      uint8_t **data)
{
	int r = transaction_new(tx, old->type, block, data);

	if (r)
		return r;
	memcpy(*data, old->data, METADATA_BLOCK_SIZE);
	return transaction_dec(tx, old->number);
}

int transaction_shadow(struct transaction *tx, uint64_t *block, enum block_type type,
		       uint8_t **data, bool *shared)
{
	struct cached_block *cached;
	int r = read_block(tx, *block, type, &cached);

	if (r)
		return r;
	*shared = space_map_edit_count(&tx->map, *block) > 1;
	if (*shared || !space_map_edit_is_fresh(&tx->map, *block))
		return copy_block(tx, cached, block, data);
	cached->dirty = true;
	*data = cached->data;
	return PD_OK;
}

int transaction_inc(struct transaction *tx, uint64_t block)
{
	return space_map_edit_inc(&tx->map, block);
}

int transaction_dec(struct transaction *tx, uint64_t block)
{
	bool fresh = space_map_edit_is_fresh(&tx->map, block);
	int r = space_map_edit_dec(&tx->map, block);

	/* It may become another block before the commit, and must not be written as the old one. */
	if (!r && fresh && !space_map_edit_count(&tx->map, block))
		block_cache_remove(&tx->cache, block);
	return r;
}

int transaction_trim(struct transaction *tx)
{
	int r;

	if (tx->cache.nr <= CACHE_BLOCKS)
		return PD_OK;
	/* New blocks may be written at any time: nothing refers to them before the commit. */
	r = check_writable(tx);
	if (!r)
		r = block_cache_write(&tx->cache);
	if (!r)
		block_cache_empty(&tx->cache);
	return r;
}

static int add_to_write(struct transaction *tx, uint64_t number, enum block_type type,
			uint8_t **data)
{
	struct cached_block *block = block_cache_add(&tx->cache, number, type);

	if (!block)
		return PD_ERR_NO_MEMORY;
	block->dirty = true;
	*data = block->data;
	return PD_OK;
}

static int add_space_map(struct transaction *tx)
{
	struct space_map_edit *map = &tx->map;
	uint8_t *data;
	int r = space_map_edit_place(map);

	for (unsigned i = 0; !r && i < map->nr_bitmaps; i++) {
		if (!map->dirty[i])
			continue;
		r = add_to_write(tx, map->places.bitmaps[i].block, BLOCK_BITMAP, &data);
		if (!r)
			space_map_edit_bitmap(map, i, data);
	}
	if (!r)
		r = add_to_write(tx, map->places.index_block, BLOCK_INDEX, &data);
	if (!r)
		space_map_edit_index(map, data);
	return r;
}

static int write_superblock(struct transaction *tx, transaction_superblock superblock,
			    void *context)
{
	const struct space_map_root root = {tx->map.nr_blocks, tx->map.nr_allocated,
					    tx->map.places.index_block, tx->ref_count_root};
	int r;

	memset(tx->superblock, 0, METADATA_BLOCK_SIZE);
	superblock(context, &root, tx->superblock);
	r = block_io_write(tx->io, 0, 1, tx->superblock);
	if (!r)
		r = block_io_flush(tx->io);
	tx->in_doubt = r;
	return r;
}

static void accept(struct transaction *tx)
{
	space_map_edit_accept(&tx->map);
	if (tx->cache.nr > CACHE_BLOCKS)
		block_cache_empty(&tx->cache);
}

int transaction_commit(struct transaction *tx, transaction_superblock superblock, void *context)
{
	int r = check_writable(tx);

	if (!r)
		r = add_space_map(tx);
	if (!r)
		r = block_cache_write(&tx->cache);
	if (!r)
		r = block_io_flush(tx->io);
	if (!r)
		r = write_superblock(tx, superblock, context);
	if (r)
		transaction_abort(tx);
	else
		accept(tx);
	return r;
}

void transaction_abort(struct transaction *tx)
{
	space_map_edit_undo(&tx->map);
	block_cache_empty(&tx->cache);
}
