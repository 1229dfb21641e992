/* SPDX-License-Identifier: MIT */
/* Puts a lost btree node together again. */
#include "era/mend.h"
#include "era/superblock.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

struct mended {
	uint64_t number;
	enum block_type type;
	const struct mend_page *page;
	uint64_t first; /* data block */
};

/* The device. */

/* The first that does not come before a block. */
static size_t find_mended(const struct mend *mend, uint64_t number)
{
	size_t begin = 0, end = mend->nr;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (mend->blocks[middle].number < number)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

static bool put_mended(const struct mend *mend, uint64_t first, uint32_t count, void *buffer)
{
	size_t begin = find_mended(mend, first), i;

	for (i = begin; i < mend->nr && mend->blocks[i].number - first < count; i++) {
		const struct mended *mended = &mend->blocks[i];
		uint8_t *block = (uint8_t *)buffer + (mended->number - first) * METADATA_BLOCK_SIZE;

		memcpy(block, mended->page->content, METADATA_BLOCK_SIZE);
		block_seal(block, mended->type, mended->number);
	}
	return i > begin;
}

static int mended_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct mend *mend = (struct mend *)io;
	int r;

	/* It may be one that cannot be read. */
	if (count == 1 && put_mended(mend, first, count, buffer))
		return PD_OK;
	r = block_io_read(mend->inner, first, count, buffer);
	if (!r)
		put_mended(mend, first, count, buffer);
	return r;
}

static bool mended_begin(struct block_io *io, struct block_read *read)
{
	struct mend *mend = (struct mend *)io;

	return mend->inner->ops->begin && mend->inner->ops->begin(mend->inner, read);
}

static int mended_finish(struct block_io *io, struct block_read *read)
{
	struct mend *mend = (struct mend *)io;
	int r = mend->inner->ops->finish(mend->inner, read);

	if (!r && put_mended(mend, read->first, read->count, read->buffer) && read->salts)
		block_salts(read->buffer, read->count, read->salts);
	return r;
}

static void mended_rest(struct block_io *io)
{
	block_io_rest(((struct mend *)io)->inner);
}

static const struct block_io_ops mended_ops = {
	.read = mended_read, .begin = mended_begin, .finish = mended_finish, .rest = mended_rest};

void mend_init(struct mend *mend, struct block_io *inner)
{
	*mend = (struct mend){.io = {&mended_ops, inner->nr_blocks, inner->nr_ahead},
			      .inner = inner};
}

void mend_destroy(struct mend *mend)
{
	while (mend->pages) {
		struct mend_page *page = mend->pages;

		mend->pages = page->next;
		free(page);
	}
	free(mend->blocks);
	mend->blocks = NULL;
	mend->nr = 0;
}

struct mend_page *mend_page(struct mend *mend)
{
	struct mend_page *page = calloc(1, sizeof(*page));

	if (!page)
		return NULL;
	page->next = mend->pages;
	mend->pages = page;
	return page;
}

int mend_put(struct mend *mend, uint64_t number, enum block_type type, const struct mend_page *page,
	     uint64_t first)
{
	size_t i = find_mended(mend, number);
	struct mended *blocks = realloc(mend->blocks, (mend->nr + 1) * sizeof(*blocks));

	if (!blocks)
		return PD_ERR_NO_MEMORY;
	mend->blocks = blocks;
	memmove(blocks + i + 1, blocks + i, (mend->nr - i) * sizeof(*blocks));
	blocks[i] = (struct mended){number, type, page, first};
	mend->nr++;
	return PD_OK;
}

enum kind mend_look(const struct mend *mend, uint64_t number, uint8_t *block)
{
	if (number >= mend->inner->nr_blocks || block_io_read(mend->inner, number, 1, block))
		return KIND_UNREADABLE;
	return block_kind(block, number);
}

bool mend_is_lost(const struct mend *mend, uint64_t number, uint8_t *block)
{
	return number != SUPERBLOCK_BLOCK && number < mend->inner->nr_blocks &&
	       mend_look(mend, number, block) <= KIND_ZEROES;
}

int mend_guess(const struct mend *mend, struct guessed *guessed)
{
	int r = PD_OK;

	for (size_t i = 0; i < mend->nr; i++) {
		const struct mended *mended = &mend->blocks[i];

		for (uint64_t bit = 0; !r && bit < sizeof(mended->page->vague) * 8; bit++)
			if (mended->page->vague[bit / 64] >> bit % 64 & 1)
				r = guessed_add(guessed, mended->first + bit,
						mended->first + bit + 1);
	}
	return r;
}

