/* SPDX-License-Identifier: MIT */
/* Transactions and their space map: what is committed stays, what is aborted never was. */
#include "persistent-data/array_edit.h"
#include "persistent-data/error.h"
#include "tests/support/editing.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void no_superblock(void *context, const struct space_map_root *root, uint8_t *block)
{
	(void)context;
	(void)root;
	(void)block;
}

/* The state of a transaction that has nothing to do. */
static void expect_idle(const struct transaction *tx)
{
	cr_expect_eq(tx->map.nr_changes, 0);
	cr_expect_eq(tx->map.nr_free, tx->map.nr_blocks - tx->map.nr_allocated);
	for (uint64_t i = 0; i < tx->map.nr_blocks; i++) {
		cr_expect_not(space_map_edit_is_fresh(&tx->map, i));
		cr_expect_eq(tx->map.taken[i / 64] >> (i % 64) & 1, tx->map.counts[i] > 0);
	}
}

/* From here on the log has what is written. */
static struct block_io *log_writes(struct editing *editing, struct io_log *log)
{
	struct block_io *logged;

	io_log_init(log);
	logged = io_log_open(log, 0, editing->device);
	editing->tx.io = editing->tx.cache.io = logged;
	return logged;
}

Test(transaction, nothing_committed_is_overwritten)
{
	struct editing editing;
	struct io_log log;
	struct block_io *logged;
	uint64_t root;
	uint8_t *entries;
	unsigned nr;

	editing_init(&editing, 300);
	cr_assert_not(array_edit_new(&editing.tx, &root));
	cr_assert_not(array_edit_resize(&editing.tx, &root, 4, 0, 20000));
	editing_commit(&editing);
	logged = log_writes(&editing, &log);
	for (unsigned i = 0; i < 200; i++) {
		size_t before = log.nr;
		uint8_t *counts = malloc(300);

		memcpy(counts, editing.tx.map.counts, 300);
		cr_assert_not(array_edit_change(&editing.tx, &root, 4, i % 19, &entries, &nr));
		entries[i]++;
		editing_commit(&editing);
		expect_idle(&editing.tx);
		for (; before + 2 < log.nr; before++)
			for (uint32_t k = 0; k < log.records[before].count; k++)
				cr_expect_eq(counts[log.records[before].first + k], 0);
		/* The superblock comes last, between two flushes. */
		cr_assert_eq(log.records[log.nr - 3].count, 0);
		cr_assert_eq(log.records[log.nr - 2].first, 0);
		cr_assert_eq(log.records[log.nr - 1].count, 0);
		free(counts);
	}
	io_log_free(&log);
	block_io_close(logged);
	editing_free(&editing);
}

Test(transaction, abort_brings_all_back)
{
	struct editing editing;
	struct space_map_edit before;
	uint64_t root, changed, second;
	uint8_t counts[300], *entries;
	unsigned nr;

	editing_init(&editing, 300);
	cr_assert_not(array_edit_new(&editing.tx, &root));
	cr_assert_not(array_edit_resize(&editing.tx, &root, 4, 0, 20000));
	editing_commit(&editing);
	before = editing.tx.map;
	memcpy(counts, before.counts, sizeof(counts));
	for (unsigned i = 0; i < 20; i++) {
		changed = root;
		cr_assert_not(array_edit_resize(&editing.tx, &changed, 4, 20000, 1000 * i));
		if (i)
			cr_assert_not(
				array_edit_change(&editing.tx, &changed, 4, 0, &entries, &nr));
		cr_assert_not(array_edit_new(&editing.tx, &second));
		if (i % 3 == 0)
			cr_assert_not(array_edit_drop(&editing.tx, second));
		if (i % 5 == 0)
			cr_assert_not(space_map_edit_place(&editing.tx.map));
		transaction_abort(&editing.tx);
		expect_idle(&editing.tx);
		cr_expect_arr_eq(editing.tx.map.counts, counts, sizeof(counts));
		cr_expect_arr_eq(&editing.tx.map.places, &before.places, sizeof(before.places));
	}
	editing_free(&editing);
}

