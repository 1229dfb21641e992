/* SPDX-License-Identifier: MIT */
/* Random changes to the blocks of a mutant. */
#ifndef TESTS_SUPPORT_MUTATE_H
#define TESTS_SUPPORT_MUTATE_H

#include "tests/support/mutant.h"
#include "tests/support/random.h"

/* A block in use: the superblock often, unless it is live and would be read again for a while. */
uint64_t mutate_pick(struct mutant *mutant, struct random *random);

/* Changes one block, which the mutant must know to be touched, in some way. */
void mutate_block(struct mutant *mutant, struct random *random, uint64_t block);

/* Puts its checksum right, now and then for another type. */
void mutate_reseal(struct mutant *mutant, struct random *random, uint64_t block);

#endif
