/* SPDX-License-Identifier: MIT */
/* Builds metadata from scratch in memory. */
#include "tests/support/builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 2126579579

static void *or_die(void *memory)
{
	if (!memory) {
		perror("tests/support/builder.c");
		abort();
	}
	return memory;
}

void builder_init(struct builder *builder, uint64_t nr_blocks)
{
	image_init(&builder->image, nr_blocks);
	builder->counts = or_die(calloc(nr_blocks, sizeof(*builder->counts)));
	builder->counts[0] = 1;
	builder->next = 1;
}

void builder_free(struct builder *builder)
{
	image_free(&builder->image);
	free(builder->counts);
}

uint64_t builder_take(struct builder *builder)
{
	if (builder->next == builder->image.nr_blocks) {
		fputs("tests/support/builder.c: the image is full\n", stderr);
		abort();
	}
	return builder->next++;
}

void builder_refer(struct builder *builder, uint64_t block)
{
	if (block < builder->image.nr_blocks)
		builder->counts[block]++;
}

/* Btrees. */

static unsigned node_room(unsigned value_size)
{
	return 3 * ((IMAGE_BLOCK - NODE_KEYS) / (8 + value_size) / 3);
}

static void put_value(const struct image *image, uint64_t block, size_t offset, unsigned value_size,
		      const struct builder_entry *entry)
{
	if (value_size == 12) {
		image_set(image, block, offset, 4, entry->nr_bits);
		image_set(image, block, offset + 4, 8, entry->value);
	} else {
		image_set(image, block, offset, value_size, entry->value);
	}
}

uint64_t builder_node(struct builder *builder, unsigned flags, unsigned value_size,
		      const struct builder_entry *entries, unsigned nr)
{
	const struct image *image = &builder->image;
	uint64_t block = builder_take(builder);
	size_t values;

	image_set(image, block, NODE_FLAGS, 4, flags);
	image_set(image, block, NODE_BLOCKNR, 8, block);
	image_set(image, block, NODE_NR_ENTRIES, 4, nr);
	image_set(image, block, NODE_MAX_ENTRIES, 4, node_room(value_size));
	image_set(image, block, NODE_VALUE_SIZE, 4, value_size);
	values = image_node_values(image, block);
	for (unsigned i = 0; i < nr; i++) {
		image_set(image, block, NODE_KEYS + (size_t)i * 8, 8, entries[i].key);
		put_value(image, block, values + (size_t)i * value_size, value_size, &entries[i]);
		if (value_size != 4)
			builder_refer(builder, entries[i].value);
	}
	image_reseal(image, block, KIND_NODE);
	return block;
}

/* One level: nodes over the entries, which become the entries of the level above. Returns how many. */
static unsigned build_level(struct builder *builder, unsigned flags, unsigned value_size,
			    struct builder_entry *entries, unsigned nr)
{
	unsigned room = node_room(value_size);
	unsigned nr_nodes = 0;

	for (unsigned i = 0; i < nr || !nr_nodes; i += room) {
		uint64_t key = nr ? entries[i].key : 0;
		unsigned left = nr - i;
		uint64_t node = builder_node(builder, flags, value_size, entries + i,
					     left < room ? left : room);

		entries[nr_nodes++] = (struct builder_entry){.key = key, .value = node};
	}
	return nr_nodes;
}

uint64_t builder_tree(struct builder *builder, unsigned value_size,
		      const struct builder_entry *entries, unsigned nr)
{
	struct builder_entry *level = or_die(calloc(nr + 1, sizeof(*level)));
	unsigned nr_level;
	uint64_t root;

	if (nr)
		memcpy(level, entries, nr * sizeof(*level));
	nr_level = build_level(builder, NODE_IS_LEAF, value_size, level, nr);
	while (nr_level > 1)
		nr_level = build_level(builder, NODE_IS_INTERNAL, 8, level, nr_level);
	root = level[0].value;
	free(level);
	return root;
}

/* Arrays. */

uint64_t builder_array_block(struct builder *builder, unsigned value_size, const uint64_t *values,
			     unsigned nr)
{
	const struct image *image = &builder->image;
	uint64_t block = builder_take(builder);

	image_set(image, block, ARRAY_MAX_ENTRIES, 4, (IMAGE_BLOCK - ARRAY_VALUES) / value_size);
	image_set(image, block, ARRAY_NR_ENTRIES, 4, nr);
	image_set(image, block, ARRAY_VALUE_SIZE, 4, value_size);
	image_set(image, block, ARRAY_BLOCKNR, 8, block);
	for (unsigned i = 0; i < nr; i++)
		image_set(image, block, ARRAY_VALUES + (size_t)i * value_size, value_size,
			  values[i]);
	image_reseal(image, block, KIND_ARRAY);
	return block;
}

