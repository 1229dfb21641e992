/* SPDX-License-Identifier: MIT */
/* The set of data blocks written in an era or later. */
#include "era/changed.h"
#include "era/bitmap.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/vector.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 1024 /* eras looked at at once, a multiple of 64 */

static int changed_begin(struct sink *sink, const struct stream_info *info)
{
	struct changed *changed = (struct changed *)sink;
	uint64_t nr_words = bitset_nr_words(info->nr_blocks);

	changed->info = *info;
	changed->words = calloc(nr_words ? nr_words : 1, sizeof(*changed->words));
	return changed->words ? PD_OK : PD_ERR_NO_MEMORY;
}

static int changed_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct changed *changed = (struct changed *)sink;

	(void)nr_bits;
	changed->take_writeset = era >= changed->since;
	return PD_OK;
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
	for (unsigned i = 0; i < n; i++)
		changed->words[first_word + i] |= words[i];
	return PD_OK;
}

static int changed_writeset_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

/* Of each era a flag: whether it is `since` or later. */
VECTOR_LOOP static void flag_later(const uint32_t *eras, unsigned n, uint32_t since,
				   uint8_t *restrict later)
{
	for (unsigned i = 0; i < n; i++)
		later[i] = eras[i] >= since;
}

/* 64 flags as bits, eight of them at a time. */
static uint64_t gather_bits(const uint8_t *flags)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 64; i += 8)
		bits |= (get_le64(flags + i) * UINT64_C(0x0102040810204080) >> 56) << i;
	return bits;
}

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
	uint8_t later[BATCH + 64];

	while (n) {
		unsigned part = n < BATCH ? n : BATCH;

		flag_later(eras, part, changed->since, later);
		memset(later + part, 0, 64);
		for (unsigned i = 0; i < part; i += 64)
			set_bits(changed, first_block + i, gather_bits(later + i));
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

static const struct sink_ops changed_ops = {changed_begin,	    changed_writeset_begin,
					    changed_writeset_words, changed_writeset_end,
					    changed_eras,	    changed_end};

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
