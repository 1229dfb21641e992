/* SPDX-License-Identifier: MIT */
/*
 * Builds arrays and bitsets in bulk from entries that come in order: first all array blocks, then
 * the btree that lists them.
 */
#ifndef PERSISTENT_DATA_ARRAY_BUILD_H
#define PERSISTENT_DATA_ARRAY_BUILD_H

#include "persistent-data/array.h"
#include "persistent-data/block_writer.h"

struct array_build {
	struct block_writer *writer;
	unsigned value_size;
	uint64_t first_block; /* the array blocks lie one behind the other */
	uint64_t nr_blocks;   /* finished */
	uint8_t *open;	      /* the array block being filled; NULL: none */
	unsigned nr_open;     /* entries in it */
};

/* writer stays the caller's, and is used by nobody else until the array is finished. */
void array_build_init(struct array_build *build, struct block_writer *writer, unsigned value_size);

/* Appends n entries: uint32_t where value_size is 4, uint64_t where it is 8. */
int array_build_add(struct array_build *build, const void *entries, size_t n);

/* Writes the btree; *root is the array's root. */
int array_build_finish(struct array_build *build, uint64_t *root);

/* Metadata blocks that an array of so many entries takes. */
uint64_t array_build_nr_blocks(uint64_t nr_entries, unsigned value_size);

#endif
