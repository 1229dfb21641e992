/* SPDX-License-Identifier: MIT */
/* Blocks in batches: written one after another, read in any order, and what goes wrong with either. */
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define NR_BLOCKS 1000

static struct device device;

/* Every block but the first holds its number at byte 100. */
static void set_up(void)
{
	device_open(&device, NR_BLOCKS);
	for (uint64_t i = 1; i < NR_BLOCKS; i++) {
		uint8_t *block;

		cr_assert_eq(block_writer_open(&device.writer, &block), PD_OK);
		put_le64(block + 100, i);
		cr_assert_eq(block_writer_finish(&device.writer, BLOCK_ARRAY), i);
	}
	device_read_back(&device);
}

static void tear_down(void)
{
	device_close(&device);
}

TestSuite(block_reader, .init = set_up, .fini = tear_down);

static void read_blocks(const uint64_t *blocks, unsigned n)
{
	struct block_batch *batch = block_reader_data(&device.reader, 0);

	struct block_order orders[NR_BLOCKS];

	cr_assert(batch && n <= batch->capacity);
	for (unsigned i = 0; i < n; i++)
		orders[i] = (struct block_order){blocks[i], false};
	block_batch_read(&device.reader, batch, orders, n);
}

/* what NULL: block i of the set is sound. */
static void expect_block(unsigned i, uint64_t number, const char *what, int error)
{
	struct damage damage;
	bool shared;
	const uint8_t *block =
		block_batch_get(&device.reader.data[0], i, BLOCK_ARRAY, &shared, &damage);

	cr_expect_eq(damage.block, number);
	cr_expect_eq(!block, !!what, "block %u of the set: %s", i, damage.what);
	if (block)
		cr_expect_eq(get_le64(block + 100), number);
	else if (what)
		cr_expect(!strcmp(damage.what, what) && damage.error == error, "%s", damage.what);
}

