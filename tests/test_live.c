/* SPDX-License-Identifier: MIT */
/*
 * Live metadata under a random user, one thread: exact eras, power cuts at every write, and every
 * read, write, flush failing in turn.
 */
#include "era/live.h"
#include "era/metadata_size.h"
#include "persistent-data/error.h"
#include "tests/support/power_cuts.h"
#include "tests/support/world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 8 /* sectors */

static struct world world;
static struct live live;
static bool is_open;

static int open_live(void)
{
	int r = live_open(&live, world.io, BLOCK_SIZE, world.nr_blocks, NULL);

	is_open = !r;
	return r;
}

static uint32_t era(void)
{
	return live.now.superblock.info.current_era;
}

static uint32_t below(uint32_t n)
{
	return n ? (uint32_t)rand() % n : 0;
}

/* What was done is committed, or it never was. */
static int settle(int r)
{
	if (!r)
		return live_commit(&live);
	live_abort(&live);
	return r;
}

static int write_some(void)
{
	uint32_t begin = below(world.nr_blocks);
	uint32_t end = begin + 1 + below(rand() % 8 ? 3 : world.nr_blocks);
	int r;

	if (end > world.nr_blocks)
		end = world.nr_blocks;
	r = settle(live_mark(&live, begin, end));
	if (!r)
		world_write(&world, begin, end, era());
	return r;
}

/* Sometimes without a commit: the next one takes it along. */
static int digest_some(void)
{
	bool idle = false;
	int r = PD_OK;

	for (uint32_t i = below(6); !r && !idle && i < 6; i++)
		r = live_digest(&live, &idle);
	if (r)
		live_abort(&live);
	return r || rand() % 2 ? r : live_commit(&live);
}

static int roll_over(void)
{
	return settle(live_roll_over(&live));
}

static int take_snapshot(void)
{
	return live.now.superblock.metadata_snap ? PD_OK : settle(live_take_snapshot(&live));
}

static int drop_snapshot(void)
{
	return live.now.superblock.metadata_snap ? settle(live_drop_snapshot(&live)) : PD_OK;
}

static int digest_all(void)
{
	bool idle = false;
	int r = PD_OK;

	while (!r && !idle)
		r = settle(live_digest(&live, &idle));
	return r;
}

static uint32_t any_size(void)
{
	static const uint32_t sizes[] = {1, 63, 64, 1018, 1019, 5000, 33000, 70000};

	return sizes[below(8)];
}

static int open_again(void)
{
	int r = PD_OK;

	/* In order, or by a crash. */
	if (rand() % 2)
		r = settle(live_archive(&live));
	live_close(&live);
	if (rand() % 3 == 0)
		world_resize(&world, any_size());
	is_open = false;
	return r ? r : open_live();
}

static int do_something(void)
{
	switch (rand() % 24) {
	case 0:
	case 1:
	case 2:
	case 3:
		return roll_over();
	case 4:
		return take_snapshot();
	case 5:
	case 6:
		return drop_snapshot();
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
		return digest_some();
	case 12:
		return rand() % 3 ? PD_OK : open_again();
	default:
		return write_some();
	}
}

static void begin(uint64_t nr_metadata_blocks, uint32_t nr_blocks)
{
	world_init(&world, nr_metadata_blocks, nr_blocks);
	cr_assert_eq(open_live(), PD_OK);
}

static void end(void)
{
	live_close(&live);
	world_free(&world);
}

Test(live, exact_eras)
{
	bool idle;

	srand(1);
	begin(600, 70000);
	for (int i = 0; i < 3000; i++) {
		switch (rand() % 8) {
		case 0:
			if (settle(live_roll_over(&live)))
				cr_assert_eq(live_make_room(&live, &idle), PD_OK);
			break;
		case 1:
		case 2:
			cr_assert_eq(digest_some(), PD_OK);
			break;
		default:
			cr_assert_eq(write_some(), PD_OK);
		}
		if (rand() % 40 == 0) {
			live_close(&live);
			cr_assert_eq(open_live(), PD_OK);
		}
		if (rand() % 10 == 0) {
			cr_assert_eq(live_commit(&live), PD_OK);
			world_expect_exact(&world);
		}
	}
	end();
}

