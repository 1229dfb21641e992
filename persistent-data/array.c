/* SPDX-License-Identifier: MIT */
/* Walks arrays: the btree that lists the array blocks, and the array blocks in batches. */
#include "persistent-data/array.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

struct walk {
	struct block_reader *reader;
	const struct array *array;
	const struct array_visitor *visitor;
	uint64_t nr_array_blocks;
	uint64_t next; /* the array block whose turn it is */
};

/* Of an array block past the end, whatever its number: the end. */
static uint64_t first_entry(const struct walk *walk, uint64_t array_block)
{
	if (array_block >= walk->nr_array_blocks)
		return walk->array->nr_entries;
	return array_block * array_max_entries(walk->array->value_size);
}

/* Tells of a damage with which the array blocks [begin, end) are lost. */
static int lost(struct walk *walk, const struct damage *damage, uint64_t begin, uint64_t end)
{
	struct damage entries = *damage;

	entries.begin = first_entry(walk, begin);
	entries.end = first_entry(walk, end);
	if (walk->next < end)
		walk->next = end;
	return walk->visitor->damage(walk->visitor->context, &entries);
}

/* Array block `index` is at hand: tells if some before it never were. */
static int skip_to(struct walk *walk, uint64_t index, uint64_t block)
{
	struct damage damage = {.block = block, .error = PD_ERR_CORRUPT};

	if (index <= walk->next)
		return PD_OK;
	damage_is_number(&damage, "array blocks are missing", index, walk->next);
	return lost(walk, &damage, walk->next, index);
}

static bool check_block(const struct walk *walk, uint64_t index, const uint8_t *data,
			struct damage *damage)
{
	unsigned value_size = walk->array->value_size;
	uint64_t nr_entries = first_entry(walk, index + 1) - first_entry(walk, index);
	uint32_t found = get_le32(data + ARRAY_VALUE_SIZE);

	if (found != value_size)
		return damage_is_number(damage, "wrong value size", found, value_size);
	found = get_le32(data + ARRAY_MAX_ENTRIES);
	if (found != array_max_entries(value_size))
		return damage_is_number(damage, "wrong maximum of entries", found,
					array_max_entries(value_size));
	found = get_le32(data + ARRAY_NR_ENTRIES);
	if (index + 1 >= walk->nr_array_blocks && found <= array_max_entries(value_size))
		damage->real_end = index * array_max_entries(value_size) + found;
	if (found != nr_entries)
		return damage_is_number(damage, "wrong number of entries", found, nr_entries);
	return true;
}

static int walk_block(struct walk *walk, uint64_t index, unsigned slot, uint64_t leaf_block)
{
	struct damage damage;
	bool shared;
	const uint8_t *data =
		block_batch_get(&walk->reader->data, slot, BLOCK_ARRAY, &shared, &damage);
	uint64_t first = first_entry(walk, index);
	int r = skip_to(walk, index, leaf_block);

	damage.parent = leaf_block;
	if (r)
		return r;
	if (index >= walk->nr_array_blocks) {
		/* Keys that leave gaps behind them prove nothing about the array's size. */
		if (data && index == walk->next)
			check_block(walk, index, data, &damage);
		damage.has_numbers = false;
		damage_is(&damage, "surplus array block");
		return lost(walk, &damage, index, index + 1);
	}
	if (!data || !check_block(walk, index, data, &damage) ||
	    !block_reader_trusts(walk->reader, &walk->reader->data, slot, &damage))
		return lost(walk, &damage, index, index + 1);
	walk->next = index + 1;
	return walk->visitor->entries(walk->visitor->context, first,
				      (unsigned)(first_entry(walk, index + 1) - first),
				      data + ARRAY_VALUES, damage.block);
}

static int walk_leaf(void *context, const struct btree_leaf *leaf)
{
	struct walk *walk = context;
	struct block_batch *batch = block_reader_data(walk->reader);
	uint64_t blocks[BTREE_MAX_FANOUT];
	int r = PD_OK;

	if (!batch)
		return PD_ERR_NO_MEMORY;
	get_le64_array(blocks, leaf->values, leaf->nr_entries);
	for (unsigned i = 0; !r && i < leaf->nr_entries; i++) {
		unsigned slot = i % batch->capacity;
		unsigned left = leaf->nr_entries - i;

		if (!slot)
			block_batch_read(walk->reader, batch, blocks + i,
					 left < batch->capacity ? left : batch->capacity,
					 leaf->shared);
		r = walk_block(walk, leaf->keys[i], slot, leaf->block);
	}
	return r;
}

static int leaf_lost(void *context, const struct damage *damage)
{
	struct walk *walk = context;
	struct damage node = *damage;
	int r = skip_to(walk, damage->begin, damage->block);

	node.real_end = 0; /* keys are not entries */
	return r ? r : lost(walk, &node, damage->begin, damage->end);
}

int array_walk(struct block_reader *reader, const struct array *array,
	       const struct array_visitor *visitor)
{
	uint64_t nr_array_blocks = array_nr_blocks(array->nr_entries, array->value_size);
	struct walk walk = {reader, array, visitor, nr_array_blocks, 0};
	struct btree tree = {array->root, sizeof(uint64_t), nr_array_blocks, array->parent,
			     array->parent_shared};
	struct btree_visitor nodes = {&walk, walk_leaf, leaf_lost};
	int r = btree_walk(reader, &tree, &nodes);

	return r ? r : skip_to(&walk, nr_array_blocks, array->root);
}
