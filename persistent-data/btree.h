/* SPDX-License-Identifier: MIT */
/*
 * Walks btrees: hands on the entries of each leaf, in ascending order of key, and each damage.
 *
 * Source of the node layout: struct node_header in Linux's drivers/md/persistent-data/
 * dm-btree-internal.h.
 */
#ifndef PERSISTENT_DATA_BTREE_H
#define PERSISTENT_DATA_BTREE_H

#include "persistent-data/block_reader.h"
#include "persistent-data/damage.h"

/* Layout of a node, in bytes; see also btree_build.c. */
#define NODE_FLAGS 4
#define NODE_NR_ENTRIES 16
#define NODE_MAX_ENTRIES 20
#define NODE_VALUE_SIZE 24
#define NODE_KEYS 32

#define NODE_INTERNAL 1
#define NODE_LEAF 2

#define BTREE_MIN_VALUE_SIZE 4
#define BTREE_MAX_FANOUT 336 /* entries of a node with the smallest values */

/* Entries that fit a node: a multiple of three. */
static inline unsigned btree_max_entries(unsigned value_size)
{
	return 3 * ((METADATA_BLOCK_SIZE - NODE_KEYS) / (8 + value_size) / 3);
}

/* A node decoded. The caller gives its place, and the keys that its parent allows it. */
struct btree_node {
	uint64_t block;
	unsigned depth;
	uint64_t begin, last; /* of the keys, both included */
	bool leaf;
	unsigned nr_entries;
	const uint8_t *values; /* as they are on the disk */
	uint64_t keys[BTREE_MAX_FANOUT];
};

/*
 * Decodes what has been verified, and checks all of it that the node and its place tell; the leaves'
 * values are of value_size bytes. false: damage tells what is wrong.
 */
bool btree_node_decode(struct btree_node *node, const uint8_t *data, unsigned value_size,
		       struct damage *damage);

/* The last key that child i may have. */
static inline uint64_t btree_child_last(const struct btree_node *node, unsigned i)
{
	return i + 1 < node->nr_entries ? node->keys[i + 1] - 1 : node->last;
}

struct btree_leaf {
	uint64_t block;
	bool shared; /* what the values point to has been counted in an earlier pass */
	unsigned nr_entries;
	const uint64_t *keys;
	const uint8_t
		*values; /* nr_entries of them, as they are on the disk; keys mean nothing here */
};

struct btree_visitor {
	void *context;
	int (*leaf)(void *context,
		    const struct btree_leaf *leaf); /* not 0: the walk ends with it */
	damage_fn damage;			    /* begin, end: keys */
};

struct btree {
	uint64_t root;
	unsigned value_size; /* bytes, BTREE_MIN_VALUE_SIZE at least */
	uint64_t key_end;    /* above every key that may be lost with a damaged block */
	uint64_t parent;     /* the block that names the root; 0: the superblock */
	bool parent_shared;  /* see ref_counts_add */
};

/* 0, what a function of the visitor returned, or PD_ERR_NO_MEMORY. */
int btree_walk(struct block_reader *reader, const struct btree *tree,
	       const struct btree_visitor *visitor);

#endif
