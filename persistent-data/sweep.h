/* SPDX-License-Identifier: MIT */
/*
 * Walks many arrays at once and reads their blocks in the order in which these lie on the device,
 * however they are scattered over it: level by level, each level's blocks sorted and read in large
 * runs. So their entries come in no order at all.
 *
 * A sweep is for arrays that are sound. It checks all that array_walk() checks, but of the first thing
 * that is wrong it only says that there is something: array_walk() tells what.
 */
#ifndef PERSISTENT_DATA_SWEEP_H
#define PERSISTENT_DATA_SWEEP_H

#include "persistent-data/array.h"

struct sweep;

struct sweep_visitor {
	void *context;
	/* Entries of an array that was added under that tag. Not 0: the sweep ends with it. */
	int (*entries)(void *context, const struct array *array, uint64_t tag, uint64_t first,
		       unsigned n, const uint8_t *values);
};

/*
 * The reader and the visitor's context stay the caller's. Memory that a sweep takes, besides the
 * reader's: 16 bytes for each array block, 8 MiB at most, and while they are sorted twice that.
 */
int sweep_open(struct block_reader *reader, const struct sweep_visitor *visitor,
	       struct sweep **result);

/*
 * 0, PD_ERR_NO_MEMORY, PD_ERR_CORRUPT (by this array or one that was added before), or what the visitor
 * returned. The tag is the visitor's.
 */
int sweep_add(struct sweep *sweep, const struct array *array, uint64_t tag);

/* Sees to all that was added. Only when this has returned 0 was everything handed on and sound. */
int sweep_finish(struct sweep *sweep);

/* NULL is fine. */
void sweep_close(struct sweep *sweep);

#endif
