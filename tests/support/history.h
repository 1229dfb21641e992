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

#endif
