/* SPDX-License-Identifier: MIT */
/*
 * Finds the latest state of metadata that is left on a device, by looking at every block of it (see
 * state.h), and whether that can be relied on.
 */
#ifndef ERA_LATEST_H
#define ERA_LATEST_H

#include "era/superblock.h"
#include "persistent-data/block_io.h"
#include "persistent-data/report.h"

#define FIND_MAX_STATES 16

struct found {
	/*
	 * 0: nothing; then the first one has numbers, but no roots. More than one: which is the latest
	 * cannot be told.
	 */
	unsigned nr;
	bool in_place; /* the superblock is where it should be, and none was made up */
	/* But it does not know of an era that is given, or names a sound block of another kind. */
	bool outdated;
	bool era_hinted; /* the least current era was given */
	struct superblock superblocks[FIND_MAX_STATES];
};

/*
 * What there is in place of a superblock. info: the numbers that are known of it, and the least current
 * era; taken over and raised. astray: there is a superblock that knows nothing of what is there, so that
 * it may be from before the latest state or after. What is found is reported. PD_ERR_NO_MEMORY.
 */
int latest_find(struct block_io *io, struct stream_info *info, bool astray,
		const struct report *report, struct found *found);

/* What the states that are left say of a superblock that may not be the last one. */
struct latest_verdict {
	bool later;	/* it is known which is the latest of them, and later than what it names */
	bool is_latest; /* what it names is */
};

/* PD_ERR_NO_MEMORY. */
int latest_judge(struct block_io *io, const struct superblock *superblock,
		 struct latest_verdict *verdict);

#endif