/* Between holes that are too small for it. */
Test(transaction, a_commit_is_one_write)
{
	struct editing editing;
	struct io_log log;
	struct block_io *logged;
	uint64_t root, others[40];
	uint8_t *entries;
	unsigned nr;

	editing_init(&editing, 300);
	for (unsigned i = 0; i < 40; i++)
		cr_assert_not(transaction_new(&editing.tx, BLOCK_ARRAY, &others[i], &entries));
	cr_assert_not(array_edit_new(&editing.tx, &root));
	cr_assert_not(array_edit_resize(&editing.tx, &root, 4, 0, 2000));
	editing_commit(&editing);
	for (unsigned i = 0; i < 40; i += 2)
		cr_assert_not(transaction_dec(&editing.tx, others[i]));
	editing_commit(&editing);
	logged = log_writes(&editing, &log);
	for (unsigned i = 0; i < 100; i++) {
		size_t before = log.nr;

		cr_assert_not(array_edit_change(&editing.tx, &root, 4, i % 2, &entries, &nr));
		editing_commit(&editing);
		/* The root, a block of the array, bitmap and index. */
		cr_assert_eq(log.nr - before, 4);
		cr_expect_eq(log.records[before].count, 4);
		/* It goes to and fro: what a sparse file takes does not grow. */
		cr_expect_lt(log.records[before].first, 80);
	}
	io_log_free(&log);
	block_io_close(logged);
	editing_free(&editing);
}

Test(transaction, full)
{
	struct editing editing;
	uint64_t block, nr = 0;
	uint8_t *data;
	int r;

	editing_init(&editing, 50);
	editing_commit(&editing);
	editing.tx.map.reserve = 7;
	while (!(r = transaction_new(&editing.tx, BLOCK_ARRAY, &block, &data)))
		nr++;
	cr_expect_eq(r, PD_ERR_NO_SPACE);
	/* In use: block 0, the tree of exact counts, index and bitmap. */
	cr_expect_eq(nr, 50 - 4 - 7);
	/* The reserve is for commits. */
	editing_commit(&editing);
	cr_expect_eq(editing.tx.map.nr_allocated, nr + 4);
	editing_free(&editing);
}

Test(transaction, too_small_for_itself)
{
	for (uint64_t nr_blocks = 1; nr_blocks < 6; nr_blocks++) {
		struct block_io *io;
		struct transaction tx;
		uint8_t *memory = calloc(nr_blocks, METADATA_BLOCK_SIZE);
		int r;

		cr_assert_not(block_io_open_memory(memory, nr_blocks, &io));
		r = transaction_create(&tx, io);
		if (!r)
			r = transaction_commit(&tx, no_superblock, NULL);
		cr_expect_eq(r, nr_blocks < 4 ? PD_ERR_NO_SPACE : PD_OK, "%lu blocks", nr_blocks);
		transaction_close(&tx);
		block_io_close(io);
		free(memory);
	}
}

/* Only where the superblock itself could not be written nobody knows what holds. */
Test(transaction, failing_device)
{
	for (long passing = 0;; passing++) {
		struct failure failure = {FAIL_WRITES | FAIL_FLUSHES, passing, false, 5};
		struct editing editing;
		struct block_io *failing;
		uint64_t root;
		int r;

		editing_init(&editing, 300);
		failing = failing_io_open(editing.device, &failure);
		editing.tx.io = editing.tx.cache.io = failing;
		cr_assert_not(array_edit_new(&editing.tx, &root));
		r = transaction_commit(&editing.tx, no_superblock, NULL);
		cr_expect_eq(r, failure_happened(&failure) ? PD_ERR_IO : PD_OK);
		expect_idle(&editing.tx);
		if (editing.tx.in_doubt) {
			uint8_t *data;

			cr_expect_eq(transaction_new(&editing.tx, BLOCK_ARRAY, &root, &data),
				     PD_ERR_IO);
			r = transaction_commit(&editing.tx, no_superblock, NULL);
			cr_expect_eq(r, PD_ERR_IO);
		}
		editing.tx.io = editing.tx.cache.io = editing.device;
		block_io_close(failing);
		editing_free(&editing);
		if (!r)
			return;
		cr_expect_eq(editing.tx.in_doubt, passing > 1);
		cr_assert_lt(passing, 100);
	}
}

static int no_entries(void *context, uint64_t first, unsigned n, const uint8_t *values,
		      uint64_t block)
{
	(void)context;
	(void)first;
	(void)n;
	(void)values;
	(void)block;
	return PD_OK;
}