/* A node that leads to further nodes, which is all that is lost. */

struct child {
	uint64_t number;
	uint64_t key, end; /* its first key, and where the next child's begin at the earliest */
};

struct search {
	struct mend *mend;
	enum kind leaves;
	uint8_t *block;
	unsigned nr;
	struct child children[BTREE_MAX_FANOUT];
};

/* One that no other names is a child of the lost node. An array leaves no key out. */
static bool take_child(struct search *search, uint64_t number)
{
	enum kind kind = mend_look(search->mend, number, search->block);
	unsigned n = kind > KIND_ZEROES ? kind_nr_entries(search->block) : 0;
	struct child child = {.number = number};

	if ((kind != search->leaves && kind != KIND_INTERNAL) || !n ||
	    search->nr == btree_max_entries(sizeof(uint64_t)))
		return false;
	child.key = kind_key(search->block, 0);
	child.end = kind_key(search->block, n - 1) + 1;
	search->children[search->nr++] = child;
	return kind != KIND_POINTERS || child.end - child.key == n;
}

static int by_key(const void *a, const void *b)
{
	const struct child *left = a, *right = b;

	return (left->key > right->key) - (left->key < right->key);
}

static bool keys_follow(struct search *search)
{
	qsort(search->children, search->nr, sizeof(search->children[0]), by_key);
	for (unsigned i = 1; i < search->nr; i++)
		if (search->children[i].key < search->children[i - 1].end)
			return false;
	return true;
}

static bool find_children(struct search *search, const struct losses *losses)
{
	bool sound = true;

	for (uint64_t i = 0; sound && i < losses->nr_blocks; i++)
		if (losses->orphans[i])
			sound = take_child(search, i);
	return sound && search->nr && keys_follow(search);
}

/* Whether it fits its place shows when the tree is walked. */
static int make_node(struct search *search, uint64_t number)
{
	struct mend_page *page = mend_page(search->mend);

	if (!page)
		return PD_ERR_NO_MEMORY;
	node_format(page->content, NODE_INTERNAL, sizeof(uint64_t));
	for (unsigned i = 0; i < search->nr; i++) {
		uint8_t value[sizeof(uint64_t)];

		put_le64(value, search->children[i].number);
		node_insert(page->content, i, search->children[i].key, value);
	}
	return mend_put(search->mend, number, BLOCK_BTREE_NODE, page, 0);
}

static int mend_node(struct mend *mend, struct losses *losses, uint8_t *block)
{
	struct lost_node *node = &losses->nodes[0];
	struct search search = {.mend = mend, .block = block};

	search.leaves = node->structure == STRUCTURE_WRITESET_TREE ? KIND_WRITESETS : KIND_POINTERS;
	if (losses->nr != 1 || !mend_is_lost(mend, node->number, block) ||
	    !find_children(&search, losses))
		return PD_OK;
	node->nr_children = search.nr;
	node->in_order = true;
	return make_node(&search, node->number);
}

/* All nodes. */

/* What a forgotten node refers to lacks that reference, and no other. */
static bool name_children(const struct mend *mend, struct losses *losses, uint64_t number,
			  uint8_t *block)
{
	enum kind kind = mend_look(mend, number, block);

	if (kind != KIND_INTERNAL && kind != KIND_WRITESETS && kind != KIND_POINTERS)
		return true;
	for (unsigned i = 0; i < kind_nr_entries(block); i++) {
		uint64_t child = kind_pointer(block, kind, i);

		if (child >= losses->nr_blocks || !losses->orphans[child])
			return false;
		losses->orphans[child] = false;
	}
	return true;
}

/* Leaves those that nodes named which are lost. */
static bool find_orphans(const struct mend *mend, struct losses *losses, uint8_t *block)
{
	bool sound = true;

	for (uint64_t i = 0; sound && i < losses->nr_blocks; i++)
		if (losses->forgotten[i])
			sound = name_children(mend, losses, i, block);
	return sound;
}

int mend_lost(struct mend *mend, struct losses *losses)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	int r = PD_OK;

	if (!block)
		return PD_ERR_NO_MEMORY;
	if (find_orphans(mend, losses, block)) {
		r = mend_node(mend, losses, block);
		if (!r && !mend->nr)
			r = mend_leaves(mend, losses, block);
	}
	free(block);
	return r;
}
