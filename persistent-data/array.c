/* SPDX-License-Identifier: MIT */
/* Walks arrays: the btree that lists the array blocks, and the array blocks in batches. */
#include "persistent-data/array.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

/* Array blocks that are read at once, in their order. */
struct turn {
	struct block_batch *batch;
	unsigned n;
	struct {
		uint64_t index;	     /* the how manieth array block it is, */
		uint64_t leaf_block; /* by the node that lists it */
	} orders[BLOCK_READER_TURN_MAX];
};

struct walk {
	struct block_reader *reader;
	const struct array *array;
	const struct array_visitor *visitor;
	uint64_t nr_array_blocks;
	uint64_t begin, last; /* the array blocks that are wanted, both included */
	uint64_t next;	      /* the array block whose turn it is */
	/*
	 * A ring of turns: those that are being read, the oldest first, and behind them the one that
	 * is being gathered.
	 */
	struct turn turns[BLOCK_READER_TURNS];
	unsigned nr_turns, turn_size, oldest, nr_begun;
	struct block_order gathered[BLOCK_READER_TURN_MAX];
};

/* Tells of a damage with which the array blocks [begin, end) are lost. */
static int lost(struct walk *walk, const struct damage *damage, uint64_t begin, uint64_t end)
{
	struct damage entries = *damage;

	entries.begin = array_first_entry(walk->array, begin);
	entries.end = array_first_entry(walk->array, end);
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

bool array_block_check(const struct array *array, uint64_t array_block, const uint8_t *data,
		       struct damage *damage)
{
	unsigned max_entries = array_max_entries(array->value_size);
	uint64_t nr_array_blocks = array_nr_blocks(array->nr_entries, array->value_size);
	uint32_t found = get_le32(data + ARRAY_VALUE_SIZE);

	if (found != array->value_size)
		return damage_is_number(damage, "wrong value size", found, array->value_size);
	found = get_le32(data + ARRAY_MAX_ENTRIES);
	if (found != max_entries)
		return damage_is_number(damage, "wrong maximum of entries", found, max_entries);
	found = get_le32(data + ARRAY_NR_ENTRIES);
	if (array_block + 1 >= nr_array_blocks && found <= max_entries)
		damage->real_end = array_block * max_entries + found;
	if (found != array_entries_of(array, array_block))
		return damage_is_number(damage, "wrong number of entries", found,
					array_entries_of(array, array_block));
	return true;
}

/* A block behind the last one that was expected tells where the array ends. data: NULL: unreadable. */
static void surplus_end(const struct array *array, uint64_t index, const uint8_t *data,
			struct damage *damage)
{
	if (data)
		array_block_check(array, index, data, damage);
	damage->ends_earlier = !damage->real_end;
	if (damage->ends_earlier)
		damage->real_end = (index + 1) * array_max_entries(array->value_size);
}

static int walk_block(struct walk *walk, const struct turn *turn, unsigned slot)
{
	uint64_t index = turn->orders[slot].index;
	uint64_t leaf_block = turn->orders[slot].leaf_block;
	struct damage damage;
	bool shared;
	const uint8_t *data = block_batch_get(turn->batch, slot, BLOCK_ARRAY, &shared, &damage);
	bool follows = index == walk->next;
	int r = skip_to(walk, index, leaf_block);

	damage.parent = leaf_block;
	if (r)
		return r;
	if (index >= walk->nr_array_blocks) {
		/* Keys that leave gaps behind them prove nothing about the array's size. */
		if (follows)
			surplus_end(walk->array, index, data, &damage);
		damage.has_numbers = false;
		damage_is(&damage, "surplus array block");
		return lost(walk, &damage, index, index + 1);
	}
	if (!data || !array_block_check(walk->array, index, data, &damage) ||
	    !block_reader_trusts(walk->reader, turn->batch, slot, &damage))
		return lost(walk, &damage, index, index + 1);
	walk->next = index + 1;
	return walk->visitor->entries(walk->visitor->context, array_first_entry(walk->array, index),
				      array_entries_of(walk->array, index), data + ARRAY_VALUES,
				      damage.block);
}

static struct turn *turn_at(struct walk *walk, unsigned i)
{
	return &walk->turns[(walk->oldest + i) % walk->nr_turns];
}

static int finish_oldest(struct walk *walk)
{
	struct turn *turn = turn_at(walk, 0);
	int r = PD_OK;

	block_batch_finish(walk->reader, turn->batch);
	walk->oldest = (walk->oldest + 1) % walk->nr_turns;
	walk->nr_begun--;
	for (unsigned i = 0; !r && i < turn->n; i++)
		r = walk_block(walk, turn, i);
	turn->n = 0;
	return r;
}

/* Begins to read what was gathered, and makes room to gather more. */
static int begin_gathered(struct walk *walk)
{
	struct turn *turn = turn_at(walk, walk->nr_begun);

	if (!turn->n)
		return PD_OK;
	block_batch_begin(walk->reader, turn->batch, walk->gathered, turn->n);
	walk->nr_begun++;
	return walk->nr_begun == walk->nr_turns ? finish_oldest(walk) : PD_OK;
}

static int finish_all(struct walk *walk)
{
	int r = begin_gathered(walk);

	while (!r && walk->nr_begun)
		r = finish_oldest(walk);
	return r;
}

static int gather(struct walk *walk, const struct btree_leaf *leaf, unsigned i)
{
	struct turn *turn = turn_at(walk, walk->nr_begun);

	turn->orders[turn->n].index = leaf->keys[i];
	turn->orders[turn->n].leaf_block = leaf->block;
	walk->gathered[turn->n++] =
		(struct block_order){get_le64(leaf->values + (size_t)i * 8), leaf->shared};
	return turn->n == walk->turn_size ? begin_gathered(walk) : PD_OK;
}

static int walk_leaf(void *context, const struct btree_leaf *leaf)
{
	struct walk *walk = context;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < leaf->nr_entries; i++)
		if (leaf->keys[i] >= walk->begin && leaf->keys[i] <= walk->last)
			r = gather(walk, leaf, i);
	return r;
}

