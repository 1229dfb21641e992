/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are sound and something else than what they are named as. Damage takes a block away, and
 * does not put another one in its place: either the pointer is damaged, or who named it did so before the
 * block was put to another use.
 */
#ifndef ERA_ASTRAY_H
#define ERA_ASTRAY_H

#include "era/finding.h"
#include "era/kind.h"
#include "era/superblock.h"
#include "persistent-data/block_io.h"

#include <stdbool.h>

/* Sets of kinds: of one, and what can stand where the root of a tree is named, by the kind of its leaves. */
#define ASTRAY_KIND(kind) (1u << (kind))
#define ASTRAY_ROOT(leaf) (ASTRAY_KIND(KIND_INTERNAL) | ASTRAY_KIND(leaf))

/* Whether a block is sound, and of no kind of the set. block: a buffer for one, aligned as for reads. */
bool astray_is(struct block_io *io, uint8_t *block, uint64_t number, unsigned kinds);

struct astray {
	bool in_trees;	 /* writesets or the era array name such a block, */
	bool apart;	 /* and in two places */
	uint64_t parent; /* the first of these */
	bool in_arrays;	 /* or a node as an array block, as does one that is damaged itself */
	bool in_map;	 /* the space map does, or the superblock names one as a part of it */
	bool snapshot;	 /* the metadata snapshot's superblock is sound, and cannot be */
	bool any; /* a sound block of what is live is not what it should be, in whatever respect */
};

/* What a walk of the superblock's trees, or of its metadata snapshot's, has found. PD_ERR_NO_MEMORY. */
int astray_note(struct astray *astray, struct block_io *io, const struct superblock *superblock,
		const struct finding *finding);

/* A damaged block of a space map. PD_ERR_NO_MEMORY. */
int astray_note_map(struct astray *astray, struct block_io *io, const struct space_map_root *root,
		    uint64_t number);

/* What was to be the metadata snapshot's superblock, and is damaged. PD_ERR_NO_MEMORY. */
int astray_note_snapshot(struct astray *astray, struct block_io *io, uint64_t number);

#endif
