/* SPDX-License-Identifier: MIT */
/* Copy-on-write btrees. */
#include "persistent-data/btree_edit.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/error.h"

#include <string.h>

int btree_edit_new(struct transaction *tx, const struct btree_values *values, uint64_t *root)
{
	uint8_t *node;
	int r = transaction_new(tx, BLOCK_BTREE_NODE, root, &node);

	if (!r)
		node_format(node, NODE_LEAF, values->size);
	return r;
}

static int read_node(struct transaction *tx, const struct btree_values *values, uint64_t block,
		     const uint8_t **node)
{
	int r = transaction_read(tx, block, BLOCK_BTREE_NODE, node);

	return r || node_is_sound(*node, values->size) ? r : PD_ERR_CORRUPT;
}

typedef int (*count_fn)(struct transaction *tx, uint64_t block);

/* One reference more, or less, to all that a node refers to. */
static int count_entries(struct transaction *tx, uint8_t *node, count_fn child,
			 int (*value)(struct transaction *tx, const uint8_t *value))
{
	bool leaf = node_is_leaf(node);
	unsigned nr = leaf && !value ? 0 : node_nr(node);
	int r = PD_OK;

	for (unsigned i = 0; !r && i < nr; i++)
		r = leaf ? value(tx, node_value(node, i)) : child(tx, node_child(node, i));
	return r;
}

/* *block changes to the shadow's number. */
static int shadow_node(struct transaction *tx, const struct btree_values *values, uint64_t *block,
		       uint8_t **node)
{
	bool shared;
	int r = transaction_shadow(tx, block, BLOCK_BTREE_NODE, node, &shared);

	if (!r && !node_is_sound(*node, values->size))
		r = PD_ERR_CORRUPT;
	return r || !shared ? r : count_entries(tx, *node, transaction_inc, values->inc);
}

static int shadow_child(struct transaction *tx, const struct btree_values *values, uint8_t *parent,
			unsigned i, uint8_t **node)
{
	uint64_t block = node_child(parent, i);
	int r = shadow_node(tx, values, &block, node);

	if (!r)
		put_le64(node_value(parent, i), block);
	return r;
}

/* Dropping. */

static int drop(struct transaction *tx, const struct btree_values *values, uint64_t block,
		unsigned depth)
{
	uint8_t copy[METADATA_BLOCK_SIZE];
	const uint8_t *node;
	int r = PD_OK;

	if (depth == BTREE_MAX_DEPTH)
		return PD_ERR_CORRUPT;
	if (space_map_edit_count(&tx->map, block) > 1)
		return transaction_dec(tx, block);
	r = read_node(tx, values, block, &node);
	if (r)
		return r;
	/* Memory would grow with the tree if all its nodes were to stay. */
	memcpy(copy, node, sizeof(copy));
	r = transaction_trim(tx);
	if (!r && node_is_leaf(copy))
		r = count_entries(tx, copy, transaction_dec, values->dec);
	for (unsigned i = 0; !r && !node_is_leaf(copy) && i < node_nr(copy); i++)
		r = drop(tx, values, node_child(copy, i), depth + 1);
	return r ? r : transaction_dec(tx, block);
}

int btree_edit_drop(struct transaction *tx, const struct btree_values *values, uint64_t root)
{
	return drop(tx, values, root, 0);
}

/* Looking up. */

/* Where a key belongs in an internal node: the child whose key is the last not above it. */
static unsigned child_of(const uint8_t *node, uint64_t key)
{
	unsigned rank = node_rank(node, key);

	return rank ? rank - 1 : 0;
}

/* The entry in a leaf or, if all its keys are below, the lowest key of what lies to the right. */
static int find(struct transaction *tx, const struct btree_values *values, uint64_t root,
		uint64_t *key, void *value, bool *found, uint64_t *right)
{
	const uint8_t *node;
	int r = read_node(tx, values, root, &node);
	unsigned i;

	for (unsigned depth = 0; !r && !node_is_leaf(node); depth++) {
		i = child_of(node, *key);
		if (i + 1 < node_nr(node))
			*right = node_key(node, i + 1);
		r = depth == BTREE_MAX_DEPTH ? PD_ERR_CORRUPT
					     : read_node(tx, values, node_child(node, i), &node);
	}
	if (r)
		return r;
	i = node_rank(node, *key);
	if (i && node_key(node, i - 1) == *key)
		i--;
	*found = i < node_nr(node);
	if (*found) {
		*key = node_key(node, i);
		memcpy(value, node_value((uint8_t *)node, i), values->size);
	}
	return PD_OK;
}

int btree_edit_find(struct transaction *tx, const struct btree_values *values, uint64_t root,
		    uint64_t *key, void *value, bool *found)
{
	uint64_t right = 0;
	int r = find(tx, values, root, key, value, found, &right);

	if (r || *found || right <= *key)
		return r;
	*key = right;
	return find(tx, values, root, key, value, found, &right);
}

/* Changing. */

/* The i-th entry of a leaf is the key's. PD_ERR_USAGE: it has none. */
static int find_entry(const uint8_t *leaf, uint64_t key, unsigned *i)
{
	unsigned rank = node_rank(leaf, key);

	if (!rank || node_key(leaf, rank - 1) != key)
		return PD_ERR_USAGE;
	*i = rank - 1;
	return PD_OK;
}

