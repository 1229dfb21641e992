/* SPDX-License-Identifier: MIT */
/*
 * Builds a btree in bulk from entries that come in ascending order of key. Every node but the last
 * of its level is full; where the last one would be less than a third full, the last two share their
 * entries evenly: the kernel keeps nodes as full as that, and thin-provisioning-tools 0.9.0 refuses
 * others. Memory: two nodes for each level.
 */
#ifndef PERSISTENT_DATA_BTREE_BUILD_H
#define PERSISTENT_DATA_BTREE_BUILD_H

#include "persistent-data/block_writer.h"
#include "persistent-data/btree.h"

struct btree_build_level {
	unsigned nr_entries;
	uint8_t node[METADATA_BLOCK_SIZE]; /* laid out already, but for its header */
	bool has_full;			   /* there is a node before that, which is full */
	uint8_t full[METADATA_BLOCK_SIZE];
};

struct btree_build {
	struct block_writer *writer;
	unsigned value_size; /* of the leaves */
	unsigned nr_levels;
	struct btree_build_level *levels[BTREE_MAX_DEPTH]; /* leaves first */
};

/* writer stays the caller's. PD_ERR_NO_MEMORY; destroy is needed in any case. */
int btree_build_init(struct btree_build *build, struct block_writer *writer, unsigned value_size);
void btree_build_destroy(struct btree_build *build);

/* value: value_size bytes as they are to be on the disk. */
int btree_build_add(struct btree_build *build, uint64_t key, const void *value);

/* Writes what is left; *root: the tree's root, a leaf without entries if nothing was added. */
int btree_build_finish(struct btree_build *build, uint64_t *root);

/* Nodes of a tree that is built from so many entries. */
uint64_t btree_build_nr_nodes(uint64_t nr_entries, unsigned value_size);

#endif
