/* SPDX-License-Identifier: MIT */
/* Writes the stream as fresh metadata. */
#include "era/write.h"
#include "era/superblock.h"
#include "era/trees.h"
#include "persistent-data/array_build.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/space_map_build.h"

#include <stdlib.h>
#include <string.h>

struct metadata_write {
	struct sink sink;
	struct block_writer writer;
	struct btree_build writeset_tree;
	struct array_build array; /* the bitset or era array at hand */
	bool in_era_array;
	uint32_t era, nr_bits; /* of the writeset at hand */
	struct superblock superblock;
	uint8_t *block; /* for the superblock */
};

static int write_superblock(struct metadata_write *write)
{
	int r = block_io_write(write->writer.io, SUPERBLOCK_BLOCK, 1, write->block);

	return r ? r : block_io_flush(write->writer.io);
}

static int write_begin(struct sink *sink, const struct stream_info *info)
{
	struct metadata_write *write = (struct metadata_write *)sink;

	write->superblock.info = *info;
	if (!write->writer.io->nr_blocks)
		return PD_ERR_NO_SPACE;
	memset(write->block, 0, METADATA_BLOCK_SIZE);
	return write_superblock(write);
}

static int write_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct metadata_write *write = (struct metadata_write *)sink;

	write->era = era;
	write->nr_bits = nr_bits;
	array_build_init(&write->array, &write->writer, sizeof(uint64_t));
	return PD_OK;
}

static int write_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct metadata_write *write = (struct metadata_write *)sink;

	(void)first_word;
	return array_build_add(&write->array, words, n);
}

static int write_writeset_end(struct sink *sink)
{
	struct metadata_write *write = (struct metadata_write *)sink;
	uint8_t value[WRITESET_VALUE_SIZE];
	uint64_t root;
	int r = array_build_finish(&write->array, &root);

	if (r)
		return r;
	put_le32(value, write->nr_bits);
	put_le64(value + 4, root);
	return btree_build_add(&write->writeset_tree, write->era, value);
}

static void begin_era_array(struct metadata_write *write)
{
	if (!write->in_era_array)
		array_build_init(&write->array, &write->writer, sizeof(uint32_t));
	write->in_era_array = true;
}

static int write_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct metadata_write *write = (struct metadata_write *)sink;

	(void)first_block;
	begin_era_array(write);
	return array_build_add(&write->array, eras, n);
}

static int write_end(struct sink *sink)
{
	struct metadata_write *write = (struct metadata_write *)sink;
	struct superblock *sb = &write->superblock;
	int r;

	begin_era_array(write);
	r = array_build_finish(&write->array, &sb->era_array_root);
	if (!r)
		r = btree_build_finish(&write->writeset_tree, &sb->writeset_tree_root);
	if (!r)
		r = space_map_build(&write->writer, &sb->space_map);
	if (!r)
		r = block_writer_flush(&write->writer);
	if (r)
		return r;
	superblock_encode(sb, write->block);
	return write_superblock(write);
}

static const struct sink_ops write_ops = {write_begin,	      write_writeset_begin, write_words,
					  write_writeset_end, write_eras,	    write_end};

int metadata_write_open(struct block_io *io, struct sink **result)
{
	struct metadata_write *write = calloc(1, sizeof(*write));
	int r = PD_ERR_NO_MEMORY;

	if (!write)
		return r;
	write->sink.ops = &write_ops;
	write->block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	if (write->block)
		r = block_writer_init(&write->writer, io);
	if (!r)
		r = btree_build_init(&write->writeset_tree, &write->writer, WRITESET_VALUE_SIZE);
	if (r)
		metadata_write_close(&write->sink);
	else
		*result = &write->sink;
	return r;
}

void metadata_write_close(struct sink *sink)
{
	struct metadata_write *write = (struct metadata_write *)sink;

	if (!write)
		return;
	btree_build_destroy(&write->writeset_tree);
	block_writer_destroy(&write->writer);
	free(write->block);
	free(write);
}
