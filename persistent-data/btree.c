/* SPDX-License-Identifier: MIT */
/* Walks btrees, depth first, reading the children of a node in batches. */
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#define NO_DEPTH BTREE_MAX_DEPTH

struct walk {
	struct block_reader *reader;
	const struct btree *tree;
	const struct btree_visitor *visitor;
	unsigned leaf_depth; /* of the first leaf met; all leaves are equally deep */
};

static int walk_children(struct walk *walk, const struct btree_node *node, bool shared);

static bool check_header(const struct btree_node *node, const uint8_t *data, unsigned leaf_size,
			 struct damage *damage)
{
	uint32_t flags = get_le32(data + NODE_FLAGS);
	uint32_t value_size = get_le32(data + NODE_VALUE_SIZE);
	uint32_t max_entries = get_le32(data + NODE_MAX_ENTRIES);
	unsigned expected_size = flags == NODE_INTERNAL ? 8 : leaf_size;

	if (flags != NODE_INTERNAL && flags != NODE_LEAF)
		return damage_is_number(damage, "node is neither internal nor leaf", flags,
					NODE_LEAF);
	if (value_size != expected_size)
		return damage_is_number(damage, "wrong value size", value_size, expected_size);
	if (max_entries != btree_max_entries(expected_size))
		return damage_is_number(damage, "wrong maximum of entries", max_entries,
					btree_max_entries(expected_size));
	if (node->nr_entries > max_entries)
		return damage_is_number(damage, "too many entries", node->nr_entries, max_entries);
	if (!node->nr_entries && (node->depth || flags == NODE_INTERNAL))
		return damage_is(damage, "node without entries");
	if (flags == NODE_INTERNAL && node->depth + 1 >= BTREE_MAX_DEPTH)
		return damage_is(damage, "tree too deep");
	return true;
}

static bool check_keys(const struct btree_node *node, struct damage *damage)
{
	for (unsigned i = 1; i < node->nr_entries; i++)
		if (node->keys[i] <= node->keys[i - 1])
			return damage_is(damage, "keys do not ascend");
	if (node->nr_entries &&
	    (node->keys[0] < node->begin || node->keys[node->nr_entries - 1] > node->last)) {
		damage->real_end = node->keys[node->nr_entries - 1] + 1;
		return damage_is(damage, "keys outside the range that the parent gives");
	}
	return true;
}

bool btree_node_decode(struct btree_node *node, const uint8_t *data, unsigned value_size,
		       struct damage *damage)
{
	node->nr_entries = get_le32(data + NODE_NR_ENTRIES);
	if (!check_header(node, data, value_size, damage))
		return false;
	node->leaf = get_le32(data + NODE_FLAGS) == NODE_LEAF;
	node->values = data + NODE_KEYS + (size_t)get_le32(data + NODE_MAX_ENTRIES) * 8;
	get_le64_array(node->keys, data + NODE_KEYS, node->nr_entries);
	return check_keys(node, damage);
}

static bool check_depth(struct walk *walk, const struct btree_node *node, struct damage *damage)
{
	if (!node->leaf)
		return true;
	if (walk->leaf_depth == NO_DEPTH)
		walk->leaf_depth = node->depth;
	return node->depth == walk->leaf_depth ? true
					       : damage_is(damage, "leaf at the wrong depth");
}

/* Tells of a node that cannot be used, and with it of the keys that are lost. */
static int lost(const struct walk *walk, struct damage *damage, const struct btree_node *node)
{
	uint64_t key_end = walk->tree->key_end;

	damage->loses_references = true;
	damage->begin = node->begin < key_end ? node->begin : key_end;
	damage->end = node->last < key_end ? node->last + 1 : key_end;
	return walk->visitor->damage(walk->visitor->context, damage);
}

static int walk_node(struct walk *walk, const struct btree_node *node, bool shared)
{
	struct btree_leaf leaf = {node->block, shared, node->nr_entries, node->keys, node->values};

	if (!node->leaf)
		return walk_children(walk, node, shared);
	return walk->visitor->leaf(walk->visitor->context, &leaf);
}

/* One child that has been read: child has its place in the tree, and is filled in from the block. */
static int walk_child(struct walk *walk, struct btree_node *child, const struct block_batch *batch,
		      unsigned slot, uint64_t parent)
{
	struct damage damage;
	bool shared;
	const uint8_t *data = block_batch_get(batch, slot, BLOCK_BTREE_NODE, &shared, &damage);

	damage.parent = parent;
	child->block = damage.block;
	if (!data || !btree_node_decode(child, data, walk->tree->value_size, &damage) ||
	    !check_depth(walk, child, &damage) ||
	    !block_reader_trusts(walk->reader, batch, slot, &damage))
		return lost(walk, &damage, child);
	return walk_node(walk, child, shared);
}

static int walk_children(struct walk *walk, const struct btree_node *node, bool shared)
{
	struct block_batch *batch = block_reader_nodes(walk->reader, node->depth + 1);
	struct block_order orders[BTREE_MAX_FANOUT];
	struct btree_node child;
	int r = PD_OK;

	if (!batch)
		return PD_ERR_NO_MEMORY;
	for (unsigned i = 0; i < node->nr_entries; i++)
		orders[i] = (struct block_order){get_le64(node->values + (size_t)i * 8), shared};
	for (unsigned i = 0; !r && i < node->nr_entries; i++) {
		unsigned slot = i % batch->capacity;
		unsigned left = node->nr_entries - i;

		if (!slot)
			block_batch_read(walk->reader, batch, orders + i,
					 left < batch->capacity ? left : batch->capacity);
		child.depth = node->depth + 1;
		child.begin = node->keys[i];
		child.last = btree_child_last(node, i);
		r = walk_child(walk, &child, batch, slot, node->block);
	}
	return r;
}

int btree_walk(struct block_reader *reader, const struct btree *tree,
	       const struct btree_visitor *visitor)
{
	struct walk walk = {reader, tree, visitor, NO_DEPTH};
	struct block_batch *batch = block_reader_nodes(reader, 0);
	struct block_order order = {tree->root, tree->parent_shared};
	struct btree_node root = {.depth = 0, .begin = 0, .last = UINT64_MAX};

	if (!batch)
		return PD_ERR_NO_MEMORY;
	block_batch_read(reader, batch, &order, 1);
	return walk_child(&walk, &root, batch, 0, tree->parent);
}
