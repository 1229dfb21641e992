/* SPDX-License-Identifier: MIT */
/* Builds btrees in bulk, all levels at once. */
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>
#include <string.h>

#define POINTER_SIZE 8 /* bytes of an internal node's value */

static unsigned level_value_size(const struct btree_build *build, unsigned level)
{
	return level ? POINTER_SIZE : build->value_size;
}

static int add_level(struct btree_build *build)
{
	struct btree_build_level *level;

	if (build->nr_levels == BTREE_MAX_DEPTH)
		return PD_ERR_NO_SPACE;
	level = calloc(1, sizeof(*level));
	if (!level)
		return PD_ERR_NO_MEMORY;
	build->levels[build->nr_levels++] = level;
	return PD_OK;
}

int btree_build_init(struct btree_build *build, struct block_writer *writer, unsigned value_size)
{
	memset(build, 0, sizeof(*build));
	build->writer = writer;
	build->value_size = value_size;
	return add_level(build);
}

void btree_build_destroy(struct btree_build *build)
{
	for (unsigned i = 0; i < build->nr_levels; i++)
		free(build->levels[i]);
	build->nr_levels = 0;
}

static int write_node(struct btree_build *build, unsigned i, const uint8_t *from,
		      unsigned nr_entries, uint64_t *block)
{
	unsigned value_size = level_value_size(build, i);
	uint8_t *node;
	int r = block_writer_open(build->writer, &node);

	if (r)
		return r;
	memcpy(node, from, METADATA_BLOCK_SIZE);
	put_le32(node + NODE_FLAGS, i ? NODE_INTERNAL : NODE_LEAF);
	put_le32(node + NODE_NR_ENTRIES, nr_entries);
	put_le32(node + NODE_MAX_ENTRIES, btree_max_entries(value_size));
	put_le32(node + NODE_VALUE_SIZE, value_size);
	*block = block_writer_finish(build->writer, BLOCK_BTREE_NODE);
	return PD_OK;
}

static int add_entry(struct btree_build *build, unsigned i, uint64_t key, const void *value);

/* Writes a node of a level and enters it into the level above. */
static int push_up(struct btree_build *build, unsigned i, const uint8_t *node, unsigned nr_entries)
{
	uint64_t key = get_le64(node + NODE_KEYS);
	uint64_t block;
	uint8_t pointer[POINTER_SIZE];
	int r = write_node(build, i, node, nr_entries, &block);

	if (!r && i + 1 == build->nr_levels)
		r = add_level(build);
	if (r)
		return r;
	put_le64(pointer, block);
	return add_entry(build, i + 1, key, pointer);
}

/* The node at hand is full: it is kept until it is known whether the next one needs some of it. */
static int put_aside(struct btree_build *build, unsigned i)
{
	struct btree_build_level *level = build->levels[i];
	int r = level->has_full ? push_up(build, i, level->full, level->nr_entries) : PD_OK;

	memcpy(level->full, level->node, METADATA_BLOCK_SIZE);
	memset(level->node, 0, METADATA_BLOCK_SIZE);
	level->has_full = true;
	level->nr_entries = 0;
	return r;
}

static int add_entry(struct btree_build *build, unsigned i, uint64_t key, const void *value)
{
	struct btree_build_level *level = build->levels[i];
	unsigned value_size = level_value_size(build, i);
	unsigned max_entries = btree_max_entries(value_size);
	uint8_t *values = level->node + NODE_KEYS + (size_t)max_entries * 8;

	if (level->nr_entries == max_entries) {
		int r = put_aside(build, i);

		if (r)
			return r;
	}
	put_le64(level->node + NODE_KEYS + (size_t)level->nr_entries * 8, key);
	memcpy(values + (size_t)level->nr_entries * value_size, value, value_size);
	level->nr_entries++;
	return PD_OK;
}

/* Moves the last n entries from one array to the beginning of another that has room for them. */
static void move_entries(uint8_t *to, unsigned nr_to, uint8_t *from, unsigned nr_from, unsigned n,
			 size_t size)
{
	memmove(to + n * size, to, nr_to * size);
	memcpy(to, from + (nr_from - n) * size, n * size);
	memset(from + (nr_from - n) * size, 0, n * size);
}

/* A thin last node takes over entries of the full one before it. Returns how many stay there. */
static unsigned share(struct btree_build *build, unsigned i)
{
	struct btree_build_level *level = build->levels[i];
	unsigned value_size = level_value_size(build, i);
	unsigned max_entries = btree_max_entries(value_size);
	size_t values = NODE_KEYS + (size_t)max_entries * 8;
	unsigned n;

	if (level->nr_entries >= max_entries / 3)
		return max_entries;
	n = (max_entries - level->nr_entries) / 2;
	move_entries(level->node + NODE_KEYS, level->nr_entries, level->full + NODE_KEYS,
		     max_entries, n, 8);
	move_entries(level->node + values, level->nr_entries, level->full + values, max_entries, n,
		     value_size);
	level->nr_entries += n;
	return max_entries - n;
}

/* Writes what is left of a level that is not the root's. */
static int finish_level(struct btree_build *build, unsigned i)
{
	struct btree_build_level *level = build->levels[i];
	int r = PD_OK;

	if (level->has_full)
		r = push_up(build, i, level->full, share(build, i));
	return r ? r : push_up(build, i, level->node, level->nr_entries);
}

int btree_build_add(struct btree_build *build, uint64_t key, const void *value)
{
	return add_entry(build, 0, key, value);
}

int btree_build_finish(struct btree_build *build, uint64_t *root)
{
	struct btree_build_level *top;
	unsigned i = 0;
	int r = PD_OK;

	/* A level that has more nodes than one needs a level above it, which may come only now. */
	for (; !r && (i + 1 < build->nr_levels || build->levels[i]->has_full); i++)
		r = finish_level(build, i);
	if (r)
		return r;
	top = build->levels[i];
	return write_node(build, i, top->node, top->nr_entries, root);
}

uint64_t btree_build_nr_nodes(uint64_t nr_entries, unsigned value_size)
{
	uint64_t max_entries = btree_max_entries(value_size);
	uint64_t level = (nr_entries + max_entries - 1) / max_entries;
	uint64_t total = level ? level : 1;

	max_entries = btree_max_entries(POINTER_SIZE);
	while (level > 1) {
		level = (level + max_entries - 1) / max_entries;
		total += level;
	}
	return total;
}
