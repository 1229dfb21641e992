/* SPDX-License-Identifier: MIT */
/* Random numbers that a seed repeats, and the settings of tests that use them. */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state; /* the seed, to begin with */
};

uint64_t random_any(struct random *random);

/* From 0 to end - 1. */
uint64_t random_below(struct random *random, uint64_t end);

/* The number in an environment variable. */
uint64_t random_setting(const char *variable, uint64_t otherwise);

/* ERA_SEED, or another one each time. */
uint64_t random_seed(void);

#endif
