/* SPDX-License-Identifier: MIT */
/*
 * How large a metadata device has to be so that the target never runs out of it: then the user's
 * writes would fail. All sizes are in metadata blocks.
 *
 * What the kernel's target does between two commits (drivers/md/dm-era-target.c, which digests writesets
 * into the era array without committing in between) can copy the whole era array once, and the current
 * writeset, and begin another writeset; blocks that it frees are not used again before the commit.
 */
#ifndef ERA_METADATA_SIZE_H
#define ERA_METADATA_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#define SIZE_DEFAULT_WRITESETS 4
#define SIZE_MIN_BLOCK_SECTORS 128  /* of the default block size, which doubles ... */
#define SIZE_MANY_BLOCKS (1u << 24) /* ... until there are no more data blocks than that */

struct metadata_need {
	uint32_t nr_blocks;    /* data blocks */
	uint32_t nr_writesets; /* that wait to be digested, the current one not included */
	bool snapshot;	       /* a metadata snapshot is held, and all is rewritten meanwhile */
};

struct metadata_size {
	uint64_t trees;		/* exactly what era_restore writes of them, superblock included */
	uint64_t loose_nodes;	/* of trees that the kernel edits, which do not stay full */
	uint64_t snapshot;	/* trees that are held for it alone */
	uint64_t copy_on_write; /* of the worst transaction */
	uint64_t space_map;	/* of a device of that size, copies of all its blocks included */
	uint64_t reserve; /* that era_map keeps back, so that it can always digest (era/live.c) */
	uint64_t total;	  /* the sum; beyond METADATA_MAX_BLOCKS the target cannot use it */
};

/* Of any need: no sum runs over. */
void metadata_size(const struct metadata_need *need, struct metadata_size *size);

/* A block size, in sectors, for a device of so many bytes. */
uint64_t metadata_size_block_sectors(uint64_t device_size);

#endif