int btree_edit_change(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key, uint8_t **value)
{
	uint8_t *node;
	int r = shadow_node(tx, values, root, &node);
	unsigned i;

	for (unsigned depth = 0; !r && !node_is_leaf(node); depth++)
		r = depth == BTREE_MAX_DEPTH
			    ? PD_ERR_CORRUPT
			    : shadow_child(tx, values, node, child_of(node, key), &node);
	if (!r)
		r = find_entry(node, key, &i);
	if (!r)
		*value = node_value(node, i);
	return r;
}

/* Inserting: a full node is split before it is entered, so its parent always has room. */

/* A new right neighbour for a node, with the upper half of its entries. */
static int split(struct transaction *tx, uint8_t *left, uint64_t *block, uint8_t **right)
{
	int r = transaction_new(tx, BLOCK_BTREE_NODE, block, right);

	if (r)
		return r;
	node_format(*right, get_le32(left + NODE_FLAGS), node_value_size(left));
	node_share(left, *right, node_nr(left) / 2);
	return PD_OK;
}

static int split_child(struct transaction *tx, uint8_t *parent, unsigned i, uint8_t *node)
{
	uint8_t value[8];
	uint8_t *right;
	uint64_t block;
	int r = split(tx, node, &block, &right);

	if (r)
		return r;
	put_le64(value, block);
	node_insert(parent, i + 1, node_key(right, 0), value);
	return PD_OK;
}

/* A new root with a full one as its only child, which is then split. */
static int split_root(struct transaction *tx, uint64_t *root, uint8_t **node)
{
	uint8_t *child = *node;
	uint8_t value[8];
	int r;

	put_le64(value, *root);
	r = transaction_new(tx, BLOCK_BTREE_NODE, root, node);
	if (r)
		return r;
	node_format(*node, NODE_INTERNAL, 8);
	node_insert(*node, 0, node_key(child, 0), value);
	return split_child(tx, *node, 0, child);
}

static bool is_full(const uint8_t *node)
{
	return node_nr(node) == node_max(node);
}

/* From an internal node into the child where the key belongs. */
static int enter(struct transaction *tx, const struct btree_values *values, uint8_t **node,
		 uint64_t key)
{
	uint8_t *parent = *node;
	unsigned i = child_of(parent, key);
	int r;

	if (key < node_key(parent, i))
		node_set_key(parent, i, key);
	r = shadow_child(tx, values, parent, i, node);
	if (r || !is_full(*node))
		return r;
	r = split_child(tx, parent, i, *node);
	return r ? r : shadow_child(tx, values, parent, child_of(parent, key), node);
}

int btree_edit_insert(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key, const void *value)
{
	uint8_t *node;
	unsigned i;
	int r = shadow_node(tx, values, root, &node);

	if (!r && is_full(node))
		r = split_root(tx, root, &node);
	for (unsigned depth = 0; !r && !node_is_leaf(node); depth++)
		r = depth == BTREE_MAX_DEPTH ? PD_ERR_CORRUPT : enter(tx, values, &node, key);
	if (r)
		return r;
	i = node_rank(node, key);
	if (i && node_key(node, i - 1) == key)
		return PD_ERR_USAGE;
	node_insert(node, i, key, value);
	return PD_OK;
}

/* Removing: a thin node gets entries from a neighbour, or joins it, before it is entered. */

/* Joins the children i and i + 1, or evens them out if together they are too many for one. */
static int balance(struct transaction *tx, const struct btree_values *values, uint8_t *parent,
		   unsigned i)
{
	uint8_t *left, *right;
	unsigned total;
	int r = shadow_child(tx, values, parent, i, &left);

	if (!r)
		r = shadow_child(tx, values, parent, i + 1, &right);
	if (r)
		return r;
	if (node_is_leaf(left) != node_is_leaf(right))
		return PD_ERR_CORRUPT;
	total = node_nr(left) + node_nr(right);
	if (total <= node_max(left) / 3 * 2) {
		uint64_t block = node_child(parent, i + 1);

		node_share(left, right, total);
		node_remove(parent, i + 1);
		return transaction_dec(tx, block);
	}
	node_share(left, right, total / 2);
	node_set_key(parent, i + 1, node_key(right, 0));
	return PD_OK;
}

/* A root with a single child gives way to it. */
static int shrink(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		  uint8_t **node)
{
	uint64_t old = *root;
	uint64_t child = node_child(*node, 0);
	int r = shadow_node(tx, values, &child, node);

	*root = child;
	return r ? r : transaction_dec(tx, old);
}

/* Sees to it that the child where the key is can do without an entry, if it has a neighbour. */
static int fill_child(struct transaction *tx, const struct btree_values *values, uint8_t *node,
		      uint64_t key)
{
	unsigned i = child_of(node, key);
	const uint8_t *child;
	int r = read_node(tx, values, node_child(node, i), &child);

	if (r || node_nr(child) > node_max(child) / 3 || node_nr(node) == 1)
		return r;
	return balance(tx, values, node, i ? i - 1 : 0);
}

int btree_edit_remove(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key)
{
	bool at_root = true;
	uint8_t *node;
	unsigned i;
	int r = shadow_node(tx, values, root, &node);

	for (unsigned depth = 0; !r && !node_is_leaf(node); depth++) {
		r = depth == BTREE_MAX_DEPTH ? PD_ERR_CORRUPT : fill_child(tx, values, node, key);
		if (r)
			return r;
		at_root = at_root && node_nr(node) == 1;
		r = at_root ? shrink(tx, values, root, &node)
			    : shadow_child(tx, values, node, child_of(node, key), &node);
	}
	if (!r)
		r = find_entry(node, key, &i);
	if (!r)
		node_remove(node, i);
	return r;
}
