/* SPDX-License-Identifier: MIT */
/*
 * States of metadata that are left on a device.
 *
 * A device is full of old versions of everything, sound to look at. What was in use together a space
 * map knows: of the blocks that it counts, those that are counted once more than others refer to them
 * are what the superblock referred to. The state is consistent if that comes out even: one writeset
 * tree, one era array, one tree of reference counts, perhaps a current writeset, perhaps a metadata
 * snapshot. The kernel takes new blocks before it takes those that are free again, so many states can
 * be left.
 */
#ifndef ERA_STATE_H
#define ERA_STATE_H

#include "era/scan.h"
#include "era/superblock.h"

struct state {
	struct superblock superblock; /* without uuid and current era */
	uint64_t nr_array_blocks;
	uint64_t *array_blocks; /* of the era array; 0: none in that place */
	uint32_t latest;	/* era that it has */
	uint64_t nr_bit_blocks;
	uint64_t *bit_blocks; /* of the current writeset's bitset; 0: none in that place */
	uint64_t writesets;   /* stands for what the tree has, but for those without a bit */
	bool writesets_lost;  /* not all of that is known */
	uint64_t nr_damaged;  /* blocks in use that hold nothing now */
	bool fades;	      /* the last of these are zeroes, as are all blocks behind them */
	bool has_last;	      /* the last block that must have held something is in use */
	bool cut_short;	      /* its space map is about more blocks than the device has now */
	bool damaged; /* more is lost than what its trees contain: not consistent any longer */
};

/*
 * The state to which a space map belongs, by its index block; or by its bitmap, if that is the only
 * one and its index block is lost. info: the sizes that its era array must have. false: there is no
 * such state that is consistent, or would be but for damage. *error: PD_ERR_NO_MEMORY, or
 * unchanged. To be destroyed in any case.
 */
bool state_make(struct state *state, struct scan *scan, uint64_t number,
		const struct stream_info *info, int *error);
/* The one that a superblock names, whatever the space maps say. PD_ERR_NO_MEMORY. To be destroyed. */
int state_make_named(struct state *state, struct scan *scan, const struct superblock *superblock);

void state_destroy(struct state *state);

#endif
