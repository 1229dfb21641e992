/* SPDX-License-Identifier: MIT */
/* Reads that are under way while something else is done, and the threads that do such things. */
#include "persistent-data/array_build.h"
#include "persistent-data/block_reader.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/worker.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_BLOCKS 3000
#define NR_ENTRIES 1000000u
#define RUN 32 /* blocks: enough to be handed to another thread */

/* A file with an array of numbers, of which as many pieces are read at once as can be. */
static FILE *file;
static struct block_io *io;
static struct ref_counts refs;
static struct block_reader reader;
static uint64_t root;

static void build(void)
{
	struct block_writer writer;
	struct array_build array;

	cr_assert_eq(block_writer_init(&writer, io), PD_OK);
	array_build_init(&array, &writer, sizeof(uint32_t));
	for (uint32_t i = 0; i < NR_ENTRIES; i++)
		cr_assert_eq(array_build_add(&array, &i, 1), PD_OK);
	cr_assert_eq(array_build_finish(&array, &root), PD_OK);
	cr_assert_eq(block_writer_flush(&writer), PD_OK);
	block_writer_destroy(&writer);
}

static void set_up(void)
{
	file = tmpfile();
	cr_assert(file && !ftruncate(fileno(file), NR_BLOCKS * METADATA_BLOCK_SIZE));
	cr_assert_eq(block_io_open_fd(fileno(file), &io), PD_OK);
	io->nr_ahead = BLOCK_IO_AHEAD_MAX;
	build();
	cr_assert_eq(ref_counts_init(&refs, NR_BLOCKS), PD_OK);
	block_reader_init(&reader, io, &refs);
}

static void tear_down(void)
{
	block_reader_destroy(&reader);
	ref_counts_destroy(&refs);
	block_io_close(io);
	fclose(file);
}

TestSuite(read_ahead, .init = set_up, .fini = tear_down);

Test(read_ahead, in_any_order)
{
	static uint8_t expected[RUN * METADATA_BLOCK_SIZE];
	static uint32_t salts[20][RUN], expected_salts[RUN];
	struct block_read reads[20];

	for (unsigned i = 0; i < 20; i++) {
		reads[i] = (struct block_read){(i * 7) % 20 * RUN, i % 3 ? RUN : 1,
					       calloc(RUN, METADATA_BLOCK_SIZE),
					       i % 4 ? salts[i] : NULL};
		cr_assert(reads[i].buffer);
		block_io_begin(io, &reads[i]);
	}
	for (unsigned k = 0; k < 20; k++) {
		struct block_read *read = &reads[k * 13 % 20];

		cr_expect_eq(block_io_finish(io, read), PD_OK);
		cr_assert_eq(block_io_read(io, read->first, read->count, expected), PD_OK);
		cr_expect(
			!memcmp(read->buffer, expected, (size_t)read->count * METADATA_BLOCK_SIZE));
		block_salts(expected, read->count, expected_salts);
		cr_expect(!read->salts ||
			  !memcmp(read->salts, expected_salts, read->count * sizeof(uint32_t)));
		free(read->buffer);
	}
}

Test(read_ahead, not_within_the_device)
{
	uint8_t buffer[METADATA_BLOCK_SIZE];
	struct block_read read = {.first = NR_BLOCKS, .count = 1, .buffer = buffer};

	block_io_begin(io, &read);
	errno = 0;
	cr_expect_eq(block_io_finish(io, &read), PD_ERR_IO);
	cr_expect_eq(errno, EINVAL);
}

/* The file becomes shorter while it is open: exactly the blocks that are gone cannot be read. */
Test(read_ahead, an_error_is_told_of_its_blocks)
{
	uint64_t end = 500 + 77;
	struct block_order orders[256];
	struct block_batch *batch = block_reader_data(&reader, 0);

	cr_assert_eq(ftruncate(fileno(file), (off_t)(end * METADATA_BLOCK_SIZE)), 0);
	/* Runs of 64 blocks with gaps between them, one of which runs past the end. */
	for (uint64_t i = 0; i < 256; i++)
		orders[i] = (struct block_order){400 + i + i / 64, false};
	block_batch_begin(&reader, batch, orders, 256);
	block_batch_finish(&reader, batch);
	for (unsigned i = 0; i < 256; i++) {
		struct damage damage;
		bool shared;
		const uint8_t *data = block_batch_get(batch, i, BLOCK_ARRAY, &shared, &damage);

		cr_expect_eq(data == NULL, orders[i].block >= end, "block %u",
			     (unsigned)orders[i].block);
		cr_expect(data || damage.error == PD_ERR_IO);
	}
}

struct met {
	uint64_t next;
	uint64_t nr_lost;
	uint64_t stop_at;
};

static int entries(void *context, uint64_t first, unsigned n, const uint8_t *values, uint64_t block)
{
	struct met *met = context;

	(void)block;
	cr_assert_eq(first, met->next);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(get_le32(values + (size_t)i * 4), first + i);
	met->next += n;
	return met->next >= met->stop_at ? PD_ERR_CLOSED : PD_OK;
}

