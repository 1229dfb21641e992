/* SPDX-License-Identifier: MIT */
/*
 * The block that names the roots: block 0 of a metadata device, and the root of a metadata snapshot.
 *
 * Source of the layout: struct superblock_disk in Linux's drivers/md/dm-era-target.c.
 */
#ifndef ERA_SUPERBLOCK_H
#define ERA_SUPERBLOCK_H

#include "era/stream.h"
#include "persistent-data/damage.h"
#include "persistent-data/space_map.h"

#define SUPERBLOCK_BLOCK 0
#define ERA_MAX_DATA_BLOCKS 0x7fffffff /* the kernel accepts fewer than 2^31 */
#define ERAS_PER_BLOCK 1018	       /* values in a full block of the era array */

#define SUPERBLOCK_FLAG_CLEAN 1 /* some writers set it; it means nothing to the kernel */

struct superblock {
	uint32_t flags;
	struct stream_info info;
	struct space_map_root space_map;
	uint32_t writeset_bits;	     /* of the current writeset */
	uint64_t writeset_root;	     /* of the current writeset; 0: there is none */
	uint64_t writeset_tree_root; /* writesets of past eras */
	uint64_t era_array_root;
	uint64_t metadata_snap; /* block of the held snapshot's superblock; 0: none is held */
};

/*
 * Reads a superblock from a block. false: damage->what and its numbers tell why. The roots it names
 * lie within a device of nr_blocks; those that must not be followed (see metadata.h) are not looked
 * at in a snapshot's superblock.
 */
bool superblock_decode(const uint8_t *block, uint64_t number, uint64_t nr_blocks, bool snapshot,
		       struct superblock *superblock, struct damage *damage);

/*
 * The same to salvage by: all that the checksum vouches for, whatever the fields say. false: the
 * checksum or block number is wrong.
 */
bool superblock_decode_loosely(const uint8_t *block, struct superblock *superblock,
			       struct damage *damage);

/* false: nothing is known of what its fields mean. */
bool superblock_has_our_version(const uint8_t *block);

/* Whether these sizes can be, on whatever device; else damage tells why. */
bool superblock_check_sizes(const struct stream_info *info, struct damage *damage);

/* Fills in a whole block, sealed for block 0. */
void superblock_encode(const struct superblock *superblock, uint8_t *block);

/* Whether the uuid is printable ASCII, padded with zeroes: XML cannot carry just any bytes. */
bool superblock_uuid_is_text(const struct stream_info *info);

/* What a first block is, if it is not a superblock of ours: a phrase, or NULL for no idea. */
const char *superblock_mistaken(const uint8_t *block);

/* Whether text begins as a superblock does, as far as its magic number. */
bool superblock_is_likely(const uint8_t *text, size_t size);

#endif
