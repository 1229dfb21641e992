/* SPDX-License-Identifier: MIT */
/* Moves the blocks of sound metadata about, for the benchmark. */
#ifndef TESTS_BENCH_SCATTER_H
#define TESTS_BENCH_SCATTER_H

#include "persistent-data/block_io.h"

/*
 * Puts all blocks in use, but for the superblock, into any order, and sets the pointers right. Holds
 * all of them in memory. Returns codes of enum pd_error.
 */
int scatter(struct block_io *io, uint64_t (*random_word)(void));

#endif
