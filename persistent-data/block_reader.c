/* SPDX-License-Identifier: MIT */
/* Reads sets of blocks in large runs. */
#include "persistent-data/block_reader.h"
#include "persistent-data/error.h"
#include "persistent-data/memory.h"

#include <stdlib.h>
#include <string.h>

#define DATA_BATCH 256 /* blocks: 1 MiB */
#define NODE_BATCH 32

enum slot_state { SLOT_READ, SLOT_UNREADABLE, SLOT_OUTSIDE, SLOT_AGAIN };

struct batch_slot {
	uint64_t block;
	enum slot_state state;
	bool shared;
	bool again;	   /* a second look: it was used before in this pass */
	unsigned position; /* in the buffer, in blocks */
};

static void batch_destroy(struct block_batch *batch)
{
	free(batch->buffer);
	free(batch->slots);
	free(batch->sorted);
	free(batch->runs);
	memset(batch, 0, sizeof(*batch));
}

static struct block_batch *batch_make(struct block_batch *batch, unsigned capacity)
{
	if (batch->capacity)
		return batch;
	batch->buffer = aligned_alloc(METADATA_BLOCK_SIZE, (size_t)capacity * METADATA_BLOCK_SIZE);
	batch->slots = calloc(capacity, sizeof(*batch->slots));
	batch->sorted = calloc(capacity, sizeof(struct batch_slot *));
	batch->runs = calloc(capacity, sizeof(*batch->runs));
	batch->capacity = capacity;
	if (batch->buffer && batch->slots && batch->sorted && batch->runs)
		return batch;
	batch_destroy(batch);
	return NULL;
}

void block_reader_init(struct block_reader *reader, struct block_io *io, struct ref_counts *refs)
{
	memset(reader, 0, sizeof(*reader));
	reader->io = io;
	reader->refs = refs;
}

void block_reader_destroy(struct block_reader *reader)
{
	batch_destroy(&reader->data);
	for (unsigned i = 0; i < BLOCK_IO_AHEAD_MAX; i++)
		batch_destroy(&reader->ahead[i]);
	for (unsigned i = 0; i < BTREE_MAX_DEPTH; i++)
		batch_destroy(&reader->nodes[i]);
}

struct block_batch *block_reader_nodes(struct block_reader *reader, unsigned depth)
{
	return batch_make(&reader->nodes[depth], NODE_BATCH);
}

struct block_batch *block_reader_data(struct block_reader *reader)
{
	return batch_make(&reader->data, DATA_BATCH);
}

struct block_batch *block_reader_ahead(struct block_reader *reader, unsigned i)
{
	return batch_make(&reader->ahead[i], DATA_BATCH);
}

static int by_block(const void *a, const void *b)
{
	const struct batch_slot *left = *(struct batch_slot *const *)a;
	const struct batch_slot *right = *(struct batch_slot *const *)b;

	return (left->block > right->block) - (left->block < right->block);
}

/* Makes a slot for each block; the ones to be read go into batch->sorted, whose length is returned. */
static unsigned take_orders(struct block_reader *reader, struct block_batch *batch,
			    const uint64_t *blocks, unsigned n, bool parent_shared)
{
	unsigned nr_sorted = 0;
	bool ascending = true;

	batch->nr = n;
	for (unsigned i = 0; i < n; i++) {
		struct batch_slot *slot = &batch->slots[i];
		enum ref_use use;

		*slot = (struct batch_slot){.block = blocks[i], .state = SLOT_OUTSIDE};
		if (blocks[i] >= reader->refs->nr_blocks)
			continue;
		use = ref_counts_add(reader->refs, blocks[i], parent_shared);
		slot->shared = use == REF_SHARED;
		slot->again = use == REF_AGAIN && reader->refs->looks_left;
		slot->state = use == REF_AGAIN && !slot->again ? SLOT_AGAIN : SLOT_READ;
		if (slot->state == SLOT_AGAIN)
			continue;
		reader->refs->looks_left -= slot->again;
		if (nr_sorted && batch->sorted[nr_sorted - 1]->block > blocks[i])
			ascending = false;
		batch->sorted[nr_sorted++] = slot;
	}
	if (!ascending)
		qsort(batch->sorted, nr_sorted, sizeof(*batch->sorted), by_block);
	return nr_sorted;
}

