/* SPDX-License-Identifier: MIT */
/*
 * Whether a superblock is of an earlier time than what is on its device, or of another one, by what is at
 * odds with it. Damage alone does not put it there: what decays is not sound any more.
 */
#ifndef ERA_OUTDATED_H
#define ERA_OUTDATED_H

#include "era/astray.h"

/* What was found of what it names. */
struct testimony {
	struct astray astray;
	uint64_t nr_lost;	   /* nodes of what is live; what lies below them was not counted */
	uint64_t nr_more, nr_less; /* blocks that are counted as used more, less than they are */
	bool snapshot_lost;
	bool map_lost;	   /* not all of the space map can be read, */
	bool map_doubtful; /* or is in order */
	bool cut;	   /* it is about more blocks than the device has */
	bool alien;	   /* it agrees with itself about the data blocks, and with nothing else */
	bool has_later; /* the trees, not just the device, know of eras that the superblock does not */
};

/* PD_ERR_NO_MEMORY. */
int outdated_judge(struct block_io *io, const struct superblock *superblock,
		   const struct testimony *testimony, bool *outdated);

#endif
