/* SPDX-License-Identifier: MIT */
/* Walks bitsets. */
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#define WORDS_PER_BLOCK ((METADATA_BLOCK_SIZE - ARRAY_VALUES) / sizeof(uint64_t))

struct walk {
	const struct bitset *bitset;
	const struct bitset_visitor *visitor;
	uint64_t words[WORDS_PER_BLOCK];
};

/* Bits past the end of it are set, so that the others may be wrong as well. */
static int last_word_lost(struct walk *walk, uint64_t word, uint64_t block)
{
	uint64_t nr_bits = walk->bitset->nr_bits;
	struct damage damage = {.block = block,
				.what = "bits are set past the end",
				.error = PD_ERR_CORRUPT,
				.begin = word * BITSET_WORD_BITS,
				.end = nr_bits,
				.real_end = bitset_nr_words(nr_bits) * BITSET_WORD_BITS};

	return walk->visitor->damage(walk->visitor->context, &damage);
}

static int walk_words(void *context, uint64_t first, unsigned n, const uint8_t *values,
		      uint64_t block)
{
	struct walk *walk = context;
	const uint64_t *words = see_le64_array(values, n, walk->words);
	uint64_t nr_bits = walk->bitset->nr_bits;
	bool lost =
		first + n == bitset_nr_words(nr_bits) && words[n - 1] & ~bitset_last_mask(nr_bits);
	int r = PD_OK;

	n -= lost;
	if (n)
		r = walk->visitor->words(walk->visitor->context, first, n, words);
	return r || !lost ? r : last_word_lost(walk, first + n, block);
}

static uint64_t first_bit(const struct walk *walk, uint64_t word)
{
	uint64_t bit = word * BITSET_WORD_BITS;

	return bit < walk->bitset->nr_bits ? bit : walk->bitset->nr_bits;
}

static int words_lost(void *context, const struct damage *damage)
{
	struct walk *walk = context;
	struct damage bits = *damage;

	bits.begin = first_bit(walk, damage->begin);
	bits.end = first_bit(walk, damage->end);
	bits.real_end = damage->real_end * BITSET_WORD_BITS;
	return walk->visitor->damage(walk->visitor->context, &bits);
}

int bitset_walk(struct block_reader *reader, const struct bitset *bitset,
		const struct bitset_visitor *visitor)
{
	struct walk walk = {.bitset = bitset, .visitor = visitor};
	struct array array = {bitset->root,
			      sizeof(uint64_t),
			      bitset_nr_words(bitset->nr_bits),
			      bitset->parent,
			      bitset->parent_shared,
			      bitset->begin / BITSET_WORD_BITS,
			      bitset_nr_words(bitset->end)};
	struct array_visitor entries = {&walk, walk_words, words_lost};

	return array_walk(reader, &array, &entries);
}