/* All eras digested, nothing is left but the trees: no block has leaked on the way. */
Test(live, digests_everything)
{
	bool idle = false;
	uint64_t used;

	srand(2);
	begin(600, 70000);
	used = live.tx.map.nr_allocated;
	for (int i = 0; i < 60; i++) {
		for (int k = 0; k < 5; k++)
			cr_assert_eq(write_some(), PD_OK);
		cr_assert_eq(settle(live_roll_over(&live)), PD_OK);
	}
	cr_expect_gt(live.tx.map.nr_allocated, used + 60);
	while (!idle)
		cr_assert_eq(settle(live_digest(&live, &idle)), PD_OK);
	cr_expect_eq(live.tx.map.nr_allocated, used);
	world_expect_exact(&world);
	end();
}

Test(live, snapshot)
{
	static struct eras before, after;

	srand(3);
	begin(900, 70000);
	for (int i = 0; i < 40; i++) {
		cr_assert_eq(write_some(), PD_OK);
		cr_assert_eq(settle(live_roll_over(&live)), PD_OK);
		if (i % 4 == 0)
			cr_assert_eq(digest_some(), PD_OK);
	}
	cr_assert_eq(settle(live_drop_snapshot(&live)), PD_ERR_USAGE);
	cr_assert_eq(settle(live_take_snapshot(&live)), PD_OK);
	cr_assert_eq(settle(live_take_snapshot(&live)), PD_ERR_USAGE);
	cr_assert(eras_read_memory(&before, world.metadata, 900, true), "%s", before.problem);
	cr_expect_eq(before.info.current_era, era());
	cr_expect_arr_eq(before.era, world.must, sizeof(before.era));
	for (int i = 0; i < 40; i++) {
		bool idle;

		cr_assert_eq(write_some(), PD_OK);
		cr_assert_eq(settle(live_roll_over(&live)), PD_OK);
		for (int k = 0; k < 20; k++)
			cr_assert_eq(settle(live_digest(&live, &idle)), PD_OK);
		cr_assert(eras_read_memory(&after, world.metadata, 900, true), "%s", after.problem);
		cr_expect_arr_eq(&before, &after, sizeof(before));
		world_expect_exact(&world);
	}
	cr_assert_eq(settle(live_drop_snapshot(&live)), PD_OK);
	world_expect_exact(&world);
	end();
}

/*
 * What the cut left must be fit to go on with, and nothing be lost by that: with the same size or
 * another one, to its end or to another power cut.
 */
struct second_cut {
	struct world_check *check;
	size_t nr; /* records of the world before the first cut */
};

static void check_second_cut(void *context, uint8_t *image, size_t nr)
{
	struct second_cut *second = context;

	(void)nr;
	world_check(second->check, image, second->nr);
}

/* Returns the era in which block 0 was written; 0: it was not, there is no room. */
static uint32_t go_on(struct block_io *io, uint32_t nr_blocks)
{
	struct live next;
	uint32_t written = 0;
	bool idle;

	if (!live_open(&next, io, BLOCK_SIZE, nr_blocks, NULL)) {
		written = next.now.superblock.info.current_era;
		if (live_mark(&next, 0, 1) || live_digest(&next, &idle) || live_roll_over(&next)) {
			live_abort(&next);
			written = 0;
		} else {
			cr_assert_eq(live_commit(&next), PD_OK);
		}
	}
	live_close(&next);
	return written;
}

