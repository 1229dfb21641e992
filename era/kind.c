/* SPDX-License-Identifier: MIT */
/* Tells what a metadata block is by its own account. */
#include "era/kind.h"
#include "era/trees.h"
#include "persistent-data/array.h"
#include "persistent-data/btree.h"
#include "persistent-data/checksum.h"
#include "persistent-data/le.h"

static enum kind kind_of_node(const uint8_t *block)
{
	uint32_t flags = get_le32(block + NODE_FLAGS);
	uint32_t value_size = get_le32(block + NODE_VALUE_SIZE);
	enum kind kind;

	if (flags == NODE_INTERNAL && value_size == sizeof(uint64_t))
		kind = KIND_INTERNAL;
	else if (flags == NODE_LEAF && value_size == WRITESET_VALUE_SIZE)
		kind = KIND_WRITESETS;
	else if (flags == NODE_LEAF && value_size == sizeof(uint64_t))
		kind = KIND_POINTERS;
	else if (flags == NODE_LEAF && value_size == sizeof(uint32_t))
		kind = KIND_REF_COUNTS;
	else
		return KIND_UNKNOWN;
	return get_le32(block + NODE_MAX_ENTRIES) == btree_max_entries(value_size) &&
			       kind_nr_entries(block) <= btree_max_entries(value_size)
		       ? kind
		       : KIND_UNKNOWN;
}

static enum kind kind_of_array_block(const uint8_t *block)
{
	uint32_t value_size = get_le32(block + ARRAY_VALUE_SIZE);

	if ((value_size != sizeof(uint32_t) && value_size != sizeof(uint64_t)) ||
	    get_le32(block + ARRAY_NR_ENTRIES) > array_max_entries(value_size))
		return KIND_UNKNOWN;
	return value_size == sizeof(uint32_t) ? KIND_ERAS : KIND_WORDS;
}

enum kind block_kind(const uint8_t *block, uint64_t number)
{
	if (block_is_zero(block))
		return KIND_ZEROES;
	switch (block_type_of(block, number)) {
	case BLOCK_SUPERBLOCK:
		return KIND_SUPERBLOCK;
	case BLOCK_BTREE_NODE:
		return kind_of_node(block);
	case BLOCK_ARRAY:
		return kind_of_array_block(block);
	case BLOCK_INDEX:
		return KIND_INDEX;
	case BLOCK_BITMAP:
		return KIND_BITMAP;
	default:
		return KIND_UNKNOWN;
	}
}

unsigned kind_nr_entries(const uint8_t *node)
{
	return get_le32(node + NODE_NR_ENTRIES);
}

uint64_t kind_key(const uint8_t *node, unsigned i)
{
	return get_le64(node + NODE_KEYS + (size_t)i * 8);
}

uint64_t kind_pointer(const uint8_t *node, enum kind kind, unsigned i)
{
	size_t size = kind == KIND_WRITESETS ? WRITESET_VALUE_SIZE : sizeof(uint64_t);
	const uint8_t *values = node + NODE_KEYS + (size_t)btree_max_entries((unsigned)size) * 8;

	/* A writeset's root comes behind its number of bits. */
	return get_le64(values + size * i + size - sizeof(uint64_t));
}
