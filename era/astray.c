/* SPDX-License-Identifier: MIT */
/* Tells blocks that are something else than what they are named as. */
#include "era/astray.h"
#include "persistent-data/error.h"

#include <stdlib.h>

static enum kind kind_at(struct block_io *io, uint8_t *block, uint64_t number)
{
	if (number >= io->nr_blocks || block_io_read(io, number, 1, block))
		return KIND_UNREADABLE;
	return block_kind(block, number);
}

static bool is_other(enum kind kind, unsigned kinds)
{
	return kind > KIND_ZEROES && !(kinds & ASTRAY_KIND(kind));
}

bool astray_is(struct block_io *io, uint8_t *block, uint64_t number, unsigned kinds)
{
	return is_other(kind_at(io, block, number), kinds);
}

/* 0: it is no tree of the superblock's. */
static uint64_t root_of(const struct superblock *sb, enum structure structure)
{
	switch (structure) {
	case STRUCTURE_WRITESET_TREE:
		return sb->writeset_tree_root;
	case STRUCTURE_CURRENT_WRITESET:
		return sb->writeset_root;
	case STRUCTURE_ERA_ARRAY:
		return sb->era_array_root;
	default:
		return 0;
	}
}

/* What a structure's trees can have where a block of the kind `parent` names it. */
static unsigned kinds_below(enum structure structure, enum kind parent)
{
	unsigned nodes = ASTRAY_ROOT(KIND_POINTERS);
	unsigned in_array = ASTRAY_KIND(structure == STRUCTURE_ERA_ARRAY ? KIND_ERAS : KIND_WORDS);

	if (structure == STRUCTURE_WRITESET_TREE)
		return ASTRAY_ROOT(KIND_WRITESETS);
	/* A leaf that is damaged may look like a node that is none, or that like a leaf. */
	return parent == KIND_INTERNAL || parent == KIND_POINTERS ? nodes | in_array : nodes;
}

static bool is_node(enum kind kind)
{
	return kind == KIND_INTERNAL || kind == KIND_POINTERS;
}

static void note_place(struct astray *astray, uint64_t parent)
{
	astray->apart |= astray->in_trees && parent != astray->parent;
	astray->in_trees = true;
	astray->parent = parent;
}

int astray_note(struct astray *astray, struct block_io *io, const struct superblock *sb,
		const struct finding *finding)
{
	const struct damage *damage = &finding->damage;
	/* What is wrong within a block tells nothing of who named it. */
	bool is_named = damage->parent || damage->block == root_of(sb, finding->structure);
	uint8_t *block;
	enum kind kind, parent;

	if (!is_named && (astray->any || finding->snapshot))
		return PD_OK;
	block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	if (!block)
		return PD_ERR_NO_MEMORY;
	parent = kind_at(io, block, damage->parent);
	kind = kind_at(io, block, damage->block);
	free(block);
	/* What is of a later era than the snapshot may be damaged, or belong to what is live. */
	astray->any |= kind > KIND_ZEROES && !finding->snapshot;
	if (is_named && is_other(kind, kinds_below(finding->structure, parent)))
		note_place(astray, damage->parent);
	astray->in_arrays |= is_named && parent == KIND_POINTERS && is_node(kind);
	return PD_OK;
}

static int note_one(struct block_io *io, uint64_t number, unsigned kinds, bool *astray)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);

	if (!block)
		return PD_ERR_NO_MEMORY;
	*astray |= astray_is(io, block, number, kinds);
	free(block);
	return PD_OK;
}

int astray_note_map(struct astray *astray, struct block_io *io, const struct space_map_root *root,
		    uint64_t number)
{
	unsigned kinds = ASTRAY_KIND(KIND_BITMAP);

	if (number == root->bitmap_root)
		kinds = ASTRAY_KIND(KIND_INDEX);
	else if (number == root->ref_count_root)
		kinds = ASTRAY_ROOT(KIND_REF_COUNTS);
	return note_one(io, number, kinds, &astray->in_map);
}

int astray_note_snapshot(struct astray *astray, struct block_io *io, uint64_t number)
{
	return note_one(io, number, 0, &astray->snapshot);
}
