/* SPDX-License-Identifier: MIT */
/* What a space map that is found somewhere on a device counts. */
#ifndef ERA_COUNTS_H
#define ERA_COUNTS_H

#include "era/scan.h"
#include "persistent-data/space_map.h"

#define COUNT_MAX 3 /* of a bitmap: that many or more */

struct counts {
	uint8_t *of;	       /* each block of the device: 0 to COUNT_MAX */
	uint64_t nr_allocated; /* of these; those that are not 0 */
	uint64_t nr_covered;   /* blocks that the space map is about; 0: its index block is lost */
	unsigned nr_bitmaps;
	uint64_t bitmaps[SPACE_MAP_MAX_BITMAPS]; /* where they should be */
	bool whole;				 /* all of them are there */
	bool changed; /* something else is where one was: it was put to another use since */
};

/*
 * By an index block; or by a bitmap, if it is the only one and its index block is lost. of, which is the
 * caller's, must be cleared. buffer: two blocks.
 */
void counts_read(struct counts *counts, struct scan *scan, uint64_t number, uint8_t *buffer);

#endif
