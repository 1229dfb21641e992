/* SPDX-License-Identifier: MIT */
/*
 * Puts lost leaves of arrays together again. They named so many array blocks, and if there are just as
 * many that nothing refers to, and as long as they should be, it was these. One that a metadata snapshot
 * has as well is in the same place there. The others of one length may be in any order.
 */
#include "era/mend.h"
#include "persistent-data/bitset.h"
#include "persistent-data/btree.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

/* An array block that a lost leaf named. */
struct place {
	uint64_t first; /* data block */
	unsigned nr_entries;
	uint64_t block; /* 0: not known yet */
	bool certain;	/* that it is this one */
};

/* Array blocks of one length, and what all of them may have. */
struct pool {
	unsigned nr_entries, nr;
	struct mend_page *page;
};

struct search {
	struct mend *mend;
	struct losses *losses;
	uint8_t *block;
	enum kind kind;	      /* of array block */
	unsigned value_size;  /* bytes */
	unsigned value_width; /* data blocks that a value is about */
	struct place *places;
	uint64_t nr_places;
	uint64_t next; /* the places before it have a block, but for short ones */
	unsigned nr_pools;
	struct pool pools[MEND_MAX_LOST + 1];
};

static unsigned max_entries(const struct search *search)
{
	return array_max_entries(search->value_size);
}

/* Data blocks that an array block is about. */
static uint64_t width(const struct search *search)
{
	return (uint64_t)max_entries(search) * search->value_width;
}

static bool is_concerned(const struct search *search, const struct lost_node *node)
{
	return node->structure != STRUCTURE_WRITESET_TREE &&
	       (node->structure == STRUCTURE_ERA_ARRAY) == (search->kind == KIND_ERAS);
}

static uint64_t nr_places_of(const struct search *search, const struct lost_node *node)
{
	return (node->end - node->begin + width(search) - 1) / width(search);
}

/* What is lost. */

/* Whether a leaf can have led to what is lost, and nothing else can be said of it. */
static bool can_be_leaf(const struct search *search, const struct lost_node *node)
{
	return node->begin < node->end && !(node->begin % width(search)) &&
	       nr_places_of(search, node) <= btree_max_entries(sizeof(uint64_t)) &&
	       mend_is_lost(search->mend, node->number, search->block);
}

/* false: one of them cannot have been a leaf. */
static bool count_places(struct search *search)
{
	for (unsigned i = 0; i < search->losses->nr; i++) {
		const struct lost_node *node = &search->losses->nodes[i];

		if (!is_concerned(search, node))
			continue;
		if (!can_be_leaf(search, node))
			return false;
		search->nr_places += nr_places_of(search, node);
	}
	return search->nr_places;
}

static void make_places(struct search *search)
{
	struct place *place = search->places;

	for (unsigned i = 0; i < search->losses->nr; i++) {
		const struct lost_node *node = &search->losses->nodes[i];
		uint64_t first = node->begin;

		for (; is_concerned(search, node) && first < node->end; first += width(search)) {
			uint64_t n =
				(node->end - first + search->value_width - 1) / search->value_width;

			place->first = first;
			place->nr_entries =
				n < max_entries(search) ? (unsigned)n : max_entries(search);
			place++;
		}
	}
}

/* The array blocks that nothing refers to. */

/* Its entries; 0: that cannot be. */
static unsigned entries_of(struct search *search, uint64_t number)
{
	if (mend_look(search->mend, number, search->block) != search->kind ||
	    get_le32(search->block + ARRAY_MAX_ENTRIES) != max_entries(search))
		return 0;
	return get_le32(search->block + ARRAY_NR_ENTRIES);
}

static bool fits(const struct place *place, unsigned nr_entries)
{
	return !place->block && place->nr_entries == nr_entries;
}

