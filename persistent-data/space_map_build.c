/* SPDX-License-Identifier: MIT */
/* Writes the space map of fresh metadata. */
#include "persistent-data/space_map_build.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <string.h>

#define ONE_EACH 0xaa /* four counts of one: the low bit of a count is the higher of its two bits */

static uint64_t covered(uint64_t nr_blocks)
{
	return nr_blocks < METADATA_MAX_BLOCKS ? nr_blocks : METADATA_MAX_BLOCKS;
}

uint64_t space_map_build_nr_blocks(uint64_t nr_blocks)
{
	return space_map_nr_bitmaps(covered(nr_blocks)) + btree_build_nr_nodes(0, 4) + 1;
}

/* Of the 16320 blocks that a bitmap counts, those below `end`. */
static unsigned counts_below(unsigned bitmap, uint64_t end)
{
	uint64_t begin = (uint64_t)bitmap * SPACE_MAP_BITMAP_COUNTS;

	if (end <= begin)
		return 0;
	return end - begin < SPACE_MAP_BITMAP_COUNTS ? (unsigned)(end - begin)
						     : SPACE_MAP_BITMAP_COUNTS;
}

static int write_bitmap(struct block_writer *writer, unsigned bitmap, uint64_t nr_allocated)
{
	unsigned nr_used = counts_below(bitmap, nr_allocated);
	uint8_t *block;
	int r = block_writer_open(writer, &block);

	if (r)
		return r;
	memset(block + BITMAP_COUNTS, ONE_EACH, nr_used / 4);
	if (nr_used % 4)
		block[BITMAP_COUNTS + nr_used / 4] =
			(uint8_t)(ONE_EACH & ((1 << (nr_used % 4 * 2)) - 1));
	block_writer_finish(writer, BLOCK_BITMAP);
	return PD_OK;
}

static int write_index(struct block_writer *writer, struct space_map_root *root,
		       uint64_t first_bitmap)
{
	unsigned nr_bitmaps = (unsigned)space_map_nr_bitmaps(root->nr_blocks);
	uint8_t *block;
	int r = block_writer_open(writer, &block);

	if (r)
		return r;
	for (unsigned i = 0; i < nr_bitmaps; i++) {
		uint8_t *entry = block + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE;
		unsigned nr_used = counts_below(i, root->nr_allocated);

		put_le64(entry, first_bitmap + i);
		put_le32(entry + 8, counts_below(i, root->nr_blocks) - nr_used);
		put_le32(entry + 12, nr_used);
	}
	root->bitmap_root = block_writer_finish(writer, BLOCK_INDEX);
	return PD_OK;
}

static int write_no_exact_counts(struct block_writer *writer, struct space_map_root *root)
{
	struct btree_build tree;
	int r = btree_build_init(&tree, writer, sizeof(uint32_t));

	if (!r)
		r = btree_build_finish(&tree, &root->ref_count_root);
	btree_build_destroy(&tree);
	return r;
}

int space_map_build(struct block_writer *writer, struct space_map_root *root)
{
	uint64_t first_bitmap = writer->next;
	unsigned nr_bitmaps;
	int r = PD_OK;

	root->nr_blocks = covered(writer->io->nr_blocks);
	root->nr_allocated = writer->next + space_map_build_nr_blocks(root->nr_blocks);
	if (root->nr_allocated > root->nr_blocks)
		return PD_ERR_NO_SPACE;
	nr_bitmaps = (unsigned)space_map_nr_bitmaps(root->nr_blocks);
	for (unsigned i = 0; !r && i < nr_bitmaps; i++)
		r = write_bitmap(writer, i, root->nr_allocated);
	if (!r)
		r = write_no_exact_counts(writer, root);
	return r ? r : write_index(writer, root, first_bitmap);
}
