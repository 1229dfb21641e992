/* SPDX-License-Identifier: MIT */
/* Walks many arrays at once, level by level. */
#include "persistent-data/sweep.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

/* Arrays that are walked at once, array blocks that they may have, nodes that may be on a level. */
#define ARRAYS_MAX 4096
#define ARRAY_BLOCKS_MAX (1 << 20)
#define NODES_MAX 65536
/* When so many array blocks are known they are read, */
#define BLOCKS_MAX 393216
/* which is looked at after so many nodes: these list 65 thousand at most. */
#define NODES_AT_ONCE 256
#define NO_DEPTH BTREE_MAX_DEPTH

/* A block to be read. */
struct item {
	uint32_t block;
	uint32_t begin, last; /* keys that its parent allows it; begin is an array block's index */
	uint32_t array : 31;
	uint32_t parent_shared : 1;
};

struct items {
	struct item *at;
	size_t nr, room;
};

struct swept {
	struct array array;
	uint64_t tag;
	unsigned leaf_depth; /* of the first leaf met */
	uint64_t nr_found;   /* array blocks that its leaves list */
};

struct sweep {
	struct block_reader *reader;
	struct sweep_visitor visitor;
	struct swept arrays[ARRAYS_MAX];
	unsigned nr_arrays;
	uint64_t nr_array_blocks;  /* of all of them */
	unsigned depth;		   /* of the level at hand, */
	struct items level, below; /* and its nodes, and those of the next one */
	struct items blocks;	   /* array blocks that leaves have named so far */
};

/* Items that are read at once. */
struct turn {
	struct block_batch *batch;
	const struct item *items;
	unsigned n;
};

static int items_add(struct items *items, const struct item *item)
{
	if (items->nr == items->room) {
		size_t room = items->room ? 2 * items->room : 64;
		struct item *more = realloc(items->at, room * sizeof(*more));

		if (!more)
			return PD_ERR_NO_MEMORY;
		items->at = more;
		items->room = room;
	}
	items->at[items->nr++] = *item;
	return PD_OK;
}

static bool in_order(const struct items *items)
{
	for (size_t i = 1; i < items->nr; i++)
		if (items->at[i].block < items->at[i - 1].block)
			return false;
	return true;
}

/* One pass of a radix sort, by a digit of eleven bits. */
static void sort_by_digit(const struct item *from, struct item *to, size_t n, unsigned shift)
{
	size_t begin[2048] = {0};
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		begin[from[i].block >> shift & 2047]++;
	for (unsigned i = 0; i < 2048; i++) {
		size_t nr = begin[i];

		begin[i] = sum;
		sum += nr;
	}
	for (size_t i = 0; i < n; i++)
		to[begin[from[i].block >> shift & 2047]++] = from[i];
}

/* By block: no number of a block in use has more than two of these digits. */
static int sort(struct items *items)
{
	struct item *other;

	_Static_assert(METADATA_MAX_BLOCKS <= 1 << 22, "block numbers have two digits");
	if (in_order(items))
		return PD_OK;
	other = malloc(items->nr * sizeof(*other));
	if (!other)
		return PD_ERR_NO_MEMORY;
	sort_by_digit(items->at, other, items->nr, 0);
	sort_by_digit(other, items->at, items->nr, 11);
	free(other);
	return PD_OK;
}

/* How many items from i on fit so many blocks, together with what lies in the gaps between them. */
static unsigned items_that_fit(const struct items *items, size_t first, uint64_t room)
{
	size_t i = first;

	for (; i < items->nr; i++) {
		uint64_t step = i > first ? items->at[i].block - items->at[i - 1].block : 1;
		uint64_t wanted = step > 1 + BLOCK_READER_BRIDGE ? 1 : step;

		if (wanted > room)
			break;
		room -= wanted;
	}
	return (unsigned)(i - first);
}