/* Gives it the place that the metadata snapshot has it in. */
static int shared_leaf(void *context, const struct btree_leaf *leaf)
{
	struct search *search = context;
	struct losses *losses = search->losses;

	for (unsigned i = 0; i < leaf->nr_entries; i++) {
		uint64_t number = get_le64(leaf->values + (size_t)i * sizeof(uint64_t));

		if (number >= losses->nr_blocks || !losses->orphans[number])
			continue;
		for (uint64_t j = 0; j < search->nr_places; j++)
			if (search->places[j].first == leaf->keys[i] * width(search) &&
			    fits(&search->places[j], entries_of(search, number))) {
				search->places[j].block = number;
				search->places[j].certain = true;
				losses->orphans[number] = false;
			}
	}
	return PD_OK;
}

static int shared_lost(void *context, const struct damage *damage)
{
	(void)context;
	(void)damage;
	return PD_OK;
}

static int take_shared(struct search *search)
{
	const struct losses *losses = search->losses;
	struct btree tree = {losses->other_array, sizeof(uint64_t), UINT64_MAX, 0, false};
	struct btree_visitor visitor = {search, shared_leaf, shared_lost};

	if (search->kind != KIND_ERAS || !losses->other_array)
		return PD_OK;
	/* They have been compared, and are counted anew when something is mended. */
	ref_counts_clear(losses->reader->refs);
	ref_counts_begin_pass(losses->reader->refs);
	return btree_walk(losses->reader, &tree, &visitor);
}

/* Whether there is a place left for it. */
static bool take_block(struct search *search, uint64_t number)
{
	unsigned nr_entries = entries_of(search, number);
	bool full = nr_entries == max_entries(search);
	uint64_t i = full ? search->next : 0;

	while (i < search->nr_places && !fits(&search->places[i], nr_entries))
		i++;
	if (full)
		search->next = i;
	if (i == search->nr_places)
		return false;
	search->places[i].block = number;
	return true;
}

/* All have found a place then, because there are as many. */
static bool take_blocks(struct search *search)
{
	const struct losses *losses = search->losses;
	bool fitting = true;

	for (uint64_t i = 0; fitting && i < losses->nr_blocks; i++)
		if (losses->orphans[i] && mend_look(search->mend, i, search->block) == search->kind)
			fitting = take_block(search, i);
	return fitting;
}

/* What they may have. */

static struct pool *pool_of(struct search *search, unsigned nr_entries)
{
	unsigned i = 0;

	while (i < search->nr_pools && search->pools[i].nr_entries != nr_entries)
		i++;
	if (i == search->nr_pools)
		search->pools[search->nr_pools++] =
			(struct pool){nr_entries, 0, mend_page(search->mend)};
	return search->pools[i].page ? &search->pools[i] : NULL;
}

static void add_eras(struct mend_page *page, const uint8_t *block, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = page->content + ARRAY_VALUES + (size_t)i * 4;
		uint32_t era = get_le32(block + ARRAY_VALUES + (size_t)i * 4);

		if (era != get_le32(at))
			page->vague[i / 64] |= UINT64_C(1) << i % 64;
		if (era > get_le32(at))
			put_le32(at, era);
	}
}

static void add_words(struct mend_page *page, const uint8_t *block, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = page->content + ARRAY_VALUES + (size_t)i * 8;
		uint64_t word = get_le64(block + ARRAY_VALUES + (size_t)i * 8);

		page->vague[i] |= word ^ get_le64(at);
		put_le64(at, word | get_le64(at));
	}
}

static int add_block(struct search *search, const struct place *place)
{
	struct pool *pool = pool_of(search, place->nr_entries);

	if (!pool)
		return PD_ERR_NO_MEMORY;
	mend_look(search->mend, place->block, search->block);
	if (!pool->nr++)
		memcpy(pool->page->content, search->block, METADATA_BLOCK_SIZE);
	else if (search->kind == KIND_ERAS)
		add_eras(pool->page, search->block, place->nr_entries);
	else
		add_words(pool->page, search->block, place->nr_entries);
	return PD_OK;
}

