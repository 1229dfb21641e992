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

/* Sets bits [begin, end). */
static inline void bitmap_set(uint64_t *words, uint64_t begin, uint64_t end)
{
	for (; begin < end && begin % 64; begin++)
		words[begin / 64] |= UINT64_C(1) << begin % 64;
	for (; begin < end && end - begin >= 64; begin += 64)
		words[begin / 64] = UINT64_MAX;
	for (; begin < end; begin++)
		words[begin / 64] |= UINT64_C(1) << begin % 64;
}

#endif
