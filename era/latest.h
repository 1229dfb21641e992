/* SPDX-License-Identifier: MIT */
/*
 * Finds the latest state of metadata that is left on a device, by looking at every block of it (see
 * state.h), and whether that can be relied on.
 */
#ifndef ERA_LATEST_H
#define ERA_LATEST_H

#include "era/find.h"

/*
 * What there is in place of a superblock. info: the numbers that are known of it, and the least current
 * era; taken over and raised. astray: there is a superblock that knows nothing of what is there, so that
 * it may be from before the latest state or after. What is found is reported. PD_ERR_NO_MEMORY.
 */
int latest_find(struct block_io *io, struct stream_info *info, bool astray,
		const struct report *report, struct found *found);

/*
 * Whether the latest state that is left, if it is known which that is, is later than the one that a
 * superblock names, whose space map is lost. PD_ERR_NO_MEMORY.
 */
int latest_find_later(struct block_io *io, const struct superblock *superblock, bool *later);

#endif