/* The leaves. */

static int put_block(struct search *search, struct lost_node *node, const struct place *place)
{
	const struct pool *pool;

	if (place->certain)
		return PD_OK;
	pool = pool_of(search, place->nr_entries);
	if (pool->nr == 1)
		return PD_OK;
	node->in_order = false;
	return mend_put(search->mend, place->block, BLOCK_ARRAY, pool->page, place->first);
}

static int make_leaf(struct search *search, struct lost_node *node, const struct place *places)
{
	struct mend_page *page = mend_page(search->mend);
	unsigned n = (unsigned)nr_places_of(search, node);
	int r = PD_OK;

	if (!page)
		return PD_ERR_NO_MEMORY;
	node_format(page->content, NODE_LEAF, sizeof(uint64_t));
	node->nr_children = n;
	node->in_order = true;
	for (unsigned i = 0; !r && i < n; i++) {
		uint8_t value[sizeof(uint64_t)];

		put_le64(value, places[i].block);
		node_insert(page->content, i, places[i].first / width(search), value);
		r = put_block(search, node, &places[i]);
	}
	return r ? r : mend_put(search->mend, node->number, BLOCK_BTREE_NODE, page, 0);
}

static int make_leaves(struct search *search)
{
	const struct place *places = search->places;
	int r = PD_OK;

	for (uint64_t i = 0; !r && i < search->nr_places; i++)
		if (!places[i].certain)
			r = add_block(search, &places[i]);
	for (unsigned i = 0; !r && i < search->losses->nr; i++) {
		struct lost_node *node = &search->losses->nodes[i];

		if (!is_concerned(search, node))
			continue;
		r = make_leaf(search, node, places);
		places += nr_places_of(search, node);
	}
	return r;
}

static int mend_kind(struct search *search)
{
	int r;

	search->places = calloc(search->nr_places, sizeof(*search->places));
	if (!search->places)
		return PD_ERR_NO_MEMORY;
	make_places(search);
	r = take_shared(search);
	if (!r && take_blocks(search))
		r = make_leaves(search);
	free(search->places);
	return r;
}

/* What nothing refers to, by kind. */
struct tally {
	uint64_t nr_kinds[NR_KINDS];
	uint64_t nr, nr_damaged;
};

static struct tally count_orphans(const struct mend *mend, const struct losses *losses,
				  uint8_t *block)
{
	struct tally tally = {.nr = 0};

	for (uint64_t i = 0; i < losses->nr_blocks; i++) {
		enum kind kind;

		if (!losses->orphans[i])
			continue;
		kind = mend_look(mend, i, block);
		tally.nr_kinds[kind]++;
		tally.nr_damaged += kind <= KIND_ZEROES;
		tally.nr++;
	}
	return tally;
}

int mend_leaves(struct mend *mend, struct losses *losses, uint8_t *block)
{
	struct search eras = {.mend = mend,
			      .losses = losses,
			      .block = block,
			      .kind = KIND_ERAS,
			      .value_size = sizeof(uint32_t),
			      .value_width = 1};
	struct search words = {.mend = mend,
			       .losses = losses,
			       .block = block,
			       .kind = KIND_WORDS,
			       .value_size = sizeof(uint64_t),
			       .value_width = BITSET_WORD_BITS};
	struct tally tally = count_orphans(mend, losses, block);
	bool has_eras = count_places(&eras), has_words = count_places(&words);
	int r = PD_OK;

	/* What is damaged may have been anything, unless it makes up just what the leaves lack. */
	if (tally.nr_damaged && tally.nr != eras.nr_places + words.nr_places)
		return PD_OK;
	if (has_eras && tally.nr_kinds[KIND_ERAS] == eras.nr_places)
		r = mend_kind(&eras);
	if (!r && has_words && tally.nr_kinds[KIND_WORDS] == words.nr_places)
		r = mend_kind(&words);
	return r;
}