static void begin_turn(struct sweep *sweep, struct turn *turn, const struct items *items,
		       size_t first)
{
	struct block_order orders[BLOCK_READER_TURN_MAX];

	turn->items = items->at + first;
	turn->n = items_that_fit(items, first, block_reader_turn_size(sweep->reader));
	for (unsigned i = 0; i < turn->n; i++)
		orders[i] =
			(struct block_order){turn->items[i].block, turn->items[i].parent_shared};
	block_batch_begin(sweep->reader, turn->batch, orders, turn->n);
}

typedef int (*take_fn)(struct sweep *sweep, const struct item *item, const uint8_t *data,
		       bool shared);

static int take_turn(struct sweep *sweep, const struct turn *turn, enum block_type type,
		     take_fn take)
{
	int r = PD_OK;

	for (unsigned i = 0; !r && i < turn->n; i++) {
		struct damage damage;
		bool shared;
		const uint8_t *data = block_batch_get(turn->batch, i, type, &shared, &damage);

		r = data ? take(sweep, &turn->items[i], data, shared) : PD_ERR_CORRUPT;
	}
	return r;
}

/* Reads all items, in order of block, and has them taken one by one. */
static int read_items(struct sweep *sweep, struct items *items, enum block_type type, take_fn take)
{
	unsigned nr_turns = block_reader_nr_turns(sweep->reader);
	struct turn turns[BLOCK_READER_TURNS];
	unsigned begun = 0, finished = 0;
	size_t next = 0;
	int r = sort(items);

	for (unsigned i = 0; i < nr_turns; i++) {
		turns[i].batch = block_reader_data(sweep->reader, i);
		if (!turns[i].batch)
			return PD_ERR_NO_MEMORY;
	}
	while ((!r && next < items->nr) || finished < begun) {
		struct turn *turn = &turns[begun % nr_turns];

		if (!r && next < items->nr && begun - finished < nr_turns) {
			begin_turn(sweep, turn, items, next);
			next += turn->n;
			begun++;
			continue;
		}
		turn = &turns[finished++ % nr_turns];
		block_batch_finish(sweep->reader, turn->batch);
		if (!r)
			r = take_turn(sweep, turn, type, take);
	}
	items->nr = 0;
	return r;
}

static int take_block(struct sweep *sweep, const struct item *item, const uint8_t *data,
		      bool shared)
{
	const struct swept *swept = &sweep->arrays[item->array];
	struct damage damage;

	(void)shared;
	if (!array_block_check(&swept->array, item->begin, data, &damage))
		return PD_ERR_CORRUPT;
	return sweep->visitor.entries(sweep->visitor.context, &swept->array, swept->tag,
				      array_first_entry(&swept->array, item->begin),
				      array_entries_of(&swept->array, item->begin),
				      data + ARRAY_VALUES);
}

static int add_children(struct sweep *sweep, const struct item *item, const struct btree_node *node,
			bool shared)
{
	struct items *items = node->leaf ? &sweep->blocks : &sweep->below;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < node->nr_entries; i++) {
		uint64_t block = get_le64(node->values + (size_t)i * 8);
		struct item child = {.block = (uint32_t)block,
				     .begin = (uint32_t)node->keys[i],
				     .last = (uint32_t)btree_child_last(node, i),
				     .array = item->array & 0x7fffffff,
				     .parent_shared = shared};

		r = block < sweep->reader->refs->nr_blocks ? items_add(items, &child)
							   : PD_ERR_CORRUPT;
	}
	return r;
}

