/* SPDX-License-Identifier: MIT */
/* Reads sets of blocks in large runs. */
#include "persistent-data/block_reader.h"
#include "persistent-data/error.h"
#include "persistent-data/memory.h"

#include <stdlib.h>
#include <string.h>

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
	free(batch->salts);
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
	batch->salts = calloc(capacity, sizeof(*batch->salts));
	batch->slots = calloc(capacity, sizeof(*batch->slots));
	batch->sorted = calloc(capacity, sizeof(struct batch_slot *));
	batch->runs = calloc(capacity, sizeof(*batch->runs));
	batch->capacity = capacity;
	if (batch->buffer && batch->salts && batch->slots && batch->sorted && batch->runs)
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
	for (unsigned i = 0; i < BLOCK_READER_TURNS; i++)
		batch_destroy(&reader->data[i]);
	for (unsigned i = 0; i < BTREE_MAX_DEPTH; i++)
		batch_destroy(&reader->nodes[i]);
}

struct block_batch *block_reader_nodes(struct block_reader *reader, unsigned depth)
{
	return batch_make(&reader->nodes[depth], NODE_BATCH);
}

struct block_batch *block_reader_data(struct block_reader *reader, unsigned turn)
{
	return batch_make(&reader->data[turn], BLOCK_READER_TURN_MAX);
}

unsigned block_reader_nr_turns(const struct block_reader *reader)
{
	unsigned nr = reader->io->nr_ahead + 1;

	return nr < BLOCK_READER_TURNS ? nr : BLOCK_READER_TURNS;
}

/* Many at once are worth more than large ones. */
unsigned block_reader_turn_size(const struct block_reader *reader)
{
	return reader->io->nr_ahead ? BLOCK_READER_TURN_MAX / 2 : BLOCK_READER_TURN_MAX;
}

static int by_block(const void *a, const void *b)
{
	const struct batch_slot *left = *(struct batch_slot *const *)a;
	const struct batch_slot *right = *(struct batch_slot *const *)b;

	return (left->block > right->block) - (left->block < right->block);
}

/* A slot for each order; the blocks to be read are sorted. */
static void take_orders(struct block_reader *reader, struct block_batch *batch,
			const struct block_order *orders, unsigned n)
{
	bool ascending = true;

	batch->nr = n;
	batch->nr_sorted = 0;
	for (unsigned i = 0; i < n; i++) {
		struct batch_slot *slot = &batch->slots[i];
		uint64_t block = orders[i].block;
		enum ref_use use;

		*slot = (struct batch_slot){.block = block, .state = SLOT_OUTSIDE};
		if (block >= reader->refs->nr_blocks)
			continue;
		use = ref_counts_add(reader->refs, block, orders[i].parent_shared);
		slot->shared = use == REF_SHARED;
		slot->again = use == REF_AGAIN && reader->refs->looks_left;
		slot->state = use == REF_AGAIN && !slot->again ? SLOT_AGAIN : SLOT_READ;
		if (slot->state == SLOT_AGAIN)
			continue;
		reader->refs->looks_left -= slot->again;
		if (batch->nr_sorted && batch->sorted[batch->nr_sorted - 1]->block > block)
			ascending = false;
		batch->sorted[batch->nr_sorted++] = slot;
	}
	if (!ascending)
		qsort(batch->sorted, batch->nr_sorted, sizeof(*batch->sorted), by_block);
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

/*
 * Where the run from sorted[begin] on ends. *spare: blocks of the buffer that can be spent on what lies
 * in gaps.
 */
static unsigned run_end(const struct block_batch *batch, unsigned begin, unsigned *spare)
{
	unsigned end = begin + 1;

	for (; end < batch->nr_sorted; end++) {
		uint64_t step = batch->sorted[end]->block - batch->sorted[end - 1]->block;

		if (step > 1 + BLOCK_READER_BRIDGE || step > 1 + *spare)
			break;
		*spare -= step > 1 ? (unsigned)step - 1 : 0;
	}
	return end;
}

static void make_run(struct block_batch *batch, unsigned begin, unsigned end, unsigned position)
{
	struct block_read *run = &batch->runs[batch->nr_runs++];

	run->first = batch->sorted[begin]->block;
	run->count = (uint32_t)(batch->sorted[end - 1]->block - run->first) + 1;
	run->buffer = batch->buffer + (size_t)position * METADATA_BLOCK_SIZE;
	run->salts = batch->salts + position;
	for (unsigned i = begin; i < end; i++)
		batch->sorted[i]->position =
			position + (unsigned)(batch->sorted[i]->block - run->first);
}

void block_batch_begin(struct block_reader *reader, struct block_batch *batch,
		       const struct block_order *orders, unsigned n)
{
	unsigned position = 0;
	unsigned spare;

	take_orders(reader, batch, orders, n);
	spare = batch->capacity - batch->nr_sorted;
	batch->nr_runs = 0;
	for (unsigned begin = 0, end; begin < batch->nr_sorted; begin = end) {
		end = run_end(batch, begin, &spare);
		make_run(batch, begin, end, position);
		position += batch->runs[batch->nr_runs - 1].count;
	}
	populate(batch, position);
	for (unsigned i = 0; i < batch->nr_runs; i++)
		block_io_begin(reader->io, &batch->runs[i]);
}

/* A run that failed is read again block by block, so that no more is lost than must be. */
static void read_singly(struct block_reader *reader, const struct block_batch *batch,
			struct batch_slot *slot)
{
	struct block_read read = {slot->block, 1,
				  batch->buffer + (size_t)slot->position * METADATA_BLOCK_SIZE,
				  batch->salts + slot->position};

	if (block_io_read_now(reader->io, &read))
		slot->state = SLOT_UNREADABLE;
}

void block_batch_finish(struct block_reader *reader, struct block_batch *batch)
{
	unsigned next = 0;

	for (unsigned i = 0; i < batch->nr_runs; i++) {
		const struct block_read *run = &batch->runs[i];
		bool failed = block_io_finish(reader->io, &batch->runs[i]);

		for (; next < batch->nr_sorted &&
		       batch->sorted[next]->block - run->first < run->count;
		     next++)
			if (failed)
				read_singly(reader, batch, batch->sorted[next]);
	}
	batch->nr_runs = 0;
}

void block_batch_read(struct block_reader *reader, struct block_batch *batch,
		      const struct block_order *orders, unsigned n)
{
	block_batch_begin(reader, batch, orders, n);
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
		damage->what =
			block_verify_salt(block, batch->salts[slot->position], type, slot->block);
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
