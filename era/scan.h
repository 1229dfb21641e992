/* SPDX-License-Identifier: MIT */
/* What every block of a device is by its own account, for when no superblock tells where to begin. */
#ifndef ERA_SCAN_H
#define ERA_SCAN_H

#include "era/kind.h"
#include "persistent-data/block_io.h"

#include <stdbool.h>

/*
 * An era as large as that is rubbish: no device lives to see so many, and some must be left.
 */
#define LAST_PLAUSIBLE_ERA INT32_MAX

struct scan {
	struct block_io *io;
	uint64_t nr_blocks;  /* metadata blocks that can be in use */
	uint64_t looks_left; /* second looks at blocks: what is hostile must not cost any number */
	uint8_t *kinds;	     /* of each block: enum kind */
	uint64_t *sums;	     /* of each array block: its eras added up, or its bits that are set, */
	uint16_t *lengths;   /* how many entries it has, */
	uint32_t *latest;    /* and the latest era, if these are eras */
	uint32_t over;	/* the latest era seen in a writeset tree or an era array: it is over, */
	uint32_t known; /* and in a metadata snapshot: it had begun */
	uint32_t later_than; /* an era, for: */
	uint64_t nr_later;   /* blocks that know of a later one */
	uint64_t sound_end;  /* no block from here on is sound */
	uint64_t last_used;  /* the last block that must have held something; */
	bool fades;	     /* it ends no transaction: that was lost behind it */
	bool unfilled;	     /* it ends one, and there are blocks that were never used */
	uint64_t nr_damaged; /* blocks that hold nothing, and must have held something */
	/* By scan_note_size(): the device had another size, the latest era of which is, as far as is known: */
	bool resized;
	uint32_t other_latest;
	uint64_t last_index;  /* the last of the space map index blocks; 0: there is none; */
	uint64_t last_bitmap; /* the last bitmap that these name */
};

/*
 * Blocks in a row that hold zeroes: what is behind so many was never used, as likely as not. Large devices
 * are mostly empty.
 */
#define SCAN_FAR_ENOUGH 16384
#define SCAN_ALL UINT64_MAX

/*
 * Reads the whole device, or as far as so many zeroes: the device counts as ending there. PD_ERR_NO_MEMORY,
 * both. To be destroyed in any case.
 */
int scan_make(struct scan *scan, struct block_io *io, uint64_t nr_zeroes);
/* The same without what takes memory for each block, and without what is damaged. */
int scan_make_small(struct scan *scan, struct block_io *io, uint64_t nr_zeroes,
		    uint32_t later_than);
void scan_destroy(struct scan *scan);

/*
 * How many data blocks the device has. If it was larger or smaller before, array blocks of other lengths are
 * left.
 */
void scan_note_size(struct scan *scan, uint64_t nr_data_blocks);

/*
 * A block once more, into a buffer aligned as block_io.h wants it. false: it is not what it was, or
 * that was one look too many.
 */
bool scan_look(struct scan *scan, uint64_t number, uint8_t *block);

/*
 * Data blocks of the longest era array that is left; *may_end: or fewer, since its last array block is lost
 * and counts as full.
 */
uint64_t scan_nr_data_blocks(struct scan *scan, uint8_t *block, bool *may_end);

#endif