static int take_node(struct sweep *sweep, const struct item *item, const uint8_t *data, bool shared)
{
	struct swept *swept = &sweep->arrays[item->array];
	struct btree_node node = {.depth = sweep->depth, .begin = item->begin, .last = item->last};
	struct damage damage;

	if (!btree_node_decode(&node, data, sizeof(uint64_t), &damage))
		return PD_ERR_CORRUPT;
	if (node.leaf && swept->leaf_depth == NO_DEPTH)
		swept->leaf_depth = sweep->depth;
	if (node.leaf && swept->leaf_depth != sweep->depth)
		return PD_ERR_CORRUPT;
	swept->nr_found += node.leaf ? node.nr_entries : 0;
	/* No sound tree has as many nodes for as few array blocks. */
	if (sweep->below.nr > NODES_MAX)
		return PD_ERR_CORRUPT;
	return add_children(sweep, item, &node, shared);
}

static int read_blocks(struct sweep *sweep)
{
	return read_items(sweep, &sweep->blocks, BLOCK_ARRAY, take_block);
}

/* A level's nodes, in portions; array blocks that they name are read when there are many. */
static int read_level(struct sweep *sweep)
{
	int r = sort(&sweep->level);

	for (size_t i = 0; !r && i < sweep->level.nr; i += NODES_AT_ONCE) {
		size_t left = sweep->level.nr - i;
		struct items portion = {.at = sweep->level.at + i,
					.nr = left < NODES_AT_ONCE ? left : NODES_AT_ONCE};

		r = read_items(sweep, &portion, BLOCK_BTREE_NODE, take_node);
		if (!r && sweep->blocks.nr >= BLOCKS_MAX)
			r = read_blocks(sweep);
	}
	return r;
}

/* Keys ascend within the bounds of a sound tree: if as many are there as should be, all are. */
static bool all_found(const struct sweep *sweep)
{
	for (unsigned i = 0; i < sweep->nr_arrays; i++) {
		const struct array *array = &sweep->arrays[i].array;

		if (sweep->arrays[i].nr_found !=
		    array_nr_blocks(array->nr_entries, array->value_size))
			return false;
	}
	return true;
}

int sweep_finish(struct sweep *sweep)
{
	int r = PD_OK;

	for (sweep->depth = 0; !r && sweep->level.nr; sweep->depth++) {
		struct items level = sweep->level;

		r = read_level(sweep);
		sweep->level = sweep->below;
		sweep->below = level;
		sweep->below.nr = 0;
	}
	if (!r)
		r = read_blocks(sweep);
	if (!r && !all_found(sweep))
		r = PD_ERR_CORRUPT;
	sweep->nr_arrays = 0;
	sweep->nr_array_blocks = 0;
	return r;
}

int sweep_add(struct sweep *sweep, const struct array *array, uint64_t tag)
{
	uint64_t nr_blocks = array_nr_blocks(array->nr_entries, array->value_size);
	struct item root = {.block = (uint32_t)array->root,
			    .last = (uint32_t)(nr_blocks ? nr_blocks - 1 : 0),
			    .parent_shared = array->parent_shared};
	int r = PD_OK;

	if (sweep->nr_arrays == ARRAYS_MAX || sweep->nr_array_blocks > ARRAY_BLOCKS_MAX)
		r = sweep_finish(sweep);
	if (!r && array->root >= sweep->reader->refs->nr_blocks)
		r = PD_ERR_CORRUPT;
	if (r)
		return r;
	sweep->nr_array_blocks += nr_blocks;
	root.array = sweep->nr_arrays & 0x7fffffff;
	sweep->arrays[sweep->nr_arrays++] =
		(struct swept){.array = *array, .tag = tag, .leaf_depth = NO_DEPTH};
	return items_add(&sweep->level, &root);
}

int sweep_open(struct block_reader *reader, const struct sweep_visitor *visitor,
	       struct sweep **result)
{
	/* calloc: what a few arrays do not need of it costs no memory. */
	struct sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return PD_ERR_NO_MEMORY;
	sweep->reader = reader;
	sweep->visitor = *visitor;
	*result = sweep;
	return PD_OK;
}

void sweep_close(struct sweep *sweep)
{
	if (!sweep)
		return;
	free(sweep->level.at);
	free(sweep->below.at);
	free(sweep->blocks.at);
	free(sweep);
}
