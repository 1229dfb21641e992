/* SPDX-License-Identifier: MIT */
/*
 * Walks bitsets: hands on their words, in order, and each damage. A bitset is an array of 64-bit
 * words (Linux's drivers/md/persistent-data/dm-bitset.c); bit n is bit n % 64 of word n / 64.
 */
#ifndef PERSISTENT_DATA_BITSET_H
#define PERSISTENT_DATA_BITSET_H

#include "persistent-data/array.h"

#define BITSET_WORD_BITS 64

static inline uint64_t bitset_nr_words(uint64_t nr_bits)
{
	return (nr_bits + BITSET_WORD_BITS - 1) / BITSET_WORD_BITS;
}

/* The bits of the last word that exist. */
static inline uint64_t bitset_last_mask(uint64_t nr_bits)
{
	unsigned rest = (unsigned)(nr_bits % BITSET_WORD_BITS);

	return rest ? (UINT64_C(1) << rest) - 1 : UINT64_MAX;
}

struct bitset {
	uint64_t root;
	uint64_t nr_bits;
	uint64_t parent;     /* the block that names the root; 0: the superblock */
	bool parent_shared;  /* see ref_counts_add */
	uint64_t begin, end; /* bits that are wanted, as in struct array */
};

struct bitset_visitor {
	void *context;
	/* n words from first_word on; bits past the end are zero. Not 0: the walk ends with it */
	int (*words)(void *context, uint64_t first_word, unsigned n, const uint64_t *words);
	damage_fn damage; /* begin, end: bits */
};

/* Every bit that is wanted is either handed on or told of as lost. Returns as array_walk() does. */
int bitset_walk(struct block_reader *reader, const struct bitset *bitset,
		const struct bitset_visitor *visitor);

#endif