static void check_going_on(struct world_check *check, uint8_t *image, size_t nr)
{
	uint32_t written, nr_blocks = rand() % 4 ? check->eras.info.nr_blocks : any_size();
	size_t size = (size_t)world.nr_metadata_blocks * METADATA_BLOCK_SIZE;
	struct second_cut second = {check, nr};
	uint8_t *before = malloc(size);
	struct block_io *io, *recorded;
	struct io_log log;
	struct power_cuts cuts = {&log, WORLD_METADATA, world.nr_metadata_blocks, before, 2,
				  1,	&second,	check_second_cut};

	cr_assert_not_null(before);
	memcpy(before, image, size);
	cr_assert_not(block_io_open_memory(image, world.nr_metadata_blocks, &io));
	io_log_init(&log);
	recorded = io_log_open(&log, WORLD_METADATA, io);
	written = nr_blocks ? go_on(recorded, nr_blocks) : 0;
	world_check(check, image, nr);
	cr_assert(!written || check->eras.era[0] >= written);
	if (rand() % 24 == 0)
		power_cuts_check(&cuts, 0);
	block_io_close(recorded);
	block_io_close(io);
	io_log_free(&log);
	free(before);
}

static void check_cut(void *context, uint8_t *image, size_t nr)
{
	struct world_check *check = context;

	world_check(check, image, nr);
	if (rand() % 8 == 0)
		check_going_on(check, image, nr);
}

static void cut_power(uint64_t nr_metadata_blocks, uint32_t nr_blocks, int nr_steps)
{
	struct world_check *check = calloc(1, sizeof(*check));
	struct power_cuts cuts = {&world.log, WORLD_METADATA, nr_metadata_blocks, NULL, 3,
				  4,	      check,	      check_cut};
	unsigned long nr;

	begin(nr_metadata_blocks, nr_blocks);
	for (int i = 0; i < nr_steps; i++) {
		int r = do_something();

		cr_assert(!r || r == PD_ERR_NO_SPACE, "%s", pd_error_text(r));
		if (!is_open)
			break;
	}
	check->world = &world;
	nr = power_cuts_check(&cuts, 0);
	cr_log_info("%zu records, %lu images", world.log.nr, nr);
	free(check);
	end();
}

Test(live, power_cuts)
{
	for (unsigned seed = 1; seed <= 6; seed++) {
		srand(seed);
		cut_power(300, 70000, 120);
	}
}

Test(live, power_cuts_small)
{
	for (unsigned seed = 1; seed <= 12; seed++) {
		srand(seed);
		cut_power(60 + seed, 1000, 150);
	}
}

/* Each thing that there is to do, be the rest as random as it likes. */

static int open_with_size(uint32_t nr_blocks)
{
	int r = settle(live_archive(&live));

	live_close(&live);
	world_resize(&world, nr_blocks);
	is_open = false;
	return r ? r : open_live();
}

static int grow(void)
{
	return open_with_size(70000);
}

static int shrink(void)
{
	return open_with_size(1019);
}

static int (*const everything[])(void) = {
	write_some, roll_over,	 take_snapshot, write_some, roll_over,	   digest_all, shrink,
	write_some, digest_some, grow,		write_some, drop_snapshot, roll_over,  digest_all};
#define NR_EVERYTHING (sizeof(everything) / sizeof(everything[0]))

/* The Nth operation fails, or that one and all behind it: nothing is lost, and it opens again. */
static bool fail_at(unsigned kinds, long nth, bool for_good)
{
	static struct world_check check;
	bool failed;
	int r;

	srand(7);
	world_init(&world, 300, 70000);
	world.failure = (struct failure){kinds, nth, for_good, 5};
	r = open_live();
	for (size_t i = 0; !r && i < NR_EVERYTHING + 40; i++) {
		r = i < NR_EVERYTHING ? everything[i]() : do_something();
		/* Whoever fails may go on, but where nobody knows which superblock is there. */
		if (r == PD_ERR_IO && is_open && !live.tx.in_doubt && !for_good)
			r = PD_OK;
	}
	failed = failure_happened(&world.failure);
	cr_assert(!r || failed, "%s", pd_error_text(r));
	live_close(&live);
	memset(&check, 0, sizeof(check));
	check.world = &world;
	world_check(&check, world.metadata, world.log.nr);
	world.failure.kinds = 0;
	cr_assert_eq(open_live(), PD_OK);
	world_check(&check, world.metadata, world.log.nr);
	end();
	return failed;
}

