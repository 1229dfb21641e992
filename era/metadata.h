/* SPDX-License-Identifier: MIT */
/*
 * Metadata that has been opened: a device's own, or the metadata snapshot that it holds.
 *
 * In a snapshot's superblock the current writeset and the space map must not be followed: their
 * blocks are not held for it and may be something else by now. Nothing is lost by that, since taking
 * a snapshot begins a new era first. The kernel tells of this nowhere but in what its
 * metadata_take_snap() takes references on (drivers/md/dm-era-target.c).
 */
#ifndef ERA_METADATA_H
#define ERA_METADATA_H

#include "era/superblock.h"
#include "persistent-data/block_reader.h"
#include "persistent-data/report.h"

struct metadata {
	struct block_io *io;
	bool snapshot;		      /* a metadata snapshot was opened */
	struct superblock superblock; /* the one in use */
	struct superblock live;	      /* that of block 0 */
	struct ref_counts refs;
	/*
	 * One for the writeset tree, and one for the arrays, bitsets while the former is walked and
	 * all others: so only one of them ever needs memory for array blocks.
	 */
	struct block_reader reader, bitset_reader;
};

/*
 * io stays the caller's and must outlive the result. What is wrong is reported. PD_ERR_USAGE: a
 * snapshot was asked for where none is held.
 */
int metadata_open(struct block_io *io, bool snapshot, const struct report *report,
		  struct metadata **result);

/* The same by a superblock that was found in another way; its roots may lead anywhere. */
int metadata_open_by(struct block_io *io, const struct superblock *superblock,
		     const struct report *report, struct metadata **result);
void metadata_close(struct metadata *metadata);

/*
 * To be called when all has been read: PD_ERR_BUSY if the snapshot that was opened is not held any
 * longer, which makes worthless whatever was read from it. 0 where no snapshot was opened.
 */
int metadata_still_held(struct metadata *metadata, const struct report *report);

/* Reads the superblock of the snapshot that the live one names; not 0: damage tells why. */
int metadata_read_snapshot(struct block_io *io, const struct superblock *live,
			   struct superblock *snapshot, struct damage *damage);

#endif