static int leaf_lost(void *context, const struct damage *damage)
{
	struct walk *walk = context;
	uint64_t begin = damage->begin > walk->begin ? damage->begin : walk->begin;
	uint64_t end = damage->end <= walk->last ? damage->end : walk->last + 1;
	int r;

	if (begin >= end && damage->begin < damage->end)
		return PD_OK;
	r = finish_all(walk);
	if (!r)
		r = skip_to(walk, begin, damage->block);
	return r ? r : lost(walk, damage, begin, end);
}

static int open_turns(struct walk *walk)
{
	walk->nr_turns = block_reader_nr_turns(walk->reader);
	walk->turn_size = block_reader_turn_size(walk->reader);
	for (unsigned i = 0; i < walk->nr_turns; i++) {
		struct turn *turn = &walk->turns[i];

		turn->n = 0;
		turn->batch = block_reader_data(walk->reader, i);
		if (!turn->batch)
			return PD_ERR_NO_MEMORY;
	}
	return PD_OK;
}

/* What is still being read when the walk was stopped. */
static void close_turns(struct walk *walk)
{
	for (unsigned i = 0; i < walk->nr_begun; i++)
		block_batch_finish(walk->reader, turn_at(walk, i)->batch);
}

/* The array blocks that are wanted. */
static void clip(struct walk *walk)
{
	const struct array *array = walk->array;
	unsigned per_block = array_max_entries(array->value_size);

	walk->begin = array->begin / per_block;
	if (walk->begin >= walk->nr_array_blocks)
		walk->begin = walk->nr_array_blocks ? walk->nr_array_blocks - 1 : 0;
	walk->last = UINT64_MAX;
	if (array->end && array->end < array->nr_entries)
		walk->last = (array->end - 1) / per_block;
	walk->next = walk->begin;
}

int array_walk(struct block_reader *reader, const struct array *array,
	       const struct array_visitor *visitor)
{
	uint64_t nr_array_blocks = array_nr_blocks(array->nr_entries, array->value_size);
	struct btree tree = {array->root, sizeof(uint64_t), nr_array_blocks, array->parent,
			     array->parent_shared};
	struct walk walk;
	struct btree_visitor nodes = {&walk, walk_leaf, leaf_lost};
	int r;

	/* Not all of it is cleared: it is large, and most of it is not needed for a small array. */
	walk.reader = reader;
	walk.array = array;
	walk.visitor = visitor;
	walk.nr_array_blocks = nr_array_blocks;
	clip(&walk);
	walk.oldest = walk.nr_begun = 0;
	r = open_turns(&walk);
	if (!r)
		r = btree_walk(reader, &tree, &nodes);
	if (!r)
		r = finish_all(&walk);
	close_turns(&walk);
	if (nr_array_blocks > walk.last)
		nr_array_blocks = walk.last + 1;
	return r ? r : skip_to(&walk, nr_array_blocks, array->root);
}
