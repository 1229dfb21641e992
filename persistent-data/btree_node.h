/* SPDX-License-Identifier: MIT */
/* A btree node as it lies in memory to be edited: its entries, and moving them about. */
#ifndef PERSISTENT_DATA_BTREE_NODE_H
#define PERSISTENT_DATA_BTREE_NODE_H

#include "persistent-data/btree.h"
#include "persistent-data/le.h"

static inline bool node_is_leaf(const uint8_t *node)
{
	return get_le32(node + NODE_FLAGS) == NODE_LEAF;
}

static inline unsigned node_nr(const uint8_t *node)
{
	return get_le32(node + NODE_NR_ENTRIES);
}

static inline unsigned node_max(const uint8_t *node)
{
	return get_le32(node + NODE_MAX_ENTRIES);
}

static inline unsigned node_value_size(const uint8_t *node)
{
	return get_le32(node + NODE_VALUE_SIZE);
}

static inline uint64_t node_key(const uint8_t *node, unsigned i)
{
	return get_le64(node + NODE_KEYS + (size_t)i * 8);
}

static inline uint8_t *node_value(uint8_t *node, unsigned i)
{
	return node + NODE_KEYS + (size_t)node_max(node) * 8 + (size_t)i * node_value_size(node);
}

/* Of an internal node. */
static inline uint64_t node_child(const uint8_t *node, unsigned i)
{
	return get_le64(node + NODE_KEYS + (size_t)node_max(node) * 8 + (size_t)i * 8);
}

static inline void node_set_key(uint8_t *node, unsigned i, uint64_t key)
{
	put_le64(node + NODE_KEYS + (size_t)i * 8, key);
}

/* A node without entries; its block must be all zero. */
void node_format(uint8_t *node, unsigned flags, unsigned value_size);

/* Whether a node's header can be trusted: the leaves' values are of that size. */
bool node_is_sound(const uint8_t *node, unsigned value_size);

/* The number of keys that are not above key. */
unsigned node_rank(const uint8_t *node, uint64_t key);

/* There is room for it. */
void node_insert(uint8_t *node, unsigned i, uint64_t key, const void *value);
void node_remove(uint8_t *node, unsigned i);

/* Moves entries between neighbours until the left one has nr_left of them. */
void node_share(uint8_t *left, uint8_t *right, unsigned nr_left);

#endif
