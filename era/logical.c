/* SPDX-License-Identifier: MIT */
/* Folds writesets into the era array. */
#include "era/logical.h"
#include "persistent-data/error.h"
#include "persistent-data/memory.h"

#include <stdlib.h>
#include <string.h>

#define STRETCH 1024 /* data blocks */
#define STRETCH_WORDS (STRETCH / 64)
#define AHEAD 2 /* stretches: so far ahead of what is folded others are brought into the cache */

#define GROUP_MAX UINT8_MAX

/*
 * What writesets say of a stretch. They are taken in groups, within which a number of one byte does
 * for an era: as many more of them stay in the cache. When a group is full its eras are written out.
 */
struct stretch {
	uint8_t recent
		[STRETCH]; /* number in the group of the latest writeset with the block; 0: none */
	uint32_t *eras;	   /* by earlier groups; NULL: none has a bit here */
};

struct logical {
	struct sink sink;
	struct sink *next;
	uint32_t nr_blocks;
	unsigned nr_in_group;	       /* writesets, the one at hand included; its number */
	uint32_t group[GROUP_MAX + 1]; /* their eras, by their numbers */
	struct stretch **stretches;    /* NULL: no writeset has a bit there */
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
	logical->stretches = calloc(nr_stretches(logical), sizeof(*logical->stretches));
	if (!logical->stretches)
		return PD_ERR_NO_MEMORY;
	return logical->next->ops->begin(logical->next, info);
}

static int write_out(struct stretch *stretch, const uint32_t *group)
{
	if (!stretch->eras)
		stretch->eras = calloc(STRETCH, sizeof(*stretch->eras));
	if (!stretch->eras)
		return PD_ERR_NO_MEMORY;
	for (unsigned i = 0; i < STRETCH; i++)
		if (stretch->recent[i])
			stretch->eras[i] = group[stretch->recent[i]];
	memset(stretch->recent, 0, sizeof(stretch->recent));
	return PD_OK;
}

static int write_out_group(struct logical *logical)
{
	int r = PD_OK;

	for (uint32_t i = 0; !r && i < nr_stretches(logical); i++)
		if (logical->stretches[i])
			r = write_out(logical->stretches[i], logical->group);
	logical->nr_in_group = 0;
	return r;
}

static int logical_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct logical *logical = (struct logical *)sink;
	int r = PD_OK;

	(void)nr_bits;
	if (logical->nr_in_group == GROUP_MAX)
		r = write_out_group(logical);
	logical->group[++logical->nr_in_group] = era;
	return r;
}

static struct stretch *stretch_of(struct logical *logical, uint32_t block)
{
	struct stretch **stretch = &logical->stretches[block / STRETCH];

	if (!*stretch)
		*stretch = calloc(1, sizeof(**stretch));
	return *stretch;
}

/* Writesets are folded one after the other, and memory is what that waits for. */
static void prefetch(const struct logical *logical, uint32_t stretch)
{
	const uint8_t *recent;

	if (stretch >= nr_stretches(logical) || !logical->stretches[stretch])
		return;
	recent = logical->stretches[stretch]->recent;
	for (unsigned i = 0; i < STRETCH; i += CACHE_LINE)
		__builtin_prefetch(recent + i, 1);
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
static void fold_word(uint8_t *recent, uint8_t number, uint64_t word)
{
	uint64_t rest = word & (word - 1);

	recent[lowest_bit(word)] = number;
	recent[lowest_bit(rest ? rest : word)] = number;
	for (rest &= rest - 1; rest; rest &= rest - 1)
		recent[lowest_bit(rest)] = number;
}

/* Words of one stretch, or part of it. */
static int fold_words(struct logical *logical, uint32_t first_block, const uint64_t *words,
		      unsigned n)
{
	struct stretch *stretch;
	uint64_t any = 0;
	uint8_t *recent;

	for (unsigned i = 0; i < n; i++)
		any |= words[i];
	if (!any)
		return PD_OK;
	stretch = stretch_of(logical, first_block);
	if (!stretch)
		return PD_ERR_NO_MEMORY;
	prefetch(logical, first_block / STRETCH + AHEAD);
	recent = stretch->recent + first_block % STRETCH;
	for (unsigned i = 0; i < n; i++)
		if (words[i])
			fold_word(recent + (size_t)i * 64, (uint8_t)logical->nr_in_group, words[i]);
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

/* Eras of one stretch, or part of it. Those of later groups, and within a group, are greater. */
static int merge(struct logical *logical, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	const struct stretch *stretch = logical->stretches[first_block / STRETCH];
	unsigned first = first_block % STRETCH;
	uint32_t *merged = logical->merged;

	if (!stretch)
		return logical->next->ops->eras(logical->next, first_block, eras, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t era = logical->group[stretch->recent[first + i]];

		merged[i] = era > eras[i] ? era : eras[i];
	}
	for (unsigned i = 0; stretch->eras && i < n; i++)
		if (stretch->eras[first + i] > merged[i])
			merged[i] = stretch->eras[first + i];
	return logical->next->ops->eras(logical->next, first_block, merged, n);
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
	for (uint32_t i = 0; logical->stretches && i < nr_stretches(logical); i++) {
		if (logical->stretches[i])
			free(logical->stretches[i]->eras);
		free(logical->stretches[i]);
	}
	free(logical->stretches);
	free(logical);
}