static int lost(void *context, const struct damage *damage)
{
	struct met *met = context;

	cr_assert_eq(damage->begin, met->next);
	met->next = damage->end;
	met->nr_lost += damage->end - damage->begin;
	return PD_OK;
}

static int walk(struct met *met)
{
	struct array array = {
		.root = root, .value_size = sizeof(uint32_t), .nr_entries = NR_ENTRIES};
	struct array_visitor visitor = {met, entries, lost};

	return array_walk(&reader, &array, &visitor);
}

Test(read_ahead, an_array_comes_in_order)
{
	struct met met = {.stop_at = UINT64_MAX};

	cr_expect_eq(walk(&met), PD_OK);
	cr_expect(met.next == NR_ENTRIES && !met.nr_lost);
}

Test(read_ahead, damages_come_in_their_place)
{
	struct met met = {.stop_at = UINT64_MAX};
	uint8_t block[METADATA_BLOCK_SIZE] = "spoilt";

	/* Array blocks, and the btree leaf behind them that lists the second 252. */
	for (unsigned i = 1; i < 983; i += 100)
		cr_assert_eq(block_io_write(io, i, 1, block), PD_OK);
	cr_assert_eq(block_io_write(io, 983 + 1, 1, block), PD_OK);
	cr_expect_eq(walk(&met), PD_OK);
	cr_expect_eq(met.next, NR_ENTRIES);
	/* Of the ten array blocks three are in the lost leaf anyway. */
	cr_expect_eq(met.nr_lost, (252 + 10 - 3) * 1018, "%u lost", (unsigned)met.nr_lost);
}

/* Array blocks that are used elsewhere too, whichever of the batches under way they come in. */
Test(read_ahead, second_looks_are_for_the_right_blocks)
{
	struct met met = {.stop_at = UINT64_MAX};

	refs.looks_left = 100;
	for (unsigned i = 1; i < 983; i += 100)
		ref_counts_add(&refs, i, false);
	cr_expect_eq(walk(&met), PD_OK);
	cr_expect_eq(met.next, NR_ENTRIES);
	cr_expect_eq(met.nr_lost, 10 * 1018, "%u lost", (unsigned)met.nr_lost);
}

Test(read_ahead, stopped_in_the_middle)
{
	struct met met = {.stop_at = NR_ENTRIES / 3};

	cr_expect_eq(walk(&met), PD_ERR_CLOSED);
	/* And the reader is as good as new, as far as another pass goes. */
	ref_counts_begin_pass(&refs);
	ref_counts_begin_pass(&refs);
	met = (struct met){.stop_at = UINT64_MAX};
	cr_expect_eq(walk(&met), PD_OK);
	cr_expect_eq(met.next, NR_ENTRIES);
}

/* Workers. */

struct tally {
	unsigned nr_done, nr_under_way;
	unsigned fails; /* the job that does, by its number; 0: none */
};

static int count_job(void *context)
{
	struct tally *tally = context;

	cr_assert_eq(tally->nr_under_way++, 0, "two at a time");
	tally->nr_done++;
	tally->nr_under_way--;
	return tally->nr_done == tally->fails ? PD_ERR_IO : PD_OK;
}

Test(worker, each_job_is_done_once)
{
	struct worker *worker = worker_open();
	struct tally tally = {0};

	cr_assert(worker);
	cr_expect_eq(worker_wait(worker), PD_OK);
	for (unsigned i = 1; i <= 1000; i++) {
		cr_expect_eq(worker_start(worker, count_job, &tally), PD_OK);
		if (i % 3 == 0)
			usleep(20); /* so that the thread gets there first, now and then */
		cr_expect_eq(worker_wait(worker), PD_OK);
		cr_assert_eq(tally.nr_done, i);
	}
	cr_expect_eq(worker_wait(worker), PD_OK);
	worker_close(worker);
}

/* Each job has its own place, which may be used anew when the job behind it has been started. */
Test(worker, jobs_wait_in_a_row)
{
	struct worker *worker = worker_open();
	struct tally tallies[2] = {{0}, {0}};

	cr_assert(worker);
	for (unsigned i = 0; i < 1000; i++) {
		cr_expect_eq(worker_start(worker, count_job, &tallies[i % 2]), PD_OK);
		if (i % 3 == 0)
			usleep(20);
		cr_assert_eq(tallies[1 - i % 2].nr_done, (i + 1) / 2);
	}
	cr_expect_eq(worker_wait(worker), PD_OK);
	cr_expect_eq(tallies[0].nr_done + tallies[1].nr_done, 1000);
	worker_close(worker);
}

Test(worker, none_is_done_behind_one_that_failed)
{
	struct worker *worker = worker_open();
	struct tally tally = {.fails = 7};
	int r = PD_OK;

	cr_assert(worker);
	for (unsigned i = 0; i < 20; i++)
		r = worker_start(worker, count_job, &tally);
	cr_expect_eq(r, PD_ERR_IO);
	cr_expect_eq(worker_wait(worker), PD_ERR_IO);
	cr_expect_eq(tally.nr_done, 7);
	worker_close(worker);
}
