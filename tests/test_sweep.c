/* SPDX-License-Identifier: MIT */
/*
 * Sweeps: arrays whose blocks lie among each other's are read in few runs and handed on whole, and
 * nothing that is damaged passes.
 */
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/sweep.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

/*
 * Two arrays, each of a root that lists NR array blocks: these take turns on the device, and stand in
 * an order of their own.
 */
#define NR 250
#define FIRST 3 /* of the array blocks; their roots are blocks 1 and 2 */
#define NR_BLOCKS (FIRST + 2 * NR)
#define SIZE 8	/* bytes of a value */
#define LAST 17 /* entries of the last array blocks */

static struct device device;
static struct array arrays[2];
static uint8_t *met[2]; /* how often each entry was */

static uint64_t value_at(unsigned array, uint64_t i)
{
	return i * 2654435761u + array;
}

static uint64_t place(unsigned array, unsigned index)
{
	return FIRST + index * 77 % NR * 2 + array;
}

static void make_block(unsigned array, unsigned index)
{
	uint8_t *block = device_block(&device, place(array, index));
	uint64_t first = array_first_entry(&arrays[array], index);
	unsigned n = array_entries_of(&arrays[array], index);

	put_le32(block + ARRAY_MAX_ENTRIES, array_max_entries(SIZE));
	put_le32(block + ARRAY_NR_ENTRIES, n);
	put_le32(block + ARRAY_VALUE_SIZE, SIZE);
	for (unsigned i = 0; i < n; i++)
		put_le64(block + ARRAY_VALUES + (size_t)i * SIZE, value_at(array, first + i));
	block_seal(block, BLOCK_ARRAY, place(array, index));
}

static void make_array(unsigned array)
{
	uint8_t *root = device_block(&device, array + 1);

	arrays[array] = (struct array){.root = array + 1,
				       .value_size = SIZE,
				       .nr_entries = (NR - 1) * array_max_entries(SIZE) + LAST};
	met[array] = calloc(arrays[array].nr_entries, 1);
	cr_assert(met[array]);
	node_format(root, NODE_LEAF, SIZE);
	for (unsigned i = 0; i < NR; i++) {
		uint8_t value[SIZE];

		make_block(array, i);
		put_le64(value, place(array, i));
		node_insert(root, i, i, value);
	}
	block_seal(root, BLOCK_BTREE_NODE, array + 1);
}

static void set_up_arrays(void)
{
	device_open(&device, NR_BLOCKS);
	make_array(0);
	make_array(1);
	device_read_back(&device);
}

static void tear_down_arrays(void)
{
	for (unsigned i = 0; i < 2; i++)
		free(met[i]);
	device_close(&device);
}

TestSuite(sweep, .init = set_up_arrays, .fini = tear_down_arrays);

static int meet(void *context, const struct array *array, uint64_t tag, uint64_t first, unsigned n,
		const uint8_t *values)
{
	const int *result = context;

	cr_assert_lt(tag, 2);
	cr_assert_eq(array->root, arrays[tag].root);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(get_le64(values + (size_t)i * SIZE),
			     value_at((unsigned)tag, first + i));
		met[tag][first + i]++;
	}
	return *result;
}

/* result: what the visitor returns. */
static int sweep_all(int result)
{
	struct sweep_visitor visitor = {&result, meet};
	struct sweep *sweep;
	int r = sweep_open(&device.reader, &visitor, &sweep);

	cr_assert_eq(r, PD_OK);
	for (unsigned i = 0; !r && i < 2; i++)
		r = sweep_add(sweep, &arrays[i], i);
	if (!r)
		r = sweep_finish(sweep);
	sweep_close(sweep);
	return r;
}

Test(sweep, each_entry_once)
{
	cr_expect_eq(sweep_all(PD_OK), PD_OK);
	for (unsigned i = 0; i < 2; i++)
		for (uint64_t j = 0; j < arrays[i].nr_entries; j++)
			cr_assert_eq(met[i][j], 1, "array %u, entry %u", i, (unsigned)j);
	for (uint64_t block = 1; block < NR_BLOCKS; block++)
		cr_expect_eq(ref_counts_get(&device.refs, block), 1);
}

/* Both roots at once, and the array blocks in runs that fill a batch. */
Test(sweep, in_few_reads)
{
	struct failure failure = {.kinds = FAIL_READS, .left = 1000, .error = EIO};

	device.reader.io = failing_io_open(device.io, &failure);
	cr_expect_eq(sweep_all(PD_OK), PD_OK);
	block_io_close(device.reader.io);
	cr_expect_eq(1000 - atomic_load(&failure.left), 3);
}

Test(sweep, reads_that_fail)
{
	for (long nr_good = 0; nr_good < 3; nr_good++) {
		struct failure failure = {
			.kinds = FAIL_READS, .left = nr_good, .for_good = true, .error = EIO};

		device.reader.io = failing_io_open(device.io, &failure);
		device_read_back(&device);
		cr_expect_eq(sweep_all(PD_OK), PD_ERR_CORRUPT);
		block_io_close(device.reader.io);
	}
	device.reader.io = device.io;
}

Test(sweep, any_damage_ends_it)
{
	for (uint64_t block = 1; block < NR_BLOCKS; block++) {
		device_block(&device, block)[2000] ^= 1;
		device_read_back(&device);
		cr_expect_eq(sweep_all(PD_OK), PD_ERR_CORRUPT, "block %u", (unsigned)block);
		device_block(&device, block)[2000] ^= 1;
	}
}

static void expect_corrupt(const char *why)
{
	device_read_back(&device);
	cr_expect_eq(sweep_all(PD_OK), PD_ERR_CORRUPT, "%s", why);
}

Test(sweep, arrays_that_are_not_what_is_said)
{
	arrays[1].nr_entries++;
	expect_corrupt("an entry less");
	arrays[1].nr_entries += array_max_entries(SIZE) - LAST;
	expect_corrupt("a block less");
	arrays[1].nr_entries -= 2ull * array_max_entries(SIZE);
	expect_corrupt("a block more");
	tear_down_arrays();
	set_up_arrays();
	arrays[1].root = arrays[0].root;
	expect_corrupt("a root that is used twice");
	arrays[1].root = NR_BLOCKS;
	expect_corrupt("a root past the end");
	arrays[1].root = place(1, 0);
	expect_corrupt("a root that is no node");
}

Test(sweep, a_visitor_that_has_enough)
{
	cr_expect_eq(sweep_all(PD_ERR_NO_SPACE), PD_ERR_NO_SPACE);
}