uint64_t builder_array(struct builder *builder, unsigned value_size, const uint64_t *values,
		       unsigned nr)
{
	unsigned room = (IMAGE_BLOCK - ARRAY_VALUES) / value_size;
	struct builder_entry *entries = or_die(calloc(nr / room + 1, sizeof(*entries)));
	unsigned nr_blocks = 0;
	uint64_t root;

	for (unsigned i = 0; i < nr; i += room, nr_blocks++) {
		unsigned n = nr - i < room ? nr - i : room;

		entries[nr_blocks].key = nr_blocks;
		entries[nr_blocks].value = builder_array_block(builder, value_size, values + i, n);
	}
	root = builder_tree(builder, 8, entries, nr_blocks);
	free(entries);
	return root;
}

uint64_t builder_bitset(struct builder *builder, uint32_t nr_bits, uint32_t step)
{
	unsigned nr_words = (nr_bits + 63) / 64;
	uint64_t *words = or_die(calloc(nr_words + 1, sizeof(*words)));
	uint64_t root;

	for (uint64_t bit = 0; step && bit < nr_bits; bit += step)
		words[bit / 64] |= UINT64_C(1) << (bit % 64);
	root = builder_array(builder, 8, words, nr_words);
	free(words);
	return root;
}

uint64_t builder_era_array(struct builder *builder, uint32_t nr_blocks, uint32_t current_era)
{
	uint64_t *eras = or_die(calloc((size_t)nr_blocks + 1, sizeof(*eras)));
	uint64_t root;

	for (uint32_t i = 0; i < nr_blocks; i++)
		eras[i] = i % (current_era + 1);
	root = builder_array(builder, 4, eras, nr_blocks);
	free(eras);
	return root;
}

uint64_t builder_writeset_tree(struct builder *builder, const struct plan_writeset *writesets,
			       unsigned nr)
{
	struct builder_entry *entries = or_die(calloc(nr + 1, sizeof(*entries)));
	uint64_t root;

	for (unsigned i = 0; i < nr; i++)
		entries[i] = (struct builder_entry){writesets[i].era, writesets[i].root,
						    writesets[i].nr_bits};
	root = builder_tree(builder, 12, entries, nr);
	free(entries);
	return root;
}

/* The superblock. */

