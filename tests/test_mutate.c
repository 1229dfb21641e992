/* SPDX-License-Identifier: MIT */
/*
 * Mutants by the thousand: random changes to random blocks in use, half of them under checksums put
 * right again. ERA_SEED repeats a run, ERA_ROUNDS sets its length; a round depends on nothing but the
 * seed and its number.
 */
#include "tests/support/bounded.h"
#include "tests/support/mutate.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define ROUNDS 1500
#define MAX_CHANGES 4
#define NR_SHARES 8 /* tests, each of which makes its share of the rounds */

TestSuite(mutate, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 3600);

/*
 * Whether a block in use now has a checksum that is wrong for what it is there for, so that era_check
 * must notice. In a snapshot alone, a pointer to it may have gone, too, and nobody misses it.
 */
static bool mutate(struct mutant *mutant, struct random *random)
{
	unsigned nr = 1 + (unsigned)random_below(random, MAX_CHANGES);
	bool right_seals = random_below(random, 2);
	bool broken = false;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t block = mutate_pick(mutant, random);

		mutant_touch(mutant, block);
		mutate_block(mutant, random, block);
		if (right_seals)
			mutate_reseal(mutant, random, block);
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
	uint64_t seed = random_seed();
	uint64_t rounds = random_setting("ERA_ROUNDS", bounded_sanitized() ? ROUNDS / 8 : ROUNDS);
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
