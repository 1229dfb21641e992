/* SPDX-License-Identifier: MIT */
/* Random histories of a device. */
#include "tests/support/history.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define MIN_METADATA 60 /* metadata blocks, with room for the largest device */
#define MAX_MORE 140
#define MAX_THINGS 250 /* that are done */
#define NR_SIZES 6

static const uint32_t sizes[NR_SIZES] = {1, 50, 500, 1018, 3000, 8192}; /* data blocks */

/* What was done is committed, or it never was. */
static void settle(struct history *history, int r)
{
	if (r)
		live_abort(&history->live);
	else
		cr_assert_eq(live_commit(&history->live), PD_OK);
}

static int try_to_open(struct history *history, uint32_t nr_blocks)
{
	struct world *world = &history->world;
	int r = live_open(&history->live, world->io, HISTORY_BLOCK_SIZE, nr_blocks, NULL);

	if (!r)
		world->nr_blocks = nr_blocks;
	return r;
}

/* As large as it was at first, or of any size. */
static uint32_t another_size(struct history *history)
{
	if (random_below(&history->random, 2))
		return history->first_size;
	return (uint32_t)(1 + random_below(&history->random, 5000));
}

static void open_again(struct history *history)
{
	uint32_t before = history->world.nr_blocks;

	if (random_below(&history->random, 2))
		settle(history, live_archive(&history->live));
	live_close(&history->live);
	if (history->resizes && random_below(&history->random, 2) &&
	    !try_to_open(history, another_size(history)))
		return;
	cr_assert_eq(try_to_open(history, before), PD_OK);
}

static void mark_some(struct history *history)
{
	uint32_t nr_blocks = history->world.nr_blocks;
	uint32_t begin = (uint32_t)random_below(&history->random, nr_blocks);
	uint64_t most = random_below(&history->random, 4) ? 5 : nr_blocks;
	uint64_t end = begin + 1 + random_below(&history->random, most);

	settle(history,
	       live_mark(&history->live, begin, end < nr_blocks ? (uint32_t)end : nr_blocks));
}

static void digest_some(struct history *history)
{
	bool idle = false;
	int r = PD_OK;

	for (uint64_t n = 1 + random_below(&history->random, 20); !r && !idle && n; n--)
		r = live_digest(&history->live, &idle);
	settle(history, r);
}

static void do_something(struct history *history)
{
	uint64_t what = random_below(&history->random, 42);

	if (what < 18)
		mark_some(history);
	else if (what < 26)
		settle(history, live_roll_over(&history->live));
	else if (what < 35)
		digest_some(history);
	else if (what < 37 && !history->live.now.superblock.metadata_snap)
		settle(history, live_take_snapshot(&history->live));
	else if (what < 39 && history->live.now.superblock.metadata_snap)
		settle(history, live_drop_snapshot(&history->live));
	else if (what >= 39)
		open_again(history);
}

struct history *history_make(uint64_t seed)
{
	struct history *history = calloc(1, sizeof(*history));

	cr_assert_not_null(history);
	history->random.state = seed;
	history->resizes = seed % 2;
	history->first_size = sizes[random_below(&history->random, NR_SIZES)];
	world_init(&history->world, MIN_METADATA + random_below(&history->random, MAX_MORE),
		   history->first_size);
	cr_assert_eq(try_to_open(history, history->first_size), PD_OK);
	for (uint64_t n = random_below(&history->random, MAX_THINGS); n; n--)
		do_something(history);
	live_close(&history->live);
	return history;
}

void history_free(struct history *history)
{
	world_free(&history->world);
	free(history);
}

uint64_t history_rounds_sum(struct history_rounds *rounds, unsigned (*one)(uint64_t seed))
{
	uint64_t sum = 0;

	rounds->seed = random_setting("ERA_SEED", rounds->seed);
	rounds->nr = random_setting("ERA_ROUNDS", rounds->nr);
	printf("%s: ERA_SEED=%llu, %llu histories\n", rounds->what,
	       (unsigned long long)rounds->seed, (unsigned long long)rounds->nr);
	for (uint64_t i = 0; i < rounds->nr; i++)
		sum += one(rounds->seed + i);
	return sum;
}
