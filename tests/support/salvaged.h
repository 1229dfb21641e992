/* SPDX-License-Identifier: MIT */
/*
 * What is salvaged of an image, in this process and in memory, so that it can be done by the thousand:
 * written as fresh metadata, and read from there by the naive implementation.
 */
#ifndef TESTS_SUPPORT_SALVAGED_H
#define TESTS_SUPPORT_SALVAGED_H

#include "persistent-data/block_io.h"
#include "tests/support/image.h"

#include <stdint.h>

struct salvaged {
	int result;	     /* 0, or why there is nothing: a code of the library's */
	char problem[200];   /* what is wrong with what was written; empty: nothing */
	char messages[4000]; /* what was reported, as far as there is room */
	uint64_t nr_reads;   /* metadata blocks that were read, again and again included */
	uint32_t nr_blocks, current_era;
	uint32_t *eras; /* of each data block, writesets included */
};

/* nr_blocks and data_block_size: as if the user had given them; 0: he has not. To be freed. */
void salvaged_make(struct salvaged *salvaged, const struct image *image, uint32_t nr_blocks,
		   uint32_t data_block_size);
void salvaged_make_from(struct salvaged *salvaged, struct block_io *io, uint32_t nr_blocks,
			uint32_t data_block_size);
void salvaged_free(struct salvaged *salvaged);

/* The eras of an image that is sound; to be freed. */
uint32_t *salvaged_truth(const struct image *image, uint32_t *nr_blocks, uint32_t *current_era);

#endif
