/* SPDX-License-Identifier: MIT */
/* Puts a lost btree node together again. */
#include "era/mend.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

/* The device. */

static bool put_mended(const struct mend *mend, uint64_t first, uint32_t count, void *buffer)
{
	if (!mend->number || mend->number - first >= count)
		return false;
	memcpy((uint8_t *)buffer + (mend->number - first) * METADATA_BLOCK_SIZE, mend->node,
	       METADATA_BLOCK_SIZE);
	return true;
}

static int mended_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct mend *mend = (struct mend *)io;
	bool mended = mend->number && first == mend->number && count == 1;
	int r = mended ? PD_OK : block_io_read(mend->inner, first, count, buffer);

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

int mend_init(struct mend *mend, struct block_io *inner)
{
	*mend = (struct mend){.io = {&mended_ops, inner->nr_blocks, inner->nr_ahead},
			      .inner = inner};
	mend->node = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	return mend->node ? PD_OK : PD_ERR_NO_MEMORY;
}

void mend_destroy(struct mend *mend)
{
	free(mend->node);
	mend->node = NULL;
}

/* The node. */

struct child {
	uint64_t number;
	uint64_t key, end; /* its first key, and where the next child's begin at the earliest */
};

struct search {
	struct mend *mend;
	enum kind leaves;
	const bool *forgotten;
	uint64_t nr_blocks;
	bool *named; /* by another that is forgotten */
	uint8_t *block;
	unsigned nr;
	struct child children[BTREE_MAX_FANOUT];
};

static enum kind look(struct search *search, uint64_t number)
{
	if (block_io_read(search->mend->inner, number, 1, search->block))
		return KIND_UNREADABLE;
	return block_kind(search->block, number);
}

/* What a forgotten node refers to is forgotten as well, and nothing else refers to it. */
static bool name_children(struct search *search, uint64_t number)
{
	enum kind kind = look(search, number);

	if (kind != KIND_INTERNAL && kind != KIND_WRITESETS && kind != KIND_POINTERS)
		return true;
	for (unsigned i = 0; i < kind_nr_entries(search->block); i++) {
		uint64_t child = kind_pointer(search->block, kind, i);

		if (child >= search->nr_blocks || !search->forgotten[child] || search->named[child])
			return false;
		search->named[child] = true;
	}
	return true;
}

/* One that no other names is a child of the lost node. An array leaves no key out. */
static bool take_child(struct search *search, uint64_t number)
{
	enum kind kind = look(search, number);
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

static bool find_children(struct search *search)
{
	bool sound = true;

	for (uint64_t i = 0; sound && i < search->nr_blocks; i++)
		if (search->forgotten[i])
			sound = name_children(search, i);
	for (uint64_t i = 0; sound && i < search->nr_blocks; i++)
		if (search->forgotten[i] && !search->named[i])
			sound = take_child(search, i);
	return sound && search->nr && keys_follow(search);
}

/* Whether it fits its place shows when the tree is walked. */
static void make_node(struct search *search, uint64_t number)
{
	struct mend *mend = search->mend;

	memset(mend->node, 0, METADATA_BLOCK_SIZE);
	node_format(mend->node, NODE_INTERNAL, sizeof(uint64_t));
	for (unsigned i = 0; i < search->nr; i++) {
		uint8_t value[sizeof(uint64_t)];

		put_le64(value, search->children[i].number);
		node_insert(mend->node, i, search->children[i].key, value);
	}
	block_seal(mend->node, BLOCK_BTREE_NODE, number);
	mend->number = number;
	mend->nr_children = search->nr;
}

int mend_node(struct mend *mend, uint64_t number, enum kind leaves, const bool *forgotten,
	      uint64_t nr_blocks, bool *mended)
{
	struct search search = {
		.mend = mend, .leaves = leaves, .forgotten = forgotten, .nr_blocks = nr_blocks};
	int r = PD_ERR_NO_MEMORY;

	*mended = false;
	search.named = calloc(nr_blocks, sizeof(*search.named));
	search.block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	if (search.named && search.block) {
		r = PD_OK;
		*mended = number < nr_blocks && look(&search, number) <= KIND_ZEROES &&
			  find_children(&search);
		if (*mended)
			make_node(&search, number);
	}
	free(search.named);
	free(search.block);
	return r;
}
