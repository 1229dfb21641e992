/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the runtime, and of live metadata, fails in turn: what cannot be done is refused, nothing that was done
 * is lost, and the metadata are sound.
 */
#include "era/live.h"
#include "era/map.h"
#include "persistent-data/error.h"
#include "tests/support/eras.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FAIL 0
static long left = -1;
#else
#define CAN_FAIL 1

/* -1: none fails */
static long left = -1;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool fails(void)
{
	if (left < 0)
		return false;
	return left == 0 || !left--;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __libc_calloc(nr, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}
#endif

#define NR_METADATA 100
#define NR_BLOCKS 3000
#define NR_STEPS 12

static uint8_t memory[NR_METADATA * METADATA_BLOCK_SIZE]
	__attribute__((aligned(METADATA_BLOCK_SIZE)));
static struct eras eras;

static int write_block(struct era_map *map, uint64_t block)
{
	struct era_map_write write;
	int r = era_map_begin_write(map, block * 4096, 4096, &write);

	if (!r)
		era_map_end_write(map, &write);
	return r;
}

static int do_step(struct era_map *map, unsigned step)
{
	switch (step % 4) {
	case 1:
		return era_map_checkpoint(map);
	case 2:
		return step == 6   ? era_map_drop_metadata_snap(map)
		       : step == 2 ? era_map_take_metadata_snap(map)
				   : PD_OK;
	default:
		return write_block(map, step * 200);
	}
}

/* From the nth allocation on, one fails, or with for_good all do. Returns false if none was left. */
static bool fail_at(long nth, struct block_io *io)
{
	bool written[NR_BLOCKS] = {false};
	struct era_map *map;
	int r, bad = 0;

	left = nth;
	r = era_map_open(io, 8, NR_BLOCKS * 4096, NULL, &map);
	for (unsigned step = 0; !r && step < NR_STEPS; step++) {
		int did = do_step(map, step);

		if (did == PD_ERR_NO_MEMORY)
			left = -1; /* those that follow find some again */
		else if (!did && step % 4 != 1 && step % 4 != 2)
			written[step * 200] = true;
		if (did && did != PD_ERR_NO_MEMORY && did != PD_ERR_USAGE)
			bad = did;
	}
	if (!r) {
		r = era_map_close(map);
		if (r && r != PD_ERR_NO_MEMORY)
			bad = r;
	} else if (r != PD_ERR_NO_MEMORY) {
		bad = r;
	}
	nth = left;
	left = -1;
	cr_assert_not(bad, "%d", bad);
	if (memory[0] || memory[1])
		cr_assert(eras_read_memory(&eras, memory, NR_METADATA, false), "%s", eras.problem);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		cr_assert(!written[i] || eras.era[i]);
	return nth <= 0;
}

Test(map_memory, every_allocation_fails_in_turn)
{
	static uint8_t before[sizeof(memory)];
	struct block_io *io;
	long nth = 0;

	if (!CAN_FAIL)
		cr_skip_test("the sanitizer allocates itself");
	cr_assert_not(block_io_open_memory(memory, NR_METADATA, &io));
	do {
		memset(memory, 0, sizeof(memory));
	} while (fail_at(nth++, io));
	cr_expect_gt(nth, 100);
	/* The same on metadata that exist already: what the last round left. */
	memcpy(before, memory, sizeof(memory));
	nth = 0;
	do {
		memcpy(memory, before, sizeof(memory));
	} while (fail_at(nth++, io));
	cr_expect_gt(nth, 100);
	block_io_close(io);
}

/* What the runtime does in the background, or between two runs. */

struct run {
	struct block_io *io;
	struct live live;
	bool is_open;
	uint32_t must[NR_BLOCKS]; /* eras */
};

static int settle(struct run *run, int r)
{
	if (!r)
		return live_commit(&run->live);
	live_abort(&run->live);
	return r;
}

static int open_with_size(struct run *run, uint32_t nr_blocks)
{
	int r = run->is_open ? settle(run, live_archive(&run->live)) : PD_OK;

	if (r)
		return r;
	if (run->is_open)
		live_close(&run->live);
	r = live_open(&run->live, run->io, 8, nr_blocks, NULL);
	run->is_open = !r;
	if (r)
		live_close(&run->live);
	return r;
}

static int digest(struct run *run)
{
	bool idle = false;
	int r = PD_OK;

	while (!r && !idle)
		r = settle(run, live_digest(&run->live, &idle));
	return r;
}

static int mark(struct run *run, uint32_t begin, uint32_t end)
{
	int r = settle(run, live_mark(&run->live, begin, end));

	for (uint32_t i = begin; !r && i < end; i++)
		run->must[i] = run->live.now.superblock.info.current_era;
	return r;
}

#define NR_LIVE_STEPS 12

static int do_live_step(struct run *run, uint32_t step)
{
	switch (step) {
	case 0:
		return open_with_size(run, NR_BLOCKS);
	case 2:
		return settle(run, live_take_snapshot(&run->live));
	case 4:
		return settle(run, live_roll_over(&run->live));
	case 5:
	case 8:
		return digest(run);
	case 6:
		return open_with_size(run, 20000);
	case 7:
		return settle(run, live_drop_snapshot(&run->live));
	case 9:
		return open_with_size(run, NR_BLOCKS);
	default:
		return mark(run, step * 200, step * 200 + 150);
	}
}

/* A step that fails is done again: there is memory by then. Returns false if none failed. */
static bool fail_live_at(long nth, struct block_io *io)
{
	static struct run run;
	bool failed = false;

	memset(&run, 0, sizeof(run));
	run.io = io;
	left = nth;
	for (uint32_t step = 0; step < NR_LIVE_STEPS; step++) {
		int r = do_live_step(&run, step);

		if (r) {
			left = -1;
			cr_assert(!failed && r == PD_ERR_NO_MEMORY, "step %u: %d", step, r);
			failed = true;
			cr_assert_eq(do_live_step(&run, step), PD_OK);
		}
	}
	left = -1;
	live_close(&run.live);
	cr_assert(eras_read_memory(&eras, memory, NR_METADATA, false), "%s", eras.problem);
	cr_assert_arr_eq(eras.era, run.must, sizeof(run.must));
	return failed;
}

Test(map_memory, every_allocation_of_live_metadata_fails_in_turn)
{
	struct block_io *io;
	long nth = 0;

	if (!CAN_FAIL)
		cr_skip_test("the sanitizer allocates itself");
	cr_assert_not(block_io_open_memory(memory, NR_METADATA, &io));
	do {
		memset(memory, 0, sizeof(memory));
	} while (fail_live_at(nth++, io));
	cr_expect_gt(nth, 200, "%ld", nth);
	block_io_close(io);
}