Test(live, failing_writes)
{
	for (long nth = 0; fail_at(FAIL_WRITES, nth, false); nth++)
		fail_at(FAIL_WRITES, nth, true);
}

Test(live, failing_flushes)
{
	for (long nth = 0; fail_at(FAIL_FLUSHES, nth, false); nth++)
		fail_at(FAIL_FLUSHES, nth, true);
}

/*
 * Killed between a superblock and its flush, or that flush failed, and served again: what it left is
 * read from a cache. Nothing that the superblock before that one needs may be overwritten before this
 * one is durable.
 */
static bool cut_power_after_failed_flush(long nth)
{
	static struct world_check check;
	struct power_cuts cuts = {&world.log, WORLD_METADATA, 300, NULL, 3, 4, &check, world_check};
	bool failed;
	int r;

	srand(8);
	world_init(&world, 300, 70000);
	world.failure = (struct failure){FAIL_FLUSHES, nth, false, EIO};
	r = open_live();
	for (size_t i = 0; !r && i < NR_EVERYTHING; i++)
		r = everything[i]();
	failed = failure_happened(&world.failure);
	cr_assert(!r || failed, "%s", pd_error_text(r));
	live_close(&live);
	world.failure.kinds = 0;
	cr_assert_eq(open_live(), PD_OK);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(write_some(), PD_OK);
	memset(&check, 0, sizeof(check));
	check.world = &world;
	power_cuts_check(&cuts, 0);
	end();
	return failed;
}

Test(live, power_cuts_after_failed_flushes)
{
	for (long nth = 0; cut_power_after_failed_flush(nth); nth++)
		;
}

Test(live, failing_reads)
{
	for (long nth = 0; fail_at(FAIL_READS, nth, false); nth++)
		;
}

/* Full: marks and eras fail, what was there stays, and past eras can still be digested. */
Test(live, full)
{
	bool idle = false;
	int r = PD_OK;

	srand(9);
	begin(200, 70000);
	while (!r) {
		cr_assert_eq(write_some(), PD_OK);
		r = settle(live_roll_over(&live));
	}
	cr_expect_eq(r, PD_ERR_NO_SPACE);
	while (!(r = write_some()))
		;
	cr_expect_eq(r, PD_ERR_NO_SPACE);
	world_expect_exact(&world);
	while (!idle)
		cr_assert_eq(settle(live_digest(&live, &idle)), PD_OK);
	world_expect_exact(&world);
	cr_expect_eq(settle(live_roll_over(&live)), PD_OK);
	cr_expect_eq(write_some(), PD_OK);
	world_expect_exact(&world);
	end();
}

/* So full that nothing can be begun: opening makes room for itself. */
Test(live, opens_when_full)
{
	srand(10);
	begin(200, 70000);
	while (!settle(live_roll_over(&live)))
		cr_assert_eq(write_some(), PD_OK);
	live_close(&live);
	cr_assert_eq(open_live(), PD_OK);
	cr_expect_eq(write_some(), PD_OK);
	world_expect_exact(&world);
	end();
}

/* However small the device: what could be opened once can be opened again, and written. */

static int mark_one(struct live *marked, const void *context)
{
	const uint32_t *block = context;

	return live_mark(marked, *block, *block + 1);
}

static bool opens_twice(uint64_t nr_metadata_blocks, uint32_t nr_before, uint32_t nr_blocks)
{
	bool formatted, opened;

	world_init(&world, nr_metadata_blocks, nr_before);
	formatted = opened = !open_live();
	live_close(&live);
	if (formatted) {
		world_resize(&world, nr_blocks);
		opened = !open_live();
		/* Or nothing has changed. */
		if (!opened)
			world_resize(&world, nr_before);
		for (int i = 0; opened && i < 4; i++) {
			uint32_t block = below(nr_blocks);

			cr_assert_eq(live_change(&live, mark_one, &block), PD_OK,
				     "%lu metadata blocks for %u", nr_metadata_blocks, nr_blocks);
			world_write(&world, block, block + 1, era());
			live_close(&live);
			cr_assert_eq(open_live(), PD_OK, "%lu metadata blocks for %u",
				     nr_metadata_blocks, nr_blocks);
		}
	}
	if (formatted)
		world_expect_exact(&world);
	end();
	return opened;
}

