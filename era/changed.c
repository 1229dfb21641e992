/* SPDX-License-Identifier: MIT */
/* The set of data blocks written in an era or later. */
#include "era/changed.h"
#include "era/bitmap.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/memory.h"
#include "persistent-data/vector.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <stdlib.h>
#include <string.h>

#define ERAS_AT_ONCE 1024 /* an array block holds about as many */

static int changed_begin(struct sink *sink, const struct stream_info *info)
{
	struct changed *changed = (struct changed *)sink;
	uint64_t nr_words = bitset_nr_words(info->nr_blocks);

	changed->info = *info;
	changed->words = calloc(nr_words ? nr_words : 1, sizeof(*changed->words));
	if (!changed->words)
		return PD_ERR_NO_MEMORY;
	memory_populate(changed->words, nr_words * sizeof(*changed->words));
	return PD_OK;
}

static int changed_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct changed *changed = (struct changed *)sink;

	(void)nr_bits;
	changed->take_writeset = era >= changed->since;
	return PD_OK;
}

VECTOR_LOOP static void merge(uint64_t *to, const uint64_t *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] |= words[i];
}

static int changed_writeset_words(struct sink *sink, uint64_t first_word, const uint64_t *words,
				  unsigned n)
{
	struct changed *changed = (struct changed *)sink;
	uint64_t nr_words = bitset_nr_words(changed->info.nr_blocks);

	/* A writeset of a device that shrank has bits for blocks that are gone. */
	if (!changed->take_writeset || first_word >= nr_words)
		return PD_OK;
	if (n > nr_words - first_word)
		n = (unsigned)(nr_words - first_word);
	merge(changed->words + first_word, words, n);
	return PD_OK;
}

static int changed_writeset_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

/* Of each of n eras a bit: whether it is `since` or later. */
static void later_plain(const uint32_t *eras, unsigned n, uint32_t since, uint64_t *words)
{
	for (unsigned i = 0; i < n; i += 64) {
		uint64_t bits = 0;

		for (unsigned j = 0; j < 64 && i + j < n; j++)
			bits |= (uint64_t)(eras[i + j] >= since) << j;
		words[i / 64] = bits;
	}
}

#ifdef __x86_64__

/* Eight eras; all bits of what is later are set. */
__attribute__((target("avx2"))) static inline __m256i later_eight(const uint32_t *eras,
								  __m256i since)
{
	__m256i eight = _mm256_loadu_si256((const __m256i_u *)eras);

	return _mm256_cmpeq_epi32(_mm256_max_epu32(eight, since), eight);
}

/* 32 eras. What packs numbers works in both halves of a register apart: four of each eight. */
__attribute__((target("avx2"))) static inline uint32_t later_32(const uint32_t *eras, __m256i since)
{
	__m256i first = _mm256_packs_epi32(later_eight(eras, since), later_eight(eras + 8, since));
	__m256i second =
		_mm256_packs_epi32(later_eight(eras + 16, since), later_eight(eras + 24, since));
	__m256i fours = _mm256_packs_epi16(first, second);
	__m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);

	return (uint32_t)_mm256_movemask_epi8(_mm256_permutevar8x32_epi32(fours, order));
}

__attribute__((target("avx2"))) static void later_avx2(const uint32_t *eras, unsigned n,
						       uint32_t since, uint64_t *words)
{
	__m256i limit = _mm256_set1_epi32((int)since);
	unsigned whole = n & ~63u;

	for (unsigned i = 0; i < whole; i += 64)
		words[i / 64] = later_32(eras + i, limit) | (uint64_t)later_32(eras + i + 32, limit)
								    << 32;
	later_plain(eras + whole, n - whole, since, words + whole / 64);
}

static void later(const uint32_t *eras, unsigned n, uint32_t since, uint64_t *words)
{
	if (__builtin_cpu_supports("avx2"))
		later_avx2(eras, n, since, words);
	else
		later_plain(eras, n, since, words);
}

#else
#define later later_plain
#endif

/* Sets bits from a block on; those that lie past the last word are zero. */
static void set_bits(struct changed *changed, uint32_t block, uint64_t bits)
{
	uint64_t *word = &changed->words[block / 64];
	unsigned shift = block % 64;

	word[0] |= bits << shift;
	if (shift && bits >> (64 - shift))
		word[1] |= bits >> (64 - shift);
}

static int changed_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct changed *changed = (struct changed *)sink;
	uint64_t words[ERAS_AT_ONCE / 64];

	while (n) {
		unsigned part = n < ERAS_AT_ONCE ? n : ERAS_AT_ONCE;

		later(eras, part, changed->since, words);
		for (unsigned i = 0; i < part; i += 64)
			set_bits(changed, first_block + i, words[i / 64]);
		first_block += part;
		eras += part;
		n -= part;
	}
	return PD_OK;
}

static int changed_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static const struct sink_ops changed_ops = {
	.begin = changed_begin,
	.writeset_begin = changed_writeset_begin,
	.writeset_words = changed_writeset_words,
	.writeset_end = changed_writeset_end,
	.eras = changed_eras,
	.end = changed_end,
	.any_order = true,
};

void changed_init(struct changed *changed, uint32_t since)
{
	*changed = (struct changed){.sink = {&changed_ops}, .since = since};
}

void changed_destroy(struct changed *changed)
{
	free(changed->words);
	changed->words = NULL;
}

bool changed_next(const struct changed *changed, uint32_t *begin, uint32_t *end)
{
	uint32_t nr_blocks = changed->info.nr_blocks;

	*begin = (uint32_t)bitmap_find_set(changed->words, nr_blocks, *end);
	if (*begin >= nr_blocks)
		return false;
	*end = (uint32_t)bitmap_find_clear(changed->words, nr_blocks, *begin);
	return true;
}

void changed_runs_init(struct changed_runs *runs, const struct changed *changed)
{
	runs->changed = changed;
	runs->next_word = 0;
	runs->nr = 0;
	runs->open = false;
}

bool changed_runs_next(struct changed_runs *runs)
{
	const uint64_t *words = runs->changed->words;
	uint64_t nr_words = bitset_nr_words(runs->changed->info.nr_blocks);
	/* A writeset of a device that shrank may have set bits past the end. */
	uint64_t last_mask = bitset_last_mask(runs->changed->info.nr_blocks);
	uint64_t i = runs->next_word;
	uint64_t before = i ? words[i - 1] >> 63 : 0;
	unsigned n = 0;

	if (runs->open)
		runs->edges[n++] = runs->edges[2 * runs->nr];
	for (; i < nr_words && n + 65 <= 2 * CHANGED_RUNS_MAX; i++) {
		uint64_t word = words[i] & (i + 1 == nr_words ? last_mask : UINT64_MAX);
		/* A run begins or ends where a bit is not like the one before it. */
		uint64_t edges = word ^ (word << 1 | before);

		before = word >> 63;
		for (; edges; edges &= edges - 1)
			runs->edges[n++] = (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(edges);
	}
	if (i == nr_words && n % 2)
		runs->edges[n++] = runs->changed->info.nr_blocks;
	runs->next_word = i;
	runs->nr = n / 2;
	runs->open = n % 2;
	return runs->nr;
}
