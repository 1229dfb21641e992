/* SPDX-License-Identifier: MIT */
/*
 * What a random user did to a small device with live metadata: writes, checkpoints, digests, snapshots,
 * resizes, until blocks have been used many times over.
 */
#ifndef TESTS_SUPPORT_HISTORY_H
#define TESTS_SUPPORT_HISTORY_H

#include "tests/support/random.h"
#include "tests/support/world.h"

#define HISTORY_BLOCK_SIZE 8 /* sectors */

struct history {
	struct random random;
	bool resizes;	     /* those of every second seed do */
	uint32_t first_size; /* data blocks */
	struct world world;  /* whose log has all that was written */
	struct live live;
};

/* By a seed; closed. To be freed. */
struct history *history_make(uint64_t seed);
void history_free(struct history *history);

/* Of ERA_SEED and the seeds behind it, ERA_ROUNDS in all. */
struct history_rounds {
	const char *what;  /* is tried */
	uint64_t seed, nr; /* unless they are set; then, as they are */
};

/* The sum of what `one` returns, by each seed. */
uint64_t history_rounds_sum(struct history_rounds *rounds, unsigned (*one)(uint64_t seed));

#endif