Test(live, opens_again)
{
	static const uint32_t numbers[] = {1, 1019, 33000, 70000};

	srand(11);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t nr = 3;

		while (!opens_twice(nr, numbers[i], numbers[i]))
			nr++;
		for (uint64_t more = nr; more < nr + 30; more++) {
			cr_expect(opens_twice(more, numbers[i], numbers[i]));
			opens_twice(more, 1, numbers[i]);
		}
	}
}

/* A device of the size that era_metadata_size tells is enough, and a much smaller one is not. */

static int rewrite_all(unsigned nr_eras)
{
	int r = PD_OK;

	for (unsigned i = 0; !r && i < nr_eras; i++) {
		r = settle(live_mark(&live, 0, world.nr_blocks));
		if (!r)
			r = settle(live_roll_over(&live));
	}
	return r;
}

static int rewrite_beside_snapshot(void)
{
	int r = rewrite_all(SIZE_DEFAULT_WRITESETS - 1);

	if (!r)
		r = settle(live_take_snapshot(&live));
	if (!r)
		r = rewrite_all(SIZE_DEFAULT_WRITESETS);
	if (!r)
		r = digest_all();
	if (!r)
		r = rewrite_all(1);
	return r ? r : digest_all();
}

Test(live, told_size_is_enough)
{
	static const uint32_t numbers[] = {1, 64, 1019, 40000};

	for (unsigned i = 0; i < 4; i++) {
		struct metadata_need need = {numbers[i], SIZE_DEFAULT_WRITESETS, true};
		struct metadata_size size;

		metadata_size(&need, &size);
		begin(size.total, numbers[i]);
		cr_expect_eq(rewrite_beside_snapshot(), PD_OK, "%u data blocks", numbers[i]);
		end();
		begin((size.total - size.reserve) * 6 / 10, numbers[i]);
		cr_expect_eq(rewrite_beside_snapshot(), PD_ERR_NO_SPACE);
		end();
	}
}

/* What cannot be opened is left as it is. */

static int open_with(uint32_t block_size, uint32_t nr_blocks)
{
	struct live other;
	int r = live_open(&other, world.io, block_size, nr_blocks, NULL);

	live_close(&other);
	return r;
}

static void count_message(void *context, const char *text)
{
	unsigned *nr = context;

	cr_expect(*text);
	++*nr;
}

Test(live, says_why_it_cannot_be_opened)
{
	long nth = 0;
	int r;

	begin(100, 5000);
	live_close(&live);
	do {
		unsigned nr = 0;
		struct report report = {count_message, &nr};

		world.failure = (struct failure){FAIL_READS, nth++, true, EIO};
		r = live_open(&live, world.io, BLOCK_SIZE, world.nr_blocks, &report);
		live_close(&live);
		cr_expect_eq(!nr, !r, "read %ld", nth);
	} while (r);
	cr_expect(nth > 5);
	end();
}

Test(live, refuses)
{
	uint8_t *before;
	size_t size = 100 * METADATA_BLOCK_SIZE;

	begin(100, 5000);
	live_close(&live);
	before = malloc(size);
	memcpy(before, world.metadata, size);
	cr_expect_eq(open_with(16, 5000), PD_ERR_USAGE);
	cr_expect_eq(open_with(0, 5000), PD_ERR_USAGE);
	cr_expect_eq(open_with(7, 5000), PD_ERR_USAGE);
	cr_expect_eq(open_with(8, 0x80000000), PD_ERR_USAGE);
	cr_expect_eq(open_with(8, 10000000), PD_ERR_NO_SPACE);
	world.metadata[50]++;
	cr_expect_eq(open_with(8, 5000), PD_ERR_CORRUPT);
	world.metadata[50]--;
	cr_expect_arr_eq(before, world.metadata, size);
	free(before);
	end();
}
