/* SPDX-License-Identifier: MIT */
/* Turns the elements of a document into the stream. */
#include "era/document.h"
#include "era/superblock.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <string.h>

void document_init(struct document *document, struct sink *sink)
{
	memset(document, 0, sizeof(*document));
	document->sink = sink;
}

static int refuse(struct document *document, const char *problem)
{
	document->problem = problem;
	return PD_ERR_CORRUPT;
}

int document_superblock(struct document *document, const struct stream_info *info)
{
	if (document->place != PLACE_BEFORE)
		return refuse(document, "<superblock> within another element");
	if (!superblock_uuid_is_text(info))
		return refuse(document, "uuid is not printable ASCII");
	if (!info->data_block_size || info->data_block_size % 8)
		return refuse(document, "block_size is not a multiple of 8 sectors");
	if (info->nr_blocks > ERA_MAX_DATA_BLOCKS)
		return refuse(document, "nr_blocks is more than the format allows, 2147483647");
	document->place = PLACE_SUPERBLOCK;
	document->info = *info;
	return document->sink->ops->begin(document->sink, info);
}

int document_superblock_end(struct document *document)
{
	if (!document->had_era_array)
		return refuse(document, "<era_array> is missing");
	document->place = PLACE_AFTER;
	return PD_OK;
}

int document_end(struct document *document)
{
	return document->sink->ops->end(document->sink);
}

/* Writesets: bits gather in a batch of words, which is handed on when a later bit comes. */

int document_writeset(struct document *document, uint32_t era, uint32_t nr_bits)
{
	if (document->place != PLACE_SUPERBLOCK)
		return refuse(document, "<writeset> does not belong here");
	if (document->had_era_array)
		return refuse(document, "<writeset> after <era_array>");
	if (nr_bits > ERA_MAX_DATA_BLOCKS)
		return refuse(document, "nr_bits is more than the format allows, 2147483647");
	if (era > document->info.current_era)
		return refuse(document, "era is past the current one");
	if (document->had_writeset && era == document->writeset_era)
		return refuse(document, "a second writeset of the same era");
	if (document->had_writeset && era < document->writeset_era)
		return refuse(document, "writesets do not ascend by era");
	document->place = PLACE_WRITESET;
	document->had_writeset = true;
	document->writeset_era = era;
	document->nr_bits = nr_bits;
	document->next = 0;
	document->batch_begin = 0;
	memset(document->words, 0, sizeof(document->words));
	return document->sink->ops->writeset_begin(document->sink, era, nr_bits);
}

/* Hands on words until the batch at hand is the one that holds `word`. */
static int advance_words(struct document *document, uint64_t word)
{
	int r = PD_OK;

	while (!r && word >= document->batch_begin + DOCUMENT_BATCH_WORDS) {
		r = document->sink->ops->writeset_words(document->sink, document->batch_begin,
							document->words, DOCUMENT_BATCH_WORDS);
		document->batch_begin += DOCUMENT_BATCH_WORDS;
		memset(document->words, 0, sizeof(document->words));
	}
	return r;
}

static int check_bits(struct document *document, uint64_t begin, uint64_t end)
{
	if (document->place != PLACE_WRITESET)
		return refuse(document, "this belongs into a <writeset>");
	if (end > document->nr_bits)
		return refuse(document, "block is past the end of the writeset");
	if (begin < document->next)
		return refuse(document, begin + 1 == document->next
						? "the same block again"
						: "blocks do not ascend within the writeset");
	document->next = end;
	return PD_OK;
}

int document_bits(struct document *document, uint32_t first, uint64_t bits, unsigned n)
{
	unsigned shift = first % BITSET_WORD_BITS;
	uint64_t word = first / BITSET_WORD_BITS;
	int r = check_bits(document, first, (uint64_t)first + n);

	if (r || !bits)
		return r;
	r = advance_words(document, word);
	document->words[word % DOCUMENT_BATCH_WORDS] |= bits << shift;
	if (r || shift + n <= BITSET_WORD_BITS)
		return r;
	r = advance_words(document, word + 1);
	document->words[(word + 1) % DOCUMENT_BATCH_WORDS] |= bits >> (BITSET_WORD_BITS - shift);
	return r;
}

