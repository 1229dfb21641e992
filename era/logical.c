/* SPDX-License-Identifier: MIT */
/* Folds writesets into the era array. */
#include "era/logical.h"
#include "persistent-data/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STRETCH 1024 /* data blocks: 4 KiB of eras */
#define STRETCH_WORDS (STRETCH / 64)

struct logical {
	struct sink sink;
	struct sink *next;
	uint32_t nr_blocks;
	uint32_t era; /* of the writeset at hand */
	uint32_t **
		eras; /* of each stretch the latest eras in writesets; NULL: none has a bit there */
	uint32_t merged[STRETCH];
};

static uint32_t nr_stretches(const struct logical *logical)
{
	return logical->nr_blocks / STRETCH + 1;
}

static int logical_begin(struct sink *sink, const struct stream_info *info)
{
	struct logical *logical = (struct logical *)sink;

	logical->nr_blocks = info->nr_blocks;
	logical->eras = calloc(nr_stretches(logical), sizeof(*logical->eras));
	if (!logical->eras)
		return PD_ERR_NO_MEMORY;
	return logical->next->ops->begin(logical->next, info);
}

static int logical_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct logical *logical = (struct logical *)sink;

	(void)nr_bits;
	logical->era = era;
	return PD_OK;
}

static uint32_t *stretch_of(struct logical *logical, uint32_t block)
{
	uint32_t **stretch = &logical->eras[block / STRETCH];

	if (!*stretch)
		*stretch = calloc(STRETCH, sizeof(**stretch));
	return *stretch;
}

static inline uint32_t lowest_bit(uint64_t word)
{
	return (uint32_t)__builtin_ctzll(word | UINT64_C(1) << 63);
}

/*
 * Writesets come by ascending era, so a later one takes precedence. How many bits a word has is as
 * good as random, and branches on that are dear: of few bits the first two are taken without one,
 * the second being the first once more where there is none.
 */
static void fold_word(uint32_t *eras, uint32_t era, uint64_t word)
{
	uint64_t rest = word & (word - 1);

	eras[lowest_bit(word)] = era;
	eras[lowest_bit(rest ? rest : word)] = era;
	for (rest &= rest - 1; rest; rest &= rest - 1)
		eras[lowest_bit(rest)] = era;
}

/* Words of one stretch, or part of it. */
static int fold_words(struct logical *logical, uint32_t first_block, const uint64_t *words,
		      unsigned n)
{
	uint64_t any = 0;
	uint32_t *eras;

	for (unsigned i = 0; i < n; i++)
		any |= words[i];
	if (!any)
		return PD_OK;
	eras = stretch_of(logical, first_block);
	if (!eras)
		return PD_ERR_NO_MEMORY;
	eras += first_block % STRETCH;
	for (unsigned i = 0; i < n; i++)
		if (words[i])
			fold_word(eras + i * 64, logical->era, words[i]);
	return PD_OK;
}

static int logical_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct logical *logical = (struct logical *)sink;
	uint64_t nr_words = ((uint64_t)logical->nr_blocks + 63) / 64;
	int r = PD_OK;

	/* Of a device that shrank, a writeset may know blocks that are gone: they never come out. */
	if (first_word >= nr_words)
		return PD_OK;
	if (n > nr_words - first_word)
		n = (unsigned)(nr_words - first_word);
	while (!r && n) {
		unsigned part = STRETCH_WORDS - (unsigned)(first_word % STRETCH_WORDS);

		if (part > n)
			part = n;
		r = fold_words(logical, (uint32_t)first_word * 64, words, part);
		first_word += part;
		words += part;
		n -= part;
	}
	return r;
}

static int logical_writeset_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

/* Eras of one stretch, or part of it. */
static int merge(struct logical *logical, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	const uint32_t *later = logical->eras[first_block / STRETCH];

	if (!later)
		return logical->next->ops->eras(logical->next, first_block, eras, n);
	later += first_block % STRETCH;
	for (unsigned i = 0; i < n; i++)
		logical->merged[i] = later[i] > eras[i] ? later[i] : eras[i];
	return logical->next->ops->eras(logical->next, first_block, logical->merged, n);
}

static int logical_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct logical *logical = (struct logical *)sink;
	int r = PD_OK;

	while (!r && n) {
		unsigned part = STRETCH - first_block % STRETCH;

		if (part > n)
			part = n;
		r = merge(logical, first_block, eras, part);
		first_block += part;
		eras += part;
		n -= part;
	}
	return r;
}

static int logical_end(struct sink *sink)
{
	struct logical *logical = (struct logical *)sink;

	return logical->next->ops->end(logical->next);
}

static const struct sink_ops logical_ops = {logical_begin, logical_writeset_begin,
					    logical_words, logical_writeset_end,
					    logical_eras,  logical_end};

int logical_open(struct sink *next, struct sink **result)
{
	struct logical *logical = calloc(1, sizeof(*logical));

	if (!logical)
		return PD_ERR_NO_MEMORY;
	logical->sink.ops = &logical_ops;
	logical->next = next;
	*result = &logical->sink;
	return PD_OK;
}

void logical_close(struct sink *sink)
{
	struct logical *logical = (struct logical *)sink;

	if (!logical)
		return;
	for (uint32_t i = 0; logical->eras && i < nr_stretches(logical); i++)
		free(logical->eras[i]);
	free(logical->eras);
	free(logical);
}