#define READ(...)                                    \
	read_blocks((const uint64_t[]){__VA_ARGS__}, \
		    sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

Test(block_reader, any_order)
{
	static const uint64_t blocks[] = {7, 3, 999, 1, 2, 500, 8, 6};

	read_blocks(blocks, 8);
	for (unsigned i = 0; i < 8; i++)
		expect_block(i, blocks[i], NULL, 0);
	for (uint64_t block = 1; block < NR_BLOCKS; block++)
		cr_expect_eq(ref_counts_get(&device.refs, block),
			     block < 4 || (block > 5 && block < 9) || block == 999 || block == 500);
}

Test(block_reader, a_full_batch)
{
	struct block_batch *batch = block_reader_data(&device.reader, 0);
	uint64_t blocks[NR_BLOCKS];

	for (unsigned i = 0; i < batch->capacity; i++)
		blocks[i] = batch->capacity - i;
	read_blocks(blocks, batch->capacity);
	for (unsigned i = 0; i < batch->capacity; i++)
		expect_block(i, blocks[i], NULL, 0);
}

Test(block_reader, what_cannot_be_had)
{
	device_block(&device, 5)[100] ^= 1;
	READ(4, 5, 4, NR_BLOCKS, UINT64_MAX, 6);
	expect_block(0, 4, NULL, 0);
	expect_block(1, 5, "checksum does not match", PD_ERR_CORRUPT);
	expect_block(2, 4, "is used twice", PD_ERR_CORRUPT);
	expect_block(3, NR_BLOCKS, "lies outside the metadata device", PD_ERR_CORRUPT);
	expect_block(4, UINT64_MAX, "lies outside the metadata device", PD_ERR_CORRUPT);
	expect_block(5, 6, NULL, 0);
	READ(6, 7);
	expect_block(0, 6, "is used twice", PD_ERR_CORRUPT);
	expect_block(1, 7, NULL, 0);
}

/* Blocks of an earlier pass may be met again, and what lies below them is counted already. */
Test(block_reader, shared_with_an_earlier_pass)
{
	struct block_batch *batch = block_reader_data(&device.reader, 0);
	static const struct block_order orders[] = {
		{10, false}, {11, false}, {11, true}, {12, true}};
	struct damage damage;
	bool shared;

	block_batch_read(&device.reader, batch, orders, 2);
	ref_counts_begin_pass(&device.refs);
	block_batch_read(&device.reader, batch, orders, 1);
	cr_expect(block_batch_get(batch, 0, BLOCK_ARRAY, &shared, &damage) && shared);
	block_batch_read(&device.reader, batch, orders + 2, 2);
	cr_expect(block_batch_get(batch, 0, BLOCK_ARRAY, &shared, &damage) && shared);
	cr_expect(block_batch_get(batch, 1, BLOCK_ARRAY, &shared, &damage) && !shared);
	cr_expect_eq(ref_counts_get(&device.refs, 10), 2);
	cr_expect_eq(ref_counts_get(&device.refs, 11), 1, "its parent was counted before");
}

/* Reads through a device that fails; returns how many reads there were. */
static long read_failing(long nr_good, bool for_good, const uint64_t *blocks, unsigned n)
{
	struct failure failure = {
		.kinds = FAIL_READS, .left = nr_good, .for_good = for_good, .error = EIO};
	struct block_io *io = failing_io_open(device.io, &failure);

	device.reader.io = io;
	read_blocks(blocks, n);
	device.reader.io = device.io;
	block_io_close(io);
	return nr_good - atomic_load(&failure.left);
}

Test(block_reader, neighbours_are_read_at_once)
{
	static const uint64_t blocks[] = {20, 22, 21, 40, 24, 23, 41};

	cr_expect_eq(read_failing(1000, false, blocks, 7), 2);
}

/* Small gaps are read over, as long as a full batch has room for what lies in them. */
Test(block_reader, gaps_are_bridged)
{
	static const uint64_t near[] = {29, 20, 38, 39, 60, 69, 79};
	uint64_t odd[256];

	cr_expect_eq(read_failing(1000, false, near, 7), 3);
	for (unsigned i = 0; i < 7; i++)
		expect_block(i, near[i], NULL, 0);
	for (unsigned i = 0; i < 256; i++)
		odd[i] = 100 + 2 * i;
	cr_expect_eq(read_failing(1000, false, odd, 128), 1);
	ref_counts_begin_pass(&device.refs);
	cr_expect_eq(read_failing(1000, false, odd, 200), 200 - 56);
	for (unsigned i = 0; i < 200; i++)
		expect_block(i, odd[i], NULL, 0);
}

/* A run that fails is read block by block: no more is lost than must be. */
Test(block_reader, reads_that_fail)
{
	static const uint64_t blocks[] = {20, 21, 22};

	read_failing(0, false, blocks, 3);
	for (unsigned i = 0; i < 3; i++)
		expect_block(i, 20 + i, NULL, 0);
	ref_counts_begin_pass(&device.refs);
	read_failing(0, true, blocks, 3);
	for (unsigned i = 0; i < 3; i++)
		expect_block(i, 20 + i, "cannot be read", PD_ERR_IO);
}

/* Writing. */

static int write_blocks(struct block_writer *writer, uint64_t n)
{
	uint8_t *block;
	int r = PD_OK;

	for (uint64_t i = 0; !r && i < n; i++) {
		r = block_writer_open(writer, &block);
		if (!r)
			block_writer_finish(writer, BLOCK_BTREE_NODE);
	}
	return r ? r : block_writer_flush(writer);
}

/* Each block once, in order, in few writes, and a flush; none is block 0. */
Test(block_writer, large_runs_in_order)
{
	struct block_writer writer;
	struct io_log log;
	struct block_io *io;
	uint64_t next = 1;

	device_open(&device, NR_BLOCKS);
	io_log_init(&log);
	io = io_log_open(&log, 0, device.io);
	cr_assert_eq(block_writer_init(&writer, io), PD_OK);
	cr_expect_eq(write_blocks(&writer, NR_BLOCKS - 1), PD_OK);
	for (size_t i = 0; i + 1 < log.nr; i++) {
		cr_expect_eq(log.records[i].first, next);
		next += log.records[i].count;
	}
	cr_expect_eq(next, NR_BLOCKS);
	cr_expect(log.nr < NR_BLOCKS / 50 && !log.records[log.nr - 1].count);
	for (uint64_t i = 1; i < NR_BLOCKS; i++)
		cr_expect_null(block_verify(device_block(&device, i), BLOCK_BTREE_NODE, i));
	block_writer_destroy(&writer);
	block_io_close(io);
	io_log_free(&log);
	tear_down();
}

/* What was in a block before must not shine through the next one. */
Test(block_writer, blocks_begin_as_zeroes)
{
	static const uint8_t zeroes[METADATA_BLOCK_SIZE];
	uint8_t *block;

	device_open(&device, NR_BLOCKS);
	for (unsigned i = 1; i < NR_BLOCKS; i++) {
		cr_assert_eq(block_writer_open(&device.writer, &block), PD_OK);
		cr_assert_arr_eq(block, zeroes, sizeof(zeroes));
		memset(block, 0xff, METADATA_BLOCK_SIZE);
		block_writer_finish(&device.writer, BLOCK_ARRAY);
	}
	cr_expect_eq(block_writer_open(&device.writer, &block), PD_ERR_NO_SPACE);
	tear_down();
}

/* Whichever write or flush fails, it is told. */
Test(block_writer, writes_that_fail)
{
	bool failed = true;

	for (long nr_good = 0; failed; nr_good++) {
		struct failure failure = {
			.kinds = FAIL_WRITES | FAIL_FLUSHES, .left = nr_good, .error = ENOSPC};
		struct block_writer writer;
		struct block_io *io;

		device_open(&device, NR_BLOCKS);
		io = failing_io_open(device.io, &failure);
		cr_assert_eq(block_writer_init(&writer, io), PD_OK);
		errno = 0;
		cr_expect_eq(write_blocks(&writer, 600),
			     failure_happened(&failure) ? PD_ERR_IO : PD_OK, "after %ld", nr_good);
		failed = failure_happened(&failure);
		cr_expect_eq(errno, failed ? ENOSPC : 0);
		block_writer_destroy(&writer);
		block_io_close(io);
		tear_down();
		cr_assert_lt(nr_good, 100);
	}
}
