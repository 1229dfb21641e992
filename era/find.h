/* SPDX-License-Identifier: MIT */
/*
 * Finds what a superblock names; if it is lost, what the latest state that is left on the device has
 * instead (latest.h).
 */
#ifndef ERA_FIND_H
#define ERA_FIND_H

#include "era/latest.h"
#include "persistent-data/block_io.h"
#include "persistent-data/report.h"

/* What a superblock does not tell if it is lost; 0: not known. */
struct find_hints {
	uint32_t nr_blocks;	  /* data blocks */
	uint32_t data_block_size; /* sectors */
	uint32_t current_era;	  /* that had begun at the least */
};

/*
 * Reads the superblock, whose fields need not be in order; or, if it is lost, makes one up from the
 * latest state that is left, without uuid and with the least current era that it can have had. One that
 * leads astray is of another device or time, so that the latest state is not known. What is found is
 * reported. PD_ERR_CORRUPT: the superblock is lost and the hints do not make up for it;
 * PD_ERR_USAGE: it contradicts them; PD_ERR_UNSUPPORTED: another thing than era metadata, and no hints
 * say that it was; PD_ERR_NO_MEMORY.
 */
int find_superblock(struct block_io *io, const struct find_hints *hints,
		    const struct report *report, struct found *found);

#endif
