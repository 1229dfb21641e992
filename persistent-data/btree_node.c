/* SPDX-License-Identifier: MIT */
/* A btree node as it lies in memory to be edited. */
#include "persistent-data/btree_node.h"

void node_format(uint8_t *node, unsigned flags, unsigned value_size)
{
	put_le32(node + NODE_FLAGS, flags);
	put_le32(node + NODE_MAX_ENTRIES, btree_max_entries(value_size));
	put_le32(node + NODE_VALUE_SIZE, value_size);
}

bool node_is_sound(const uint8_t *node, unsigned value_size)
{
	uint32_t flags = get_le32(node + NODE_FLAGS);
	unsigned size = flags == NODE_INTERNAL ? 8 : value_size;

	return (flags == NODE_INTERNAL || flags == NODE_LEAF) && node_value_size(node) == size &&
	       node_max(node) == btree_max_entries(size) && node_nr(node) <= node_max(node) &&
	       (flags == NODE_LEAF || node_nr(node));
}

unsigned node_rank(const uint8_t *node, uint64_t key)
{
	unsigned begin = 0, end = node_nr(node);

	while (begin < end) {
		unsigned middle = (begin + end) / 2;

		if (node_key(node, middle) <= key)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

static void set_nr(uint8_t *node, unsigned nr)
{
	put_le32(node + NODE_NR_ENTRIES, nr);
}

/* n entries from one place to another; the two may overlap where it is the same node. */
static void move(uint8_t *to, unsigned at, uint8_t *from, unsigned first, unsigned n)
{
	memmove(to + NODE_KEYS + (size_t)at * 8, from + NODE_KEYS + (size_t)first * 8,
		(size_t)n * 8);
	memmove(node_value(to, at), node_value(from, first), (size_t)n * node_value_size(to));
}

void node_insert(uint8_t *node, unsigned i, uint64_t key, const void *value)
{
	unsigned nr = node_nr(node);

	move(node, i + 1, node, i, nr - i);
	node_set_key(node, i, key);
	memcpy(node_value(node, i), value, node_value_size(node));
	set_nr(node, nr + 1);
}

void node_remove(uint8_t *node, unsigned i)
{
	unsigned nr = node_nr(node);

	move(node, i, node, i + 1, nr - i - 1);
	set_nr(node, nr - 1);
}

void node_share(uint8_t *left, uint8_t *right, unsigned nr_left)
{
	unsigned before = node_nr(left), nr_right = node_nr(right);
	unsigned n = before < nr_left ? nr_left - before : before - nr_left;

	if (before < nr_left) {
		move(left, before, right, 0, n);
		move(right, 0, right, n, nr_right - n);
		set_nr(right, nr_right - n);
	} else {
		move(right, n, right, 0, nr_right);
		move(right, 0, left, nr_left, n);
		set_nr(right, nr_right + n);
	}
	set_nr(left, nr_left);
}
