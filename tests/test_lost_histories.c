/* SPDX-License-Identifier: MIT */
/*
 * The superblock of random histories is lost, alone or with other blocks: their blocks were used again and
 * again, so that the device is full of states that look whole and never were.
 */
#include "tests/support/before.h"
#include "tests/support/history.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_DEFAULT 3390 /* some of these histories lost blocks once */
#define ROUNDS_DEFAULT 400
#define MAX_MORE 2   /* blocks that are lost with it */
#define TRIES 2	     /* of each number of these */
#define MAX_WHOLE 10 /* percent of the devices may count as changed whole if it is lost alone */

TestSuite(lost_histories, .timeout = 1200);

/* What there is of a history, as it is and to be damaged. */
struct subject {
	struct random random;
	struct image sound, image;
	struct before before;
	struct used_block *used;
	size_t nr_used;
	char name[60];
};

static struct subject subject_make(const struct history *history, uint64_t seed)
{
	struct subject subject = {.random = {seed}};
	const struct world *world = &history->world;

	image_init(&subject.sound, world->nr_metadata_blocks);
	image_init(&subject.image, world->nr_metadata_blocks);
	memcpy(subject.sound.bytes, world->metadata, world->nr_metadata_blocks * IMAGE_BLOCK);
	subject.before = before_look(&subject.sound);
	subject.used = image_used(&subject.sound, false, &subject.nr_used);
	snprintf(subject.name, sizeof(subject.name), "ERA_SEED=%llu", (unsigned long long)seed);
	return subject;
}

static void subject_free(struct subject *subject)
{
	image_free(&subject->sound);
	image_free(&subject->image);
	free(subject->before.eras);
	free(subject->used);
}

/* As sectors decay. */
static void lose_one(struct subject *subject)
{
	struct random *random = &subject->random;
	uint64_t number = subject->used[random_below(random, subject->nr_used)].block;
	uint8_t *block = image_block(&subject->image, number);

	switch (random_below(random, 3)) {
	case 0:
		memset(block, 0, IMAGE_BLOCK);
		break;
	case 1:
		for (size_t i = 0; i < IMAGE_BLOCK; i++)
			block[i] = (uint8_t)random_any(random);
		break;
	default:
		block[random_below(random, IMAGE_BLOCK)] ^= (uint8_t)(1 << random_below(random, 8));
		break;
	}
}

static void begin_trial(struct subject *subject)
{
	memcpy(subject->image.bytes, subject->sound.bytes, subject->sound.nr_blocks * IMAGE_BLOCK);
	memset(image_block(&subject->image, 0), 0, IMAGE_BLOCK);
}

/* Whether all of the device counts as changed that had not. */
static bool salvage(struct subject *subject)
{
	const struct before *before = &subject->before;
	struct salvaged salvaged = before_salvage(&subject->image, before, true, subject->name);
	uint32_t nr_earlier = 0, excess = before_excess(&salvaged, before);

	cr_expect_eq(salvaged.result, 0, "%s: %s", subject->name, salvaged.messages);
	for (uint32_t i = 0; i < before->nr_blocks; i++)
		nr_earlier += before->eras[i] < before->current_era;
	salvaged_free(&salvaged);
	return nr_earlier && excess == nr_earlier;
}

static void lose_more(struct subject *subject)
{
	for (unsigned nr = 1; nr <= MAX_MORE; nr++) {
		for (unsigned i = 0; i < TRIES; i++) {
			begin_trial(subject);
			for (unsigned k = 0; k < nr; k++)
				lose_one(subject);
			salvage(subject);
		}
	}
}

/* All that have one of two roles, which tell what belongs together. */
static void lose_role(struct subject *subject, enum role role, enum role other)
{
	begin_trial(subject);
	for (size_t i = 0; i < subject->nr_used; i++)
		if (subject->used[i].role == role || subject->used[i].role == other)
			image_block(&subject->image, subject->used[i].block)[2000] ^= 1;
	salvage(subject);
}

static void lose_end(struct subject *subject)
{
	begin_trial(subject);
	subject->image.nr_blocks = 2 + random_below(&subject->random, subject->sound.nr_blocks - 2);
	salvage(subject);
	subject->image.nr_blocks = subject->sound.nr_blocks;
}

/* Whether all counts as changed though the superblock alone is lost. */
static unsigned try_history(uint64_t seed)
{
	struct history *history = history_make(seed);
	struct subject subject = subject_make(history, seed);
	bool whole = false;

	if (subject.before.nr_blocks) {
		begin_trial(&subject);
		whole = salvage(&subject);
		lose_more(&subject);
		lose_role(&subject, ROLE_SNAPSHOT, ROLE_SNAPSHOT);
		lose_role(&subject, ROLE_INDEX, ROLE_BITMAP);
		lose_end(&subject);
	}
	subject_free(&subject);
	history_free(history);
	return whole;
}

Test(lost_histories, of_random_histories)
{
	struct history_rounds rounds = {"lost histories", SEED_DEFAULT, ROUNDS_DEFAULT};
	uint64_t nr_whole = history_rounds_sum(&rounds, try_history);

	cr_expect_leq(nr_whole * 100, rounds.nr * MAX_WHOLE, "%llu count as changed whole",
		      (unsigned long long)nr_whole);
}

/*
 * Rare ones: the snapshot's era array in place of the live one; a device that was smaller for a while; the
 * space map of the last state explained by one of the earlier states.
 */
Test(lost_histories, that_lost_blocks_once)
{
	static const uint64_t seeds[] = {10912, 31613, 10033, 20696};

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
		try_history(seeds[i]);
}
