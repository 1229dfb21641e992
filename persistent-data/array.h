/* SPDX-License-Identifier: MIT */
/*
 * Walks arrays: hands on the entries of each array block, in order, and each damage.
 *
 * Source of the layout: struct array_block in Linux's drivers/md/persistent-data/dm-array.c.
 */
#ifndef PERSISTENT_DATA_ARRAY_H
#define PERSISTENT_DATA_ARRAY_H

#include "persistent-data/block_reader.h"
#include "persistent-data/damage.h"

/* Layout of an array block, in bytes; see also array_build.c. */
#define ARRAY_MAX_ENTRIES 4
#define ARRAY_NR_ENTRIES 8
#define ARRAY_VALUE_SIZE 12
#define ARRAY_VALUES 24

/* Entries of a full array block: 1018 of 4 bytes, 509 of 8. */
static inline unsigned array_max_entries(unsigned value_size)
{
	return (METADATA_BLOCK_SIZE - ARRAY_VALUES) / value_size;
}

/* Array blocks that nr_entries take. */
static inline uint64_t array_nr_blocks(uint64_t nr_entries, unsigned value_size)
{
	unsigned per_block = array_max_entries(value_size);

	return (nr_entries + per_block - 1) / per_block;
}

struct array {
	uint64_t root;
	unsigned value_size; /* bytes */
	uint64_t nr_entries; /* as its owner says; anything else is damage */
	uint64_t parent;     /* the block that names the root; 0: the superblock */
	bool parent_shared;  /* see ref_counts_add */
	/*
	 * The entries that are wanted: array blocks that have none of them are left out, all but the last,
	 * which tells whether the array ends there. end 0: all.
	 */
	uint64_t begin, end;
};

/* Of an array block past the end, whatever its number: the end. */
static inline uint64_t array_first_entry(const struct array *array, uint64_t array_block)
{
	if (array_block >= array_nr_blocks(array->nr_entries, array->value_size))
		return array->nr_entries;
	return array_block * array_max_entries(array->value_size);
}

/* The entries that an array block must have. */
static inline unsigned array_entries_of(const struct array *array, uint64_t array_block)
{
	return (unsigned)(array_first_entry(array, array_block + 1) -
			  array_first_entry(array, array_block));
}

/* Whether a verified block can be that array block; false: damage tells what is wrong. */
bool array_block_check(const struct array *array, uint64_t array_block, const uint8_t *data,
		       struct damage *damage);

struct array_visitor {
	void *context;
	/* n entries from first on, as they are on the disk; not 0: the walk ends with it */
	int (*entries)(void *context, uint64_t first, unsigned n, const uint8_t *values,
		       uint64_t block);
	damage_fn damage; /* begin, end: entries */
};

/*
 * Every entry that is wanted is either handed on or told of as lost, in ascending order. 0, what a
 * function of the visitor returned, or PD_ERR_NO_MEMORY.
 */
int array_walk(struct block_reader *reader, const struct array *array,
	       const struct array_visitor *visitor);

#endif
