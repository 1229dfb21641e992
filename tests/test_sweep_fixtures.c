/* SPDX-License-Identifier: MIT */
/*
 * What kernels wrote, damaged at random: a sweep passes exactly what a walk in order passes, and says
 * the same. ERA_SEED repeats a run, ERA_ROUNDS sets its length.
 */
#include "tests/support/mutate.h"
#include "tests/support/swept.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define ROUNDS 8000
#define NR_FIXTURES 8

static void mutate(struct mutant *mutant, struct random *random)
{
	unsigned nr = 1 + (unsigned)random_below(random, 3);

	for (unsigned i = 0; i < nr; i++) {
		uint64_t block = mutate_pick(mutant, random);

		mutant_touch(mutant, block);
		mutate_block(mutant, random, block);
		mutate_reseal(mutant, random, block);
	}
}

static void compare_mutants(const char *fixture, bool snapshot)
{
	uint64_t seed = random_seed();
	uint64_t rounds = random_setting("ERA_ROUNDS", ROUNDS) / NR_FIXTURES;
	struct random random = {seed};
	struct mutant mutant;

	mutant_open(&mutant, fixture, snapshot);
	for (uint64_t i = 0; i <= rounds; i++) {
		const char *problem;

		if (i)
			mutate(&mutant, &random);
		problem = swept_differs(mutant.image.bytes, mutant.image.nr_blocks, snapshot,
					(uint32_t)random_below(&random, 12));
		cr_expect(!problem, "%s: %s, ERA_SEED=%llu, round %llu", fixture, problem,
			  (unsigned long long)seed, (unsigned long long)i);
		mutant_heal(&mutant);
	}
	fprintf(stderr, "sweep: %s: ERA_SEED=%llu\n", fixture, (unsigned long long)seed);
	mutant_close(&mutant);
}

TestSuite(sweep_fixtures, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 3600);

#define COMPARE(id, fixture, snapshot)              \
	Test(sweep_fixtures, id)                    \
	{                                           \
		compare_mutants(fixture, snapshot); \
	}

COMPARE(hello, "hello", false)
COMPARE(clean_undigested, "clean-undigested", false)
COMPARE(crash, "crash", false)
COMPARE(crash_snap, "crash-snap", false)
COMPARE(snapdrop, "snapdrop-2-with", false)
COMPARE(snap_live, "snap-live", true)
COMPARE(resize_shrink, "resize-shrink", false)
COMPARE(bs24, "bs24", false)
