/* SPDX-License-Identifier: MIT */
/*
 * Sweeps over more than is walked or read at once: arrays on a device that has no memory behind it, but
 * makes its blocks when they are read.
 */
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/sweep.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 4 /* bytes of a value */

struct made {
	struct block_io io;
	void (*make)(uint64_t block, uint8_t *data);
	uint64_t nr_read; /* blocks */
};

static int made_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	struct made *made = (struct made *)io;

	memset(buffer, 0, (size_t)count * METADATA_BLOCK_SIZE);
	for (uint32_t i = 0; i < count; i++)
		made->make(first + i, (uint8_t *)buffer + (size_t)i * METADATA_BLOCK_SIZE);
	made->nr_read += count;
	return PD_OK;
}

static const struct block_io_ops ops = {.read = made_read};

static void make_array_block(uint64_t block, uint8_t *data, unsigned nr_entries)
{
	put_le32(data + ARRAY_MAX_ENTRIES, array_max_entries(SIZE));
	put_le32(data + ARRAY_NR_ENTRIES, nr_entries);
	put_le32(data + ARRAY_VALUE_SIZE, SIZE);
	block_seal(data, BLOCK_ARRAY, block);
}

/* A node whose keys are those from first on, step apart, and whose children those that child_of names. */
static void make_node(uint64_t block, uint8_t *data, unsigned flags, uint64_t first, uint64_t step,
		      uint64_t n, uint64_t (*child_of)(uint64_t i))
{
	node_format(data, flags, sizeof(uint64_t));
	for (unsigned i = 0; i < n; i++) {
		uint8_t value[8];

		put_le64(value, child_of(first + i));
		node_insert(data, i, (first + i) * step, value);
	}
	block_seal(data, BLOCK_BTREE_NODE, block);
}

/* What was handed on: how often, array by array or block by block. */
static uint8_t *met;

static int meet(void *context, const struct array *array, uint64_t tag, uint64_t first, unsigned n,
		const uint8_t *values)
{
	(void)context;
	(void)values;
	cr_assert_eq(first % array_max_entries(SIZE), 0);
	cr_assert_eq(n, array_entries_of(array, first / array_max_entries(SIZE)));
	met[tag + first / array_max_entries(SIZE)]++;
	return PD_OK;
}

static int sweep_arrays(struct made *made, uint64_t nr_arrays,
			void (*get)(uint64_t, struct array *))
{
	struct sweep_visitor visitor = {NULL, meet};
	struct block_reader reader;
	struct ref_counts refs;
	struct sweep *sweep;
	int r = PD_OK;

	cr_assert_eq(ref_counts_init(&refs, made->io.nr_blocks), PD_OK);
	ref_counts_begin_pass(&refs);
	block_reader_init(&reader, &made->io, &refs);
	cr_assert_eq(sweep_open(&reader, &visitor, &sweep), PD_OK);
	for (uint64_t i = 0; !r && i < nr_arrays; i++) {
		struct array array;

		get(i, &array);
		r = sweep_add(sweep, &array, i);
	}
	if (!r)
		r = sweep_finish(sweep);
	sweep_close(sweep);
	block_reader_destroy(&reader);
	ref_counts_destroy(&refs);
	return r;
}

/*
 * One array of NR blocks in an order of their own: their leaves follow them, then the nodes above
 * these, and last the root.
 */
#define NR 500009u /* a prime number, and more than are read at once */
#define FANOUT 252
#define NR_LEAVES ((NR + FANOUT - 1) / FANOUT)
#define NR_INTERNAL ((NR_LEAVES + FANOUT - 1) / FANOUT)
#define FIRST_LEAF (1 + NR)
#define FIRST_INTERNAL (FIRST_LEAF + NR_LEAVES)
#define ROOT (FIRST_INTERNAL + NR_INTERNAL)
#define STRIDE 77777u
#define LAST 5 /* entries of the last block */

static uint64_t stride_back; /* undoes STRIDE */

static uint64_t block_of(uint64_t i)
{
	return 1 + i * STRIDE % NR;
}

static uint64_t leaf_of(uint64_t i)
{
	return FIRST_LEAF + i;
}

static uint64_t internal_of(uint64_t i)
{
	return FIRST_INTERNAL + i;
}

static uint64_t children(uint64_t node, uint64_t nr_below)
{
	uint64_t left = nr_below - node * FANOUT;

	return left < FANOUT ? left : FANOUT;
}

