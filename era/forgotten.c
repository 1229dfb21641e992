/* SPDX-License-Identifier: MIT */
/* Finds writesets that nothing refers to. */
#include "era/forgotten.h"
#include "era/kind.h"
#include "persistent-data/array.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

#define WORDS_PER_BLOCK ((METADATA_BLOCK_SIZE - ARRAY_VALUES) / sizeof(uint64_t))
#define LOOKS_PER_BLOCK 8 /* before it is given up, and everything counts */
#define BITS_PER_BLOCK (WORDS_PER_BLOCK * BITSET_WORD_BITS)

struct search {
	struct survey *survey;
	struct metadata *metadata;
	struct forgotten *forgotten;
	uint64_t looks_left;  /* hostile leaves may all lead to the same blocks */
	uint8_t *leaf, *data; /* a block each */
};

static enum kind read_block(struct search *search, uint64_t number, uint8_t *block)
{
	if (search->looks_left)
		search->looks_left--;
	else
		search->survey->everything = true;
	if (number >= search->metadata->refs.nr_blocks || search->survey->everything ||
	    block_io_read(search->metadata->io, number, 1, block))
		return KIND_UNKNOWN;
	return block_kind(block, number);
}

static int take_words(struct search *search, uint64_t first)
{
	uint64_t words[WORDS_PER_BLOCK];
	unsigned n = get_le32(search->data + ARRAY_NR_ENTRIES);

	get_le64_array(words, search->data + ARRAY_VALUES, n);
	return survey_add_bits(search->survey, first, words, n);
}

/* One array block of a forgotten bitset, by its index. */
static int take_block(struct search *search, uint64_t index, uint64_t number)
{
	uint64_t first = index * BITS_PER_BLOCK;
	enum kind kind = read_block(search, number, search->data);

	if (number < search->metadata->refs.nr_blocks)
		search->forgotten->blocks[number] = false;
	if (kind == KIND_WORDS)
		return take_words(search, first);
	return survey_add_range(search->survey, first, first + BITS_PER_BLOCK);
}

/* An era array's leaf looks the same: what it leads to makes the difference. */
static bool leads_to_eras(struct search *search)
{
	enum kind kind = KIND_UNKNOWN;

	for (unsigned i = 0; i < kind_nr_entries(search->leaf) && kind != KIND_WORDS; i++) {
		kind = read_block(search, kind_pointer(search->leaf, KIND_POINTERS, i),
				  search->data);
		if (kind == KIND_ERAS)
			return true;
	}
	return false;
}

static int take_leaf(struct search *search, uint64_t number)
{
	int r = PD_OK;

	if (read_block(search, number, search->leaf) != KIND_POINTERS)
		return PD_OK;
	search->forgotten->blocks[number] = false;
	if (kind_nr_entries(search->leaf) && leads_to_eras(search)) {
		search->forgotten->doubtful = true;
		return PD_OK;
	}
	search->forgotten->nr_writesets += kind_nr_entries(search->leaf) > 0;
	for (unsigned i = 0; !r && i < kind_nr_entries(search->leaf); i++) {
		uint64_t index = kind_key(search->leaf, i);

		/* Nobody knows which data blocks it is about. */
		if (index > ERA_MAX_DATA_BLOCKS / BITS_PER_BLOCK)
			search->survey->everything = true;
		else
			r = take_block(search, index, kind_pointer(search->leaf, KIND_POINTERS, i));
	}
	return r;
}

/*
 * Whatever leads to a writeset would have been met by now, if it were not damaged itself. What has
 * nothing to do with writesets, zeroes above all, may stand where something newer was never written.
 */
static void take_rest(struct search *search, uint64_t number)
{
	enum kind kind = read_block(search, number, search->data);
	unsigned n = kind == KIND_WRITESETS ? kind_nr_entries(search->data) : 0;

	if (n && kind_key(search->data, n - 1) > search->forgotten->era)
		search->forgotten->era = kind_key(search->data, n - 1);
	search->forgotten->doubtful |= kind != KIND_INTERNAL && kind != KIND_WRITESETS;
	search->forgotten->rest |= kind == KIND_UNKNOWN || n;
}

static int search_all(struct search *search)
{
	uint64_t nr_blocks = search->metadata->refs.nr_blocks;
	int r = PD_OK;

	for (uint64_t i = 0; !r && !search->survey->everything && i < nr_blocks; i++)
		if (search->forgotten->blocks[i])
			r = take_leaf(search, i);
	for (uint64_t i = 0; !r && i < nr_blocks; i++)
		if (search->forgotten->blocks[i])
			take_rest(search, i);
	return r;
}

int forgotten_find(struct survey *survey, struct metadata *metadata, struct forgotten *forgotten)
{
	struct search search = {.survey = survey,
				.metadata = metadata,
				.forgotten = forgotten,
				.looks_left = (metadata->refs.nr_blocks + 1) * LOOKS_PER_BLOCK};
	int r = PD_ERR_NO_MEMORY;

	search.leaf = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	search.data = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	if (search.leaf && search.data)
		r = search_all(&search);
	free(search.leaf);
	free(search.data);
	return r;
}