/* A bitmap of 16320 counts is one of several; changes in one leave the others where they are. */
Test(transaction, several_bitmaps)
{
	struct array_visitor visitor = {NULL, no_entries, editing_damage};
	struct array array = {.value_size = 8, .nr_entries = 509 * 17000};
	struct editing editing;
	uint64_t root, places[4];
	uint8_t *entries;
	unsigned nr;

	editing_init(&editing, 3 * 16320 + 5);
	cr_assert_not(array_edit_new(&editing.tx, &root));
	cr_assert_not(array_edit_resize(&editing.tx, &root, 8, 0, 509 * 17000));
	editing_commit(&editing);
	for (int i = 0; i < 4; i++)
		places[i] = editing.tx.map.places.bitmaps[i].block;
	cr_assert_not(array_edit_change(&editing.tx, &root, 8, 16999, &entries, &nr));
	editing_commit(&editing);
	array.root = root;
	cr_expect_neq(editing.tx.map.places.bitmaps[1].block, places[1]);
	cr_expect_eq(editing.tx.map.places.bitmaps[2].block, places[2]);
	cr_expect_eq(editing.tx.map.places.bitmaps[3].block, places[3]);
	editing_check_begin(&editing);
	cr_assert_not(array_walk(&editing.reader, &array, &visitor));
	editing_check_end(&editing);
	editing_free(&editing);
}

enum free_blocks { SOME_FREE, LAST_FREE, NONE_FREE };

/* What the bitmaps say of random counts. */
static void check_bitmaps(struct space_map_edit *map, enum free_blocks free, struct random *random)
{
	uint8_t block[METADATA_BLOCK_SIZE];

	for (uint64_t i = 0; i < map->nr_blocks; i++)
		map->counts[i] = (uint8_t)(free == SOME_FREE ? random_below(random, 3)
							     : 1 + random_below(random, 2));
	if (free == LAST_FREE)
		map->counts[map->nr_blocks - 1] = 0;
	for (unsigned i = 0; i < map->nr_bitmaps; i++) {
		uint64_t begin = (uint64_t)i * SPACE_MAP_BITMAP_COUNTS,
			 left = map->nr_blocks - begin;
		unsigned nr =
			left < SPACE_MAP_BITMAP_COUNTS ? (unsigned)left : SPACE_MAP_BITMAP_COUNTS;
		unsigned nr_free = 0, first_free = nr;

		memset(block, 0, sizeof(block));
		space_map_edit_bitmap(map, i, block);
		for (unsigned k = SPACE_MAP_BITMAP_COUNTS; k-- > 0;) {
			unsigned pair = block[BITMAP_COUNTS + k / 4] >> (k % 4 * 2) & 3;
			unsigned count = k < nr ? map->counts[begin + k] : 0;

			/* The high bit comes first. */
			cr_assert_eq(pair, count >> 1 | (count & 1) << 1);
			nr_free += k < nr && !count;
			first_free = k < nr && !count ? k : first_free;
		}
		cr_expect_eq(map->places.bitmaps[i].nr_free, nr_free);
		cr_expect_eq(map->places.bitmaps[i].none_free_before, first_free);
	}
}

Test(transaction, bitmaps)
{
	static const uint64_t sizes[] = {1, 7, 8, 9, 63, 64, 65, 16319, 16320, 16321, 40001};
	struct random random = {1};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct space_map_edit map;

		cr_assert_not(space_map_edit_init(&map, sizes[i]));
		for (enum free_blocks free = SOME_FREE; free <= NONE_FREE; free++)
			check_bitmaps(&map, free, &random);
		space_map_edit_destroy(&map);
	}
}

/*
 * How much of a device metadata ever took can be seen from its end: below the last block that was ever
 * in use there is none that never was.
 */
Test(transaction, no_block_is_passed_over)
{
	enum { NR_BLOCKS = 5000, NR_COMMITS = 2000, IN_USE_MAX = 400 };
	struct random random = {1};
	struct space_map_edit map;
	uint64_t in_use[IN_USE_MAX], end = 0;
	unsigned nr = 0;

	cr_assert_not(space_map_edit_init(&map, NR_BLOCKS));
	for (unsigned i = 0; i < NR_COMMITS; i++) {
		for (uint64_t n = random_below(&random, 14); n && nr < IN_USE_MAX; n--) {
			cr_assert_not(space_map_edit_allocate(&map, &in_use[nr]));
			cr_assert_leq(in_use[nr], end, "commit %u", i);
			end += in_use[nr] == end;
			nr++;
		}
		for (uint64_t n = random_below(&random, 14); n && nr; n--) {
			uint64_t which = random_below(&random, nr);

			cr_assert_not(space_map_edit_dec(&map, in_use[which]));
			in_use[which] = in_use[--nr];
		}
		space_map_edit_accept(&map);
	}
	cr_expect_lt(end, 2 * IN_USE_MAX, "what is free again is used again");
	space_map_edit_destroy(&map);
}