int document_bit(struct document *document, uint32_t block, bool value)
{
	return document_bits(document, block, value, 1);
}

int document_marked(struct document *document, uint32_t block_begin, uint32_t len)
{
	uint64_t bit = block_begin;
	uint64_t end = bit + len;
	int r = len ? check_bits(document, bit, end) : refuse(document, "len is 0");

	while (!r && bit < end) {
		uint64_t word = bit / BITSET_WORD_BITS;
		uint64_t word_end = (word + 1) * BITSET_WORD_BITS;
		uint64_t mask = UINT64_MAX << (bit % BITSET_WORD_BITS);

		if (end < word_end)
			mask &= bitset_last_mask(end);
		r = advance_words(document, word);
		document->words[word % DOCUMENT_BATCH_WORDS] |= mask;
		bit = word_end;
	}
	return r;
}

int document_writeset_end(struct document *document)
{
	uint64_t nr_words = bitset_nr_words(document->nr_bits);
	int r = nr_words ? advance_words(document, nr_words - 1) : PD_OK;

	document->place = PLACE_SUPERBLOCK;
	if (!r && nr_words)
		r = document->sink->ops->writeset_words(
			document->sink, document->batch_begin, document->words,
			(unsigned)(nr_words - document->batch_begin));
	return r ? r : document->sink->ops->writeset_end(document->sink);
}

/* The era array, likewise. */

int document_era_array(struct document *document)
{
	if (document->place != PLACE_SUPERBLOCK)
		return refuse(document, "<era_array> does not belong here");
	if (document->had_era_array)
		return refuse(document, "a second <era_array>");
	document->place = PLACE_ERA_ARRAY;
	document->had_era_array = true;
	document->next = 0;
	document->batch_begin = 0;
	memset(document->eras, 0, sizeof(document->eras));
	return PD_OK;
}

static int advance_eras(struct document *document, uint64_t block)
{
	int r = PD_OK;

	while (!r && block >= document->batch_begin + DOCUMENT_BATCH_ERAS) {
		r = document->sink->ops->eras(document->sink, (uint32_t)document->batch_begin,
					      document->eras, DOCUMENT_BATCH_ERAS);
		document->batch_begin += DOCUMENT_BATCH_ERAS;
		memset(document->eras, 0, sizeof(document->eras));
	}
	return r;
}

static int check_eras(struct document *document, uint32_t first, const uint32_t *eras, unsigned n)
{
	uint32_t highest = 0;

	if (document->place != PLACE_ERA_ARRAY)
		return refuse(document, "<era> does not belong here");
	if ((uint64_t)first + n > document->info.nr_blocks)
		return refuse(document, "block is past the end of the device");
	if (first < document->next)
		return refuse(document, first + 1 == document->next
						? "the same block again"
						: "blocks do not ascend within the era array");
	for (unsigned i = 0; i < n; i++)
		highest = eras[i] > highest ? eras[i] : highest;
	if (highest > document->info.current_era)
		return refuse(document, "era is past the current one");
	return PD_OK;
}

int document_eras(struct document *document, uint32_t first, const uint32_t *eras, unsigned n)
{
	int r = check_eras(document, first, eras, n);

	if (r)
		return r;
	document->next = (uint64_t)first + n;
	while (!r && n) {
		unsigned at = first % DOCUMENT_BATCH_ERAS;
		unsigned part = DOCUMENT_BATCH_ERAS - at < n ? DOCUMENT_BATCH_ERAS - at : n;

		r = advance_eras(document, first);
		memcpy(document->eras + at, eras, part * sizeof(*eras));
		first += part;
		eras += part;
		n -= part;
	}
	return r;
}

int document_era(struct document *document, uint32_t block, uint32_t era)
{
	return document_eras(document, block, &era, 1);
}

int document_era_array_end(struct document *document)
{
	uint64_t nr_blocks = document->info.nr_blocks;
	int r = nr_blocks ? advance_eras(document, nr_blocks - 1) : PD_OK;

	document->place = PLACE_SUPERBLOCK;
	if (!r && nr_blocks)
		r = document->sink->ops->eras(document->sink, (uint32_t)document->batch_begin,
					      document->eras,
					      (unsigned)(nr_blocks - document->batch_begin));
	return r;
}
