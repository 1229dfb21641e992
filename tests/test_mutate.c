/* SPDX-License-Identifier: MIT */
/*
 * Mutants by the thousand: random changes to random blocks in use, half of them under checksums put
 * right again. ERA_SEED repeats a run, ERA_ROUNDS sets its length; a round depends on nothing but the
 * seed and its number.
 */
#include "tests/support/bounded.h"
#include "tests/support/mutant.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ROUNDS 1500
#define MAX_CHANGES 4
#define NR_SHARES 8 /* tests, each of which makes its share of the rounds */

TestSuite(mutate, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 3600);

/* Random numbers (splitmix64). */

struct random {
	uint64_t state;
};

static uint64_t any(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct random *random, uint64_t end)
{
	return any(random) % end;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* The same for all tests of a run. */
static uint64_t base_seed(void)
{
	uint64_t seed = number_from("ERA_SEED", 0);

	if (!seed && getrandom(&seed, 4, 0) != 4)
		seed = (uint64_t)getpid();
	return seed;
}

/* One change to one block. */

static uint64_t used_block(struct mutant *mutant, struct random *random)
{
	return mutant->used[below(random, mutant->nr_used)].block;
}

/* A number that might do harm in that place. */
static uint64_t evil_value(struct mutant *mutant, struct random *random, uint64_t now)
{
	switch (below(random, 9)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return now + 1;
	case 3:
		return now - 1;
	case 4:
		return now ^ UINT64_C(1) << below(random, 64);
	case 5:
		return below(random, 1024);
	case 6:
		return mutant->image.nr_blocks - below(random, 2);
	case 7:
		return any(random);
	default:
		return used_block(mutant, random);
	}
}

static void change_field(struct mutant *mutant, struct random *random, uint64_t block, size_t from,
			 size_t to)
{
	size_t size = below(random, 2) ? 8 : 4;
	size_t offset = from + below(random, (to - from) / size) * size;
	uint64_t now = image_get(&mutant->image, block, offset, size);

	image_set(&mutant->image, block, offset, size, evil_value(mutant, random, now));
}

static void change_header(struct mutant *mutant, struct random *random, uint64_t block)
{
	change_field(mutant, random, block, 4, 4 + 64);
}

/* Keys, values, roots: what stands where the block has something. */
static void change_content(struct mutant *mutant, struct random *random, uint64_t block)
{
	static const size_t begins[] = {44, 172, NODE_KEYS, NODE_KEYS + 8 * 201,
					NODE_KEYS + 8 * 252};
	size_t from = begins[below(random, sizeof(begins) / sizeof(begins[0]))];

	change_field(mutant, random, block, from, from + 48);
}

static void flip_bit(struct mutant *mutant, struct random *random, uint64_t block)
{
	size_t byte = 4 + below(random, IMAGE_BLOCK - 4);

	image_block(&mutant->image, block)[byte] ^= (uint8_t)(1 << below(random, 8));
}

/* Many of these are just other metadata: a bit more, a bit less, an era that is not the right one. */
static void change_array_value(struct mutant *mutant, struct random *random, uint64_t block)
{
	const struct image *image = &mutant->image;
	uint32_t current = (uint32_t)image_get(&mutant->sound, 0, SB_CURRENT_ERA, 4);
	size_t value_size = image_get(image, block, ARRAY_VALUE_SIZE, 4) == 8 ? 8 : 4;
	size_t offset = ARRAY_VALUES + below(random, 60) * value_size;

	if (image_kind(image_block(&mutant->sound, block)) != KIND_ARRAY)
		flip_bit(mutant, random, block);
	else if (value_size == 8)
		image_set(image, block, offset, 8, any(random));
	else
		image_set(image, block, offset, 4, below(random, (uint64_t)current + 1));
}

static void scribble(struct mutant *mutant, struct random *random, uint64_t block)
{
	size_t size = 1 + below(random, 512);
	uint8_t *bytes = image_block(&mutant->image, block) + below(random, IMAGE_BLOCK - size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)any(random);
}

static void copy_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	uint64_t from = below(random, 4) ? used_block(mutant, random)
					 : below(random, mutant->image.nr_blocks);
	enum kind kind = image_kind(image_block(&mutant->sound, from));

	memmove(image_block(&mutant->image, block), image_block(&mutant->sound, from), IMAGE_BLOCK);
	if (below(random, 2))
		image_set(&mutant->image, block, kind == KIND_ARRAY ? ARRAY_BLOCKNR : NODE_BLOCKNR,
			  8, block);
}

static void clear_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	memset(image_block(&mutant->image, block), below(random, 2) ? 0 : 0xff, IMAGE_BLOCK);
}

/* The superblock often, unless it is live: one that is damaged is read again for a while then. */
static uint64_t pick_block(struct mutant *mutant, struct random *random)
{
	return below(random, mutant->snapshot ? 60 : 6) ? used_block(mutant, random) : 0;
}