void builder_superblock(struct builder *builder, uint64_t block, const struct plan *plan)
{
	const struct {
		size_t offset, size;
		uint64_t value;
	} fields[] = {
		{SB_BLOCKNR, 8, block},
		{SB_MAGIC, 8, MAGIC},
		{SB_VERSION, 4, 1},
		{SB_DATA_BLOCK_SIZE, 4, plan->data_block_size},
		{SB_METADATA_BLOCK_SIZE, 4, 8},
		{SB_NR_BLOCKS, 4, plan->nr_blocks},
		{SB_CURRENT_ERA, 4, plan->current_era},
		{SB_WRITESET_BITS, 4, plan->writeset_bits},
		{SB_WRITESET_ROOT, 8, plan->writeset_root},
		{SB_WRITESET_TREE, 8, plan->writeset_tree},
		{SB_ERA_ARRAY, 8, plan->era_array},
		{SB_SNAPSHOT, 8, plan->snapshot},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		image_set(&builder->image, block, fields[i].offset, fields[i].size,
			  fields[i].value);
	image_reseal(&builder->image, block, KIND_SUPERBLOCK);
}

uint64_t builder_snapshot(struct builder *builder, const struct plan *plan)
{
	uint64_t block = builder_take(builder);

	builder_superblock(builder, block, plan);
	builder_refer(builder, plan->writeset_tree);
	builder_refer(builder, plan->era_array);
	return block;
}

/* The space map. */

static uint64_t bitmap_of(const struct image *image, uint64_t block)
{
	uint64_t index = image_get(image, 0, SB_MAP_BITMAP_ROOT, 8);

	return image_get(image, index, INDEX_ENTRIES + block / BITMAP_NR_COUNTS * 16, 8);
}

/* The high bit of a count comes first in the bit string. */
static size_t count_place(uint64_t block, unsigned *shift)
{
	*shift = (unsigned)(block % 4 * 2);
	return BITMAP_COUNTS + (size_t)(block % BITMAP_NR_COUNTS / 4);
}

unsigned builder_get_count(const struct image *image, uint64_t block)
{
	unsigned shift;
	size_t offset = count_place(block, &shift);
	uint64_t pair = image_get(image, bitmap_of(image, block), offset, 1) >> shift;

	return (unsigned)((pair & 1) << 1 | (pair >> 1 & 1));
}

void builder_set_count(const struct image *image, uint64_t block, unsigned count)
{
	unsigned shift;
	size_t offset = count_place(block, &shift);
	uint64_t bitmap = bitmap_of(image, block);
	uint64_t byte = image_get(image, bitmap, offset, 1) & ~(UINT64_C(3) << shift);
	uint64_t pair = (count & 1) << 1 | (count >> 1 & 1);

	image_set(image, bitmap, offset, 1, byte | pair << shift);
	image_reseal(image, bitmap, KIND_BITMAP);
}

static uint64_t take_counted(struct builder *builder)
{
	uint64_t block = builder_take(builder);

	builder_refer(builder, block);
	return block;
}

static void take_bitmaps(struct builder *builder, uint64_t index, uint64_t nr_blocks)
{
	const struct image *image = &builder->image;

	for (uint64_t i = 0; i * BITMAP_NR_COUNTS < nr_blocks; i++) {
		uint64_t bitmap = take_counted(builder);
		uint64_t left = nr_blocks - i * BITMAP_NR_COUNTS;

		image_set(image, bitmap, BITMAP_BLOCKNR, 8, bitmap);
		image_reseal(image, bitmap, KIND_BITMAP);
		image_set(image, index, INDEX_ENTRIES + i * 16, 8, bitmap);
		image_set(image, index, INDEX_ENTRIES + i * 16 + 8, 4,
			  left < BITMAP_NR_COUNTS ? left : BITMAP_NR_COUNTS);
	}
}

/* The counts into the bitmaps, those above two into the tree that ref_counts is taken for. */
static void fill_counts(struct builder *builder, uint64_t index, uint64_t ref_counts)
{
	const struct image *image = &builder->image;
	struct builder_entry *exact = or_die(calloc(image->nr_blocks, sizeof(*exact)));
	unsigned nr_exact = 0;
	uint64_t nr_allocated = 0;

	for (uint64_t i = 0; i < image->nr_blocks; i++) {
		size_t nr_free = INDEX_ENTRIES + (size_t)(i / BITMAP_NR_COUNTS) * 16 + 8;
		unsigned count = builder->counts[i];

		if (!count)
			continue;
		builder_set_count(image, i, count < 3 ? count : 3);
		image_set(image, index, nr_free, 4, image_get(image, index, nr_free, 4) - 1);
		nr_allocated++;
		if (count > 2)
			exact[nr_exact++] = (struct builder_entry){.key = i, .value = count};
	}
	image_set(image, 0, SB_MAP_NR_ALLOCATED, 8, nr_allocated);
	image_reseal(image, index, KIND_INDEX);
	builder->next = ref_counts;
	builder_node(builder, NODE_IS_LEAF, 4, exact, nr_exact);
	free(exact);
}

static void build_space_map(struct builder *builder, uint64_t nr_blocks)
{
	const struct image *image = &builder->image;
	uint64_t index = take_counted(builder);

	image_set(image, index, INDEX_BLOCKNR, 8, index);
	image_set(image, 0, SB_MAP_NR_BLOCKS, 8, nr_blocks);
	image_set(image, 0, SB_MAP_BITMAP_ROOT, 8, index);
	take_bitmaps(builder, index, nr_blocks);
	/* Taken last, so that it can be built when its own count is known, too. */
	image_set(image, 0, SB_MAP_REF_COUNT_ROOT, 8, take_counted(builder));
	fill_counts(builder, index, builder->next - 1);
}

void builder_finish(struct builder *builder, struct plan *plan)
{
	if (!plan->writeset_tree)
		plan->writeset_tree = builder_tree(builder, 12, NULL, 0);
	if (!plan->era_array)
		plan->era_array = builder_era_array(builder, plan->nr_blocks, plan->current_era);
	builder_refer(builder, plan->writeset_tree);
	builder_refer(builder, plan->era_array);
	if (plan->writeset_root)
		builder_refer(builder, plan->writeset_root);
	if (plan->snapshot)
		builder_refer(builder, plan->snapshot);
	build_space_map(builder,
			plan->map_nr_blocks ? plan->map_nr_blocks : builder->image.nr_blocks);
	builder_superblock(builder, 0, plan);
}
