/* SPDX-License-Identifier: MIT */
/* Merges what several streams say of the same data blocks. */
#include "era/merge.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

static int merge_stream_begin(struct sink *sink, const struct stream_info *info)
{
	(void)sink;
	(void)info;
	return PD_OK;
}

static int merge_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	(void)nr_bits;
	((struct merge *)sink)->era = era;
	return PD_OK;
}

/* block: may lie anywhere. */
static int raise(struct merge *merge, uint64_t block, uint32_t era)
{
	uint64_t i = block - merge->first;

	if (i >= merge->n || merge->eras[i] >= era)
		return PD_OK;
	merge->eras[i] = era;
	return merge->raised ? guessed_add(merge->raised, block, block + 1) : PD_OK;
}

static int merge_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct merge *merge = (struct merge *)sink;
	int r = PD_OK;

	for (unsigned i = 0; i < n; i++)
		for (uint64_t word = words[i]; !r && word; word &= word - 1)
			r = raise(merge, (first_word + i) * 64 + (uint64_t)__builtin_ctzll(word),
				  merge->era);
	return r;
}

static int merge_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct merge *merge = (struct merge *)sink;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < n; i++)
		r = raise(merge, (uint64_t)first_block + i, eras[i]);
	return r;
}

static int merge_nothing(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static const struct sink_ops merge_ops = {merge_stream_begin, merge_writeset_begin, merge_words,
					  merge_nothing,      merge_eras,	    merge_nothing};

int merge_init(struct merge *merge)
{
	*merge = (struct merge){.sink = {&merge_ops}};
	merge->eras = calloc(MERGE_WINDOW, sizeof(*merge->eras));
	return merge->eras ? PD_OK : PD_ERR_NO_MEMORY;
}

void merge_destroy(struct merge *merge)
{
	free(merge->eras);
	merge->eras = NULL;
}

void merge_begin(struct merge *merge, uint32_t first, uint32_t n)
{
	merge->first = first;
	merge->n = n;
	memset(merge->eras, 0, n * sizeof(*merge->eras));
}
