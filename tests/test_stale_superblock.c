/* SPDX-License-Identifier: MIT */
/*
 * Superblocks of an earlier time: of random histories each one that there was is put in place of the last.
 * Either what it names is all there, so that nothing tells that it was not the last; or nothing is left out.
 */
#include "persistent-data/error.h"
#include "tests/support/before.h"
#include "tests/support/random.h"
#include "tests/support/world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_DEFAULT 1
#define ROUNDS_DEFAULT 60
#define BLOCK_SIZE 8 /* sectors */

TestSuite(stale_superblock, .timeout = 1200);

struct history {
	struct random random;
	struct world world;
	struct live live;
};

/* What was done is committed, or it never was. */
static void settle(struct history *history, int r)
{
	if (r)
		live_abort(&history->live);
	else
		cr_assert_eq(live_commit(&history->live), PD_OK);
}

static void open_live(struct history *history)
{
	cr_assert_eq(live_open(&history->live, history->world.io, BLOCK_SIZE,
			       history->world.nr_blocks, NULL),
		     PD_OK);
}

static void open_again(struct history *history)
{
	struct world *world = &history->world;

	if (random_below(&history->random, 2))
		settle(history, live_archive(&history->live));
	live_close(&history->live);
	if (random_below(&history->random, 3) == 0)
		world->nr_blocks = (uint32_t)(1 + random_below(&history->random, 5000));
	open_live(history);
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
	uint64_t what = random_below(&history->random, 40);

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
	else if (what == 39)
		open_again(history);
}

/* Counts that are wrong by themselves may be damaged, whatever the superblock. */
static bool tells_of_its_time(const struct image *image)
{
	struct eras *eras = calloc(1, sizeof(*eras));
	bool tells;

	cr_assert_not_null(eras);
	tells = !eras_read_memory(eras, image->bytes, image->nr_blocks, false) &&
		strncmp(eras->problem, "reference counts", strlen("reference counts")) != 0;
	free(eras);
	return tells;
}

/* Whether there was anything to see. */
static bool try_superblock(const struct image *image, const struct before *before, const char *name)
{
	struct salvaged salvaged;
	bool refused;

	if (!tells_of_its_time(image))
		return false;
	salvaged_make(&salvaged, image, 0, 0);
	refused = salvaged.result == PD_ERR_CORRUPT;
	salvaged_free(&salvaged);
	salvaged = before_salvage(image, before, refused, name);
	cr_expect_eq(salvaged.result, 0, "%s: %s", name, salvaged.messages);
	salvaged_free(&salvaged);
	return true;
}

static unsigned try_all(const struct history *history, uint64_t seed)
{
	const struct world *world = &history->world;
	struct image image = {.bytes = world->metadata, .nr_blocks = world->nr_metadata_blocks};
	struct before before = before_look(&image);
	unsigned nr = 0;

	for (size_t i = 0; i < world->log.nr; i++) {
		const struct io_record *record = &world->log.records[i];
		char name[80];

		if (record->first || !record->count || image_is_zero(record->data))
			continue;
		memcpy(image_block(&image, 0), record->data, IMAGE_BLOCK);
		snprintf(name, sizeof(name), "ERA_SEED=%llu, record %zu", (unsigned long long)seed,
			 i);
		nr += try_superblock(&image, &before, name);
	}
	free(before.eras);
	return nr;
}

static unsigned try_history(uint64_t seed)
{
	static const uint32_t sizes[] = {1, 50, 500, 1018, 3000, 8192};
	struct history *history = calloc(1, sizeof(*history));
	unsigned nr;

	cr_assert_not_null(history);
	history->random.state = seed;
	world_init(&history->world, 60 + random_below(&history->random, 100),
		   sizes[random_below(&history->random, 6)]);
	open_live(history);
	for (uint64_t n = random_below(&history->random, 150); n; n--)
		do_something(history);
	live_close(&history->live);
	nr = try_all(history, seed);
	world_free(&history->world);
	free(history);
	return nr;
}

/*
 * Of all seeds, one superblock in 10,000 looks just like one that a single damaged field with a right
 * checksum would leave, which costs less: a seed that is not random has none of these.
 */
Test(stale_superblock, of_random_histories)
{
	uint64_t seed = random_setting("ERA_SEED", SEED_DEFAULT);
	uint64_t nr_rounds = random_setting("ERA_ROUNDS", ROUNDS_DEFAULT);
	unsigned nr = 0;

	printf("stale superblocks: ERA_SEED=%llu, %llu histories\n", (unsigned long long)seed,
	       (unsigned long long)nr_rounds);
	for (uint64_t i = 0; i < nr_rounds; i++)
		nr += try_history(seed + i);
	cr_expect_gt(nr, nr_rounds, "%u could be told from the last ones", nr);
}