static void make_large(uint64_t block, uint8_t *data)
{
	uint64_t i;

	if (block < FIRST_LEAF) {
		i = (block - 1) * stride_back % NR;
		make_array_block(block, data, i == NR - 1 ? LAST : array_max_entries(SIZE));
	} else if (block < FIRST_INTERNAL) {
		i = block - FIRST_LEAF;
		make_node(block, data, NODE_LEAF, i * FANOUT, 1, children(i, NR), block_of);
	} else if (block < ROOT) {
		i = block - FIRST_INTERNAL;
		make_node(block, data, NODE_INTERNAL, i * FANOUT, FANOUT, children(i, NR_LEAVES),
			  leaf_of);
	} else {
		make_node(block, data, NODE_INTERNAL, 0, FANOUT * FANOUT, NR_INTERNAL, internal_of);
	}
}

static void get_large(uint64_t i, struct array *array)
{
	(void)i;
	*array = (struct array){.root = ROOT,
				.value_size = SIZE,
				.nr_entries = (NR - 1) * array_max_entries(SIZE) + LAST};
}

Test(sweep_large, an_array_of_many_blocks)
{
	struct made made = {{&ops, ROOT + 1, 0}, make_large, 0};

	for (stride_back = 1; stride_back * STRIDE % NR != 1;)
		stride_back++;
	met = calloc(NR, 1);
	cr_assert(met);
	cr_expect_eq(sweep_arrays(&made, 1, get_large), PD_OK);
	for (unsigned i = 0; i < NR; i++)
		cr_assert_eq(met[i], 1);
	/* Not even when the order is as bad is much read that is not needed. */
	cr_expect_lt(made.nr_read, ROOT + NR);
	free(met);
}

/* Arrays of one block each, behind its root. */
#define NR_ARRAYS 10000u

static uint64_t next_block;

static uint64_t behind(uint64_t i)
{
	return next_block + i;
}

static void make_small(uint64_t block, uint8_t *data)
{
	next_block = block + 1;
	if (block % 2)
		make_node(block, data, NODE_LEAF, 0, 1, 1, behind);
	else
		make_array_block(block, data, LAST);
}

static void get_small(uint64_t i, struct array *array)
{
	*array = (struct array){.root = 1 + 2 * i, .value_size = SIZE, .nr_entries = LAST};
}

Test(sweep_large, many_arrays)
{
	struct made made = {{&ops, 1 + 2 * NR_ARRAYS, 0}, make_small, 0};

	met = calloc(NR_ARRAYS, 1);
	cr_assert(met);
	cr_expect_eq(sweep_arrays(&made, NR_ARRAYS, get_small), PD_OK);
	for (unsigned i = 0; i < NR_ARRAYS; i++)
		cr_assert_eq(met[i], 1);
	free(met);
}

/*
 * A tree of which the third level's nodes name only more nodes, one for each array block there can be:
 * all in order, but so many that they are not even gathered.
 */
#define NR_SECOND 252u
#define NR_THIRD (252u * 252u)
#define WIDTH 63u /* keys of a node of the third level */
#define FIRST_SECOND 2u
#define FIRST_THIRD (FIRST_SECOND + NR_SECOND)
#define FIRST_FOURTH (FIRST_THIRD + NR_THIRD)

static uint64_t second_of(uint64_t i)
{
	return FIRST_SECOND + i;
}

static uint64_t third_of(uint64_t i)
{
	return FIRST_THIRD + i;
}

static uint64_t fourth_of(uint64_t i)
{
	return FIRST_FOURTH + i;
}

static void make_deep(uint64_t block, uint8_t *data)
{
	if (block < FIRST_SECOND)
		make_node(block, data, NODE_INTERNAL, 0, WIDTH * 252, 252, second_of);
	else if (block < FIRST_THIRD)
		make_node(block, data, NODE_INTERNAL, (block - FIRST_SECOND) * 252, WIDTH, 252,
			  third_of);
	else
		make_node(block, data, NODE_INTERNAL, (block - FIRST_THIRD) * WIDTH, 1, WIDTH,
			  fourth_of);
}

static void get_deep(uint64_t i, struct array *array)
{
	(void)i;
	*array = (struct array){
		.root = 1, .value_size = SIZE, .nr_entries = (uint64_t)NR_THIRD * WIDTH * 1018};
}

Test(sweep_large, more_nodes_than_a_tree_needs)
{
	struct made made = {{&ops, FIRST_FOURTH + NR_THIRD * WIDTH, 0}, make_deep, 0};

	cr_expect_eq(sweep_arrays(&made, 1, get_deep), PD_ERR_CORRUPT);
	cr_expect_lt(made.nr_read, 5000, "%u blocks read", (unsigned)made.nr_read);
}
