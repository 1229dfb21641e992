/* SPDX-License-Identifier: MIT */
/*
 * Builds metadata from scratch in memory, sound or not: node by node, or whole trees at once.
 *
 * Every pointer that goes through these functions is counted as a reference, so that the space map
 * that builder_finish() makes has exact counts. What a test changes later it has to answer for.
 * Like image.h this knows nothing of the project's own code.
 */
#ifndef TESTS_SUPPORT_BUILDER_H
#define TESTS_SUPPORT_BUILDER_H

#include "tests/support/image.h"

#define NODE_IS_INTERNAL 1
#define NODE_IS_LEAF 2

#define ERAS_PER_BLOCK 1018
#define BITS_PER_BLOCK 32576

struct builder {
	struct image image;
	uint64_t next; /* the first block that is not in use */
	unsigned *counts;
};

/* What the superblock says; roots that are 0 are made by builder_finish(). */
struct plan {
	uint32_t data_block_size, nr_blocks, current_era;
	uint32_t writeset_bits;
	uint64_t writeset_root; /* stays 0: there is no current writeset */
	uint64_t writeset_tree, era_array;
	uint64_t snapshot;	/* stays 0: none is held */
	uint64_t map_nr_blocks; /* that the space map covers; 0: as many as the image has */
};

struct plan_writeset {
	uint32_t era, nr_bits;
	uint64_t root;
};

/* An empty device; block 0 is taken for the superblock. */
void builder_init(struct builder *builder, uint64_t nr_blocks);
void builder_free(struct builder *builder);

/* The next block; running out of them ends the test. */
uint64_t builder_take(struct builder *builder);
void builder_refer(struct builder *builder, uint64_t block);

struct builder_entry {
	uint64_t key, value;
	uint32_t nr_bits; /* goes before the value in entries of the writeset tree */
};

/*
 * A node in a block of its own, sealed. value_size: 8; 12 in leaves of the writeset tree; 4 in those of
 * the reference counts, whose values are no references.
 */
uint64_t builder_node(struct builder *builder, unsigned flags, unsigned value_size,
		      const struct builder_entry *entries, unsigned nr);

/* A whole btree over the entries, as thin at the end as it comes out. */
uint64_t builder_tree(struct builder *builder, unsigned value_size,
		      const struct builder_entry *entries, unsigned nr);

/* One array block with nr values of 4 or 8 bytes from an array of uint64_t; its own number. */
uint64_t builder_array_block(struct builder *builder, unsigned value_size, const uint64_t *values,
			     unsigned nr);

/* A whole array; its root. */
uint64_t builder_array(struct builder *builder, unsigned value_size, const uint64_t *values,
		       unsigned nr);

/* A bitset in which every step-th bit is set, beginning with bit 0; step 0: none is. */
uint64_t builder_bitset(struct builder *builder, uint32_t nr_bits, uint32_t step);

uint64_t builder_writeset_tree(struct builder *builder, const struct plan_writeset *writesets,
			       unsigned nr);

/* An era array in which block i has era i % (current_era + 1). */
uint64_t builder_era_array(struct builder *builder, uint32_t nr_blocks, uint32_t current_era);

/* Fills in what the plan says, and nothing of the space map, and seals the block. */
void builder_superblock(struct builder *builder, uint64_t block, const struct plan *plan);

/* A snapshot's superblock in a block of its own, which refers to the plan's two trees. */
uint64_t builder_snapshot(struct builder *builder, const struct plan *plan);

/* Makes the space map and the superblock. */
void builder_finish(struct builder *builder, struct plan *plan);

/* The two bits of a block's count in its bitmap, and putting others there (checksum included). */
unsigned builder_get_count(const struct image *image, uint64_t block);
void builder_set_count(const struct image *image, uint64_t block, unsigned count);

#endif
