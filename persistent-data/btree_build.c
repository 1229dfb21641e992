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

/* Writes a level's node as it is, and empties it for the next. */
static int write_node(struct btree_build *build, unsigned i, uint64_t *block)
{
	struct btree_build_level *level = build->levels[i];
	unsigned value_size = level_value_size(build, i);
	uint8_t *node;
	int r = block_writer_open(build->writer, &node);

	if (r)
		return r;
	memcpy(node, level->node, METADATA_BLOCK_SIZE);
	put_le32(node + NODE_FLAGS, i ? NODE_INTERNAL : NODE_LEAF);
	put_le32(node + NODE_NR_ENTRIES, level->nr_entries);
	put_le32(node + NODE_MAX_ENTRIES, btree_max_entries(value_size));
	put_le32(node + NODE_VALUE_SIZE, value_size);
	*block = block_writer_finish(build->writer, BLOCK_BTREE_NODE);
	memset(level, 0, sizeof(*level));
	return PD_OK;
}

static int add_entry(struct btree_build *build, unsigned i, uint64_t key, const void *value);

/* Writes a level's node and enters it into the level above. */
static int push_up(struct btree_build *build, unsigned i)
{
	uint64_t key = get_le64(build->levels[i]->node + NODE_KEYS);
	uint64_t block;
	uint8_t pointer[POINTER_SIZE];
	int r = write_node(build, i, &block);

	if (!r && i + 1 == build->nr_levels)
		r = add_level(build);
	if (r)
		return r;
	put_le64(pointer, block);
	return add_entry(build, i + 1, key, pointer);
}

static int add_entry(struct btree_build *build, unsigned i, uint64_t key, const void *value)
{
	struct btree_build_level *level = build->levels[i];
	unsigned value_size = level_value_size(build, i);
	unsigned max_entries = btree_max_entries(value_size);
	uint8_t *values = level->node + NODE_KEYS + (size_t)max_entries * 8;

	if (level->nr_entries == max_entries) {
		int r = push_up(build, i);

		if (r)
			return r;
	}
	put_le64(level->node + NODE_KEYS + (size_t)level->nr_entries * 8, key);
	memcpy(values + (size_t)level->nr_entries * value_size, value, value_size);
	level->nr_entries++;
	return PD_OK;
}

int btree_build_add(struct btree_build *build, uint64_t key, const void *value)
{
	return add_entry(build, 0, key, value);
}

int btree_build_finish(struct btree_build *build, uint64_t *root)
{
	int r = PD_OK;

	for (unsigned i = 0; !r && i + 1 < build->nr_levels; i++)
		r = push_up(build, i);
	return r ? r : write_node(build, build->nr_levels - 1, root);
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
