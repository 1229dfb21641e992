/* SPDX-License-Identifier: MIT */
/* Copy-on-write bitsets. */
#include "persistent-data/bitset_edit.h"
#include "persistent-data/array_edit.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#define WORD_SIZE sizeof(uint64_t)

int bitset_edit_new(struct transaction *tx, uint64_t nr_bits, uint64_t *root)
{
	int r = array_edit_new(tx, root);

	return r ? r : array_edit_resize(tx, root, WORD_SIZE, 0, bitset_nr_words(nr_bits));
}

int bitset_edit_drop(struct transaction *tx, uint64_t root)
{
	return array_edit_drop(tx, root);
}

/* Bits [begin, end) of the bits that begin at words[0]. */
static void set_bits(uint8_t *words, unsigned begin, unsigned end)
{
	while (begin < end) {
		uint8_t *word = words + begin / 64 * WORD_SIZE;
		unsigned first = begin % 64;
		unsigned n = end - begin < 64 - first ? end - begin : 64 - first;
		uint64_t mask = n == 64 ? UINT64_MAX : ((UINT64_C(1) << n) - 1) << first;

		put_le64(word, get_le64(word) | mask);
		begin += n;
	}
}

int bitset_edit_set(struct transaction *tx, uint64_t *root, uint64_t begin, uint64_t end)
{
	int r = PD_OK;

	while (!r && begin < end) {
		uint64_t block = begin / BITSET_BITS_PER_BLOCK;
		unsigned first = (unsigned)(begin % BITSET_BITS_PER_BLOCK);
		unsigned n = BITSET_BITS_PER_BLOCK - first;
		uint8_t *words;
		unsigned nr;

		if (end - begin < n)
			n = (unsigned)(end - begin);
		r = transaction_trim(tx);
		if (!r)
			r = array_edit_change(tx, root, WORD_SIZE, block, &words, &nr);
		if (!r && first + n > nr * BITSET_WORD_BITS)
			r = PD_ERR_CORRUPT;
		if (!r)
			set_bits(words, first, first + n);
		begin += n;
	}
	return r;
}

int bitset_edit_read(struct transaction *tx, uint64_t root, uint64_t block,
		     uint64_t words[BITSET_WORDS_PER_BLOCK], unsigned *nr)
{
	const uint8_t *entries;
	int r = array_edit_read(tx, root, WORD_SIZE, block, &entries, nr);

	if (!r)
		get_le64_array(words, entries, *nr);
	return r;
}
