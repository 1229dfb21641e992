/* SPDX-License-Identifier: MIT */
/* Moves the blocks of sound metadata about. */
#include "tests/bench/scatter.h"
#include "era/superblock.h"
#include "era/trees.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

/* Where each block goes. */
struct moves {
	uint64_t nr;
	uint64_t *to;
};

/* Fisher and Yates's shuffle of all but the first. */
static int shuffle(struct moves *moves, uint64_t nr, uint64_t (*random_word)(void))
{
	moves->nr = nr;
	moves->to = calloc(nr, sizeof(*moves->to));
	if (!moves->to)
		return PD_ERR_NO_MEMORY;
	for (uint64_t i = 1; i < nr; i++) {
		uint64_t j = 1 + random_word() % i;

		moves->to[i] = moves->to[j];
		moves->to[j] = i;
	}
	return PD_OK;
}

static void redirect(const struct moves *moves, uint8_t *pointer)
{
	put_le64(pointer, moves->to[get_le64(pointer) % moves->nr]);
}

/* A leaf's values are pointers, unless it is of the space map; those of writesets end with one. */
static void redirect_node(const struct moves *moves, uint8_t *block)
{
	unsigned value_size = get_le32(block + NODE_VALUE_SIZE);
	uint8_t *values = block + NODE_KEYS + (size_t)get_le32(block + NODE_MAX_ENTRIES) * 8;

	if (value_size < 8)
		return;
	for (unsigned i = 0; i < get_le32(block + NODE_NR_ENTRIES); i++)
		redirect(moves, values + (size_t)(i + 1) * value_size - 8);
}

static void redirect_index(const struct moves *moves, uint8_t *block)
{
	for (uint64_t i = 0; i < space_map_nr_bitmaps(moves->nr); i++)
		redirect(moves, block + INDEX_ENTRIES + i * INDEX_ENTRY_SIZE);
}

static enum block_type type_of(const uint8_t *block, uint64_t number)
{
	unsigned type = 0;

	while (type < NR_BLOCK_TYPES - 1 && block_verify(block, (enum block_type)type, number))
		type++;
	return (enum block_type)type;
}

static void move_superblock(const struct moves *moves, uint8_t *block)
{
	struct superblock sb;
	struct damage damage;

	superblock_decode(block, SUPERBLOCK_BLOCK, moves->nr, false, &sb, &damage);
	sb.writeset_tree_root = moves->to[sb.writeset_tree_root];
	sb.era_array_root = moves->to[sb.era_array_root];
	sb.space_map.bitmap_root = moves->to[sb.space_map.bitmap_root];
	sb.space_map.ref_count_root = moves->to[sb.space_map.ref_count_root];
	superblock_encode(&sb, block);
}

static int move_block(const struct moves *moves, struct block_io *io, uint64_t i, uint8_t *block)
{
	enum block_type type = type_of(block, i);

	if (type == BLOCK_SUPERBLOCK) {
		move_superblock(moves, block);
		return block_io_write(io, i, 1, block);
	}
	if (type == BLOCK_BTREE_NODE)
		redirect_node(moves, block);
	else if (type == BLOCK_INDEX)
		redirect_index(moves, block);
	block_seal(block, type, moves->to[i]);
	return block_io_write(io, moves->to[i], 1, block);
}

static int move_all(const struct moves *moves, struct block_io *io, uint8_t *blocks)
{
	int r = block_io_read(io, 0, (uint32_t)moves->nr, blocks);

	for (uint64_t i = 0; !r && i < moves->nr; i++)
		r = move_block(moves, io, i, blocks + i * METADATA_BLOCK_SIZE);
	return r ? r : block_io_flush(io);
}

int scatter(struct block_io *io, uint64_t (*random_word)(void))
{
	uint8_t *blocks = aligned_alloc(METADATA_BLOCK_SIZE, io->nr_blocks * METADATA_BLOCK_SIZE);
	struct moves moves = {0, NULL};
	/* The generator leaves no block of the file unused. */
	int r = blocks ? shuffle(&moves, io->nr_blocks, random_word) : PD_ERR_NO_MEMORY;

	if (!r)
		r = move_all(&moves, io, blocks);
	free(moves.to);
	free(blocks);
	return r;
}
