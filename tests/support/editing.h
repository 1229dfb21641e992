/* SPDX-License-Identifier: MIT */
/*
 * A device in memory that is edited in place, and a check from scratch of what was committed on it.
 * The superblock is not of any format: it holds the space map's root and nothing else.
 */
#ifndef TESTS_SUPPORT_EDITING_H
#define TESTS_SUPPORT_EDITING_H

#include "persistent-data/transaction.h"

struct editing {
	uint8_t *memory;
	uint64_t nr_blocks;
	struct block_io *device;
	struct transaction tx;
	struct space_map_root root; /* as committed */
	struct ref_counts refs;
	struct block_reader reader;
};

void editing_init(struct editing *editing, uint64_t nr_blocks);
void editing_free(struct editing *editing);

void editing_commit(struct editing *editing);

/* Between these two, walks with `reader` count all references; a pass for each reader of its own. */
void editing_check_begin(struct editing *editing);
/* The space map must say exactly what was counted. */
void editing_check_end(struct editing *editing);

/* A damage_fn that fails the test. */
struct damage;
int editing_damage(void *context, const struct damage *damage);

#endif
