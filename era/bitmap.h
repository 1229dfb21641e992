/* SPDX-License-Identifier: MIT */
/* Runs of bits in words: bit n is bit n % 64 of word n / 64. */
#ifndef ERA_BITMAP_H
#define ERA_BITMAP_H

#include <stdint.h>

/* The first bit at or after `from` that is set (or, flipped, clear); nr_bits if there is none. */
static inline uint64_t bitmap_find(const uint64_t *words, uint64_t nr_bits, uint64_t from,
				   uint64_t flip)
{
	uint64_t nr_words = (nr_bits + 63) / 64;
	uint64_t i = from / 64;
	uint64_t word;

	if (from >= nr_bits)
		return nr_bits;
	word = (words[i] ^ flip) & (UINT64_MAX << (from % 64));
	while (!word && ++i < nr_words)
		word = words[i] ^ flip;
	if (!word)
		return nr_bits;
	from = i * 64 + (uint64_t)__builtin_ctzll(word);
	return from < nr_bits ? from : nr_bits;
}

static inline uint64_t bitmap_find_set(const uint64_t *words, uint64_t nr_bits, uint64_t from)
{
	return bitmap_find(words, nr_bits, from, 0);
}

static inline uint64_t bitmap_find_clear(const uint64_t *words, uint64_t nr_bits, uint64_t from)
{
	return bitmap_find(words, nr_bits, from, UINT64_MAX);
}

#endif
