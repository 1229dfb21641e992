/* SPDX-License-Identifier: MIT */
/* Metadata before they were damaged, against which what is salvaged of them is held. */
#ifndef TESTS_SUPPORT_BEFORE_H
#define TESTS_SUPPORT_BEFORE_H

#include "tests/support/salvaged.h"

#include <stdbool.h>

/* The eras that sound metadata have; to be freed. */
struct before {
	uint32_t nr_blocks, current_era, data_block_size;
	uint32_t *eras;
};

struct before before_look(const struct image *image);

/* The image of a fixture. */
struct before before_load(struct image *image, const char *name);

/*
 * What is salvaged of an image: sound, within a bound of reads, and by the law, that is for every era all
 * that changed since then. hints: as if the user had said what a superblock says.
 */
struct salvaged before_salvage(const struct image *image, const struct before *before, bool hints,
			       const char *name);

/* Data blocks that count as written later than they were. */
uint32_t before_excess(const struct salvaged *salvaged, const struct before *before);

#endif