static void change_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	static void (*const changes[])(struct mutant *, struct random *, uint64_t) = {
		change_header,	    change_header,	change_content, change_content,
		change_content,	    flip_bit,		scribble,	copy_block,
		change_array_value, change_array_value, clear_block,
	};

	changes[below(random, sizeof(changes) / sizeof(changes[0]))](mutant, random, block);
}

/* The type it is to have: its own, what its content says, or now and then any. */
static void reseal(struct mutant *mutant, struct random *random, uint64_t block)
{
	enum kind kind = image_kind(image_block(&mutant->sound, block));

	if (below(random, 16) == 0)
		kind = KIND_SUPERBLOCK + below(random, NR_KINDS - 1);
	image_reseal(&mutant->image, block, kind);
}

/*
 * Whether a block in use now has a checksum that is wrong for what it is there for, so that era_check
 * must notice. In a snapshot alone, a pointer to it may have gone, too, and nobody misses it.
 */
static bool mutate(struct mutant *mutant, struct random *random)
{
	unsigned nr = 1 + (unsigned)below(random, MAX_CHANGES);
	bool right_seals = below(random, 2);
	bool broken = false;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t block = pick_block(mutant, random);

		mutant_touch(mutant, block);
		change_block(mutant, random, block);
		if (right_seals)
			reseal(mutant, random, block);
	}
	for (unsigned i = 0; i < mutant->nr_touched; i++) {
		uint64_t block = mutant->touched[i];

		if (image_kind(image_block(&mutant->image, block)) !=
		    image_kind(image_block(&mutant->sound, block)))
			broken = true;
	}
	return broken && !(right_seals && mutant->snapshot);
}

/* What era_check passes can be dumped, restored and dumped again without a difference. */

static struct outcome dump(const struct mutant *mutant, const char *path, bool snapshot)
{
	struct outcome outcome = snapshot ? BOUNDED_RUN("era_dump", "--metadata-snapshot", path)
					  : BOUNDED_RUN("era_dump", path);

	cr_assert_eq(outcome.status, 0, "%s: %s", mutant->fixture, outcome.err);
	return outcome;
}

static void expect_round_trip(const struct mutant *mutant, const char *name)
{
	struct outcome before = dump(mutant, mutant->file.image, mutant->snapshot);
	const char *xml = fixture_file("round.xml", before.out, before.out_size);
	const char *image = fixture_file("round.img", NULL, mutant->image.nr_blocks * IMAGE_BLOCK);
	struct outcome restored = BOUNDED_RUN("era_restore", "-i", xml, "-o", image);
	struct outcome checked = BOUNDED_RUN("era_check", image);
	struct outcome after;

	cr_assert_eq(restored.status, 0, "%s: %s: %s", mutant->fixture, name, restored.err);
	cr_expect_eq(checked.status, 0, "%s: %s: restored: %s", mutant->fixture, name, checked.err);
	after = dump(mutant, image, false);
	cr_expect_str_eq(before.out, after.out, "%s: %s: the round trip made a difference",
			 mutant->fixture, name);
	outcome_free(&before);
	outcome_free(&restored);
	outcome_free(&checked);
	outcome_free(&after);
}

static void mutate_fixture(const char *fixture, bool snapshot, unsigned share)
{
	uint64_t seed = base_seed();
	uint64_t rounds = number_from("ERA_ROUNDS", bounded_sanitized() ? ROUNDS / 8 : ROUNDS);
	uint64_t nr_passed = 0;
	struct mutant mutant;
	char name[96];

	mutant_open(&mutant, fixture, snapshot);
	for (uint64_t round = share; round < rounds; round += NR_SHARES) {
		struct random random = {seed * UINT64_C(0x100000001b3) + round};
		bool broken = mutate(&mutant, &random);

		snprintf(name, sizeof(name), "ERA_SEED=%llu, round %llu", (unsigned long long)seed,
			 (unsigned long long)round);
		if (mutant_judge(&mutant, name, broken, false)) {
			expect_round_trip(&mutant, name);
			nr_passed++;
		}
		mutant_heal(&mutant);
	}
	fprintf(stderr, "mutate: %s%s: ERA_SEED=%llu, %llu mutants, %llu of them sound\n", fixture,
		snapshot ? " (snapshot)" : "", (unsigned long long)seed,
		(unsigned long long)((rounds + NR_SHARES - 1 - share) / NR_SHARES),
		(unsigned long long)nr_passed);
	mutant_close(&mutant);
}

#define MUTATE(id, fixture, snapshot, share)              \
	Test(mutate, id)                                  \
	{                                                 \
		mutate_fixture(fixture, snapshot, share); \
	}

MUTATE(hello, "hello", false, 0)
MUTATE(clean_undigested, "clean-undigested", false, 1)
MUTATE(crash, "crash", false, 2)
MUTATE(crash_snap, "crash-snap", false, 3)
MUTATE(snapdrop, "snapdrop-2-with", false, 4)
MUTATE(snap_live, "snap-live", true, 5)
MUTATE(resize_shrink, "resize-shrink", false, 6)
MUTATE(bs24, "bs24", false, 7)
