/* SPDX-License-Identifier: MIT */
/* Folds writesets into the era array. */
#include "era/logical.h"
#include "persistent-data/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STRETCH 1024 /* data blocks: 4 KiB of eras */

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

/* Writesets come by ascending era, so a later one takes precedence. */
static int fold_word(struct logical *logical, uint32_t first_block, uint64_t word)
{
	uint32_t **stretch = &logical->eras[first_block / STRETCH];
	uint32_t *eras;

	if (!*stretch)
		*stretch = calloc(STRETCH, sizeof(**stretch));
	if (!*stretch)
		return PD_ERR_NO_MEMORY;
	eras = *stretch + first_block % STRETCH;
	for (; word; word &= word - 1)
		eras[__builtin_ctzll(word)] = logical->era;
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
	for (unsigned i = 0; !r && i < n; i++)
		if (words[i])
			r = fold_word(logical, (uint32_t)(first_word + i) * 64, words[i]);
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
