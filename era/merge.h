/* SPDX-License-Identifier: MIT */
/*
 * The sink that merges what several streams say of the same data blocks: of each the latest era. Four
 * bytes a data block would be much memory for all at once, so it looks at a window at a time, and the
 * streams come again for each.
 */
#ifndef ERA_MERGE_H
#define ERA_MERGE_H

#include "era/guessed.h"
#include "era/stream.h"

#define MERGE_WINDOW (UINT32_C(1) << 20) /* data blocks: 4 MiB */

struct merge {
	struct sink
		sink; /* takes any part of a stream, and drops what lies outside of the window */
	uint32_t first, n; /* the window: data blocks [first, first + n) */
	uint32_t *eras;	   /* of these */
	uint32_t era;	   /* of the writeset at hand */
	struct guessed
		*raised; /* notes blocks of which an era was known, and was earlier; NULL: nobody */
};

/* PD_ERR_NO_MEMORY. To be destroyed in any case. */
int merge_init(struct merge *merge);
void merge_destroy(struct merge *merge);

/* Nothing is known of any of n <= MERGE_WINDOW data blocks. */
void merge_begin(struct merge *merge, uint32_t first, uint32_t n);

#endif