/* Memory for the buffer as far as it is used: of a small array that is little. */
static void populate(struct block_batch *batch, unsigned end)
{
	if (end <= batch->nr_populated)
		return;
	memory_populate(batch->buffer + (size_t)batch->nr_populated * METADATA_BLOCK_SIZE,
			(size_t)(end - batch->nr_populated) * METADATA_BLOCK_SIZE);
	batch->nr_populated = end;
}

static void begin_run(struct block_reader *reader, struct block_batch *batch, unsigned begin,
		      unsigned end)
{
	struct block_read *run = &batch->runs[batch->nr_runs++];

	run->first = batch->sorted[begin]->block;
	run->count = end - begin;
	run->buffer = batch->buffer + (size_t)begin * METADATA_BLOCK_SIZE;
	for (unsigned i = begin; i < end; i++)
		batch->sorted[i]->position = i;
	block_io_begin(reader->io, run);
}

void block_batch_begin(struct block_reader *reader, struct block_batch *batch,
		       const uint64_t *blocks, unsigned n, bool parent_shared)
{
	unsigned nr_sorted = take_orders(reader, batch, blocks, n, parent_shared);
	unsigned begin = 0;

	batch->nr_runs = 0;
	populate(batch, nr_sorted);
	for (unsigned i = 1; i <= nr_sorted; i++) {
		if (i < nr_sorted && batch->sorted[i]->block == batch->sorted[i - 1]->block + 1)
			continue;
		begin_run(reader, batch, begin, i);
		begin = i;
	}
}

/* A run that failed is read again block by block, so that no more is lost than must be. */
static void read_singly(struct block_reader *reader, struct block_batch *batch, unsigned begin,
			unsigned end)
{
	for (unsigned i = begin; i < end; i++)
		if (block_io_read(reader->io, batch->sorted[i]->block, 1,
				  batch->buffer + (size_t)i * METADATA_BLOCK_SIZE))
			batch->sorted[i]->state = SLOT_UNREADABLE;
}

void block_batch_finish(struct block_reader *reader, struct block_batch *batch)
{
	unsigned begin = 0;

	for (unsigned i = 0; i < batch->nr_runs; i++) {
		unsigned end = begin + batch->runs[i].count;

		if (block_io_finish(reader->io, &batch->runs[i]))
			read_singly(reader, batch, begin, end);
		begin = end;
	}
	batch->nr_runs = 0;
}

void block_batch_read(struct block_reader *reader, struct block_batch *batch,
		      const uint64_t *blocks, unsigned n, bool parent_shared)
{
	block_batch_begin(reader, batch, blocks, n, parent_shared);
	block_batch_finish(reader, batch);
}

const uint8_t *block_batch_get(const struct block_batch *batch, unsigned i, enum block_type type,
			       bool *shared, struct damage *damage)
{
	const struct batch_slot *slot = &batch->slots[i];
	const uint8_t *block = batch->buffer + (size_t)slot->position * METADATA_BLOCK_SIZE;

	*damage = (struct damage){.block = slot->block, .error = PD_ERR_CORRUPT};
	*shared = slot->shared;
	switch (slot->state) {
	case SLOT_UNREADABLE:
		damage->what = "cannot be read";
		damage->error = PD_ERR_IO;
		break;
	case SLOT_OUTSIDE:
		damage->what = "lies outside the metadata device";
		break;
	case SLOT_AGAIN:
		damage->what = "is used twice";
		break;
	case SLOT_READ:
		damage->what = block_verify(block, type, slot->block);
		break;
	}
	return damage->what ? NULL : block;
}

bool block_reader_trusts(struct block_reader *reader, const struct block_batch *batch, unsigned i,
			 struct damage *damage)
{
	const struct batch_slot *slot = &batch->slots[i];

	if (slot->again)
		ref_counts_distrust(reader->refs, slot->block);
	if (ref_counts_distrusted(reader->refs, slot->block))
		return damage_is(damage, "is used elsewhere too, or free by its count");
	return true;
}
