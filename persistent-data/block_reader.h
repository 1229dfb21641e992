/* SPDX-License-Identifier: MIT */
/*
 * Reads sets of blocks whose numbers are known, in large runs, and hands them on verified.
 *
 * A batch holds one set at a time. The numbers may come in any order: they are sorted and read in as
 * few runs as they form, small gaps bridged where the batch has room for what lies in them, and handed
 * back in the order they were asked for. Verification is left to block_batch_get(), right before a
 * block is used, when it comes into the cache anyway.
 */
#ifndef PERSISTENT_DATA_BLOCK_READER_H
#define PERSISTENT_DATA_BLOCK_READER_H

#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/damage.h"
#include "persistent-data/ref_counts.h"

/* Levels of btree nodes that a walk goes down: more than any tree that fits a device has. */
#define BTREE_MAX_DEPTH 12

struct block_batch {
	unsigned capacity; /* blocks */
	unsigned nr;
	uint8_t *buffer;
	uint32_t *salts;	  /* of the blocks in the buffer: see block_salts() */
	unsigned nr_populated;	  /* blocks of the buffer that memory has been got for */
	struct batch_slot *slots; /* one for each block asked for, in that order */
	struct batch_slot **sorted;
	unsigned nr_sorted;
	struct block_read *runs;
	unsigned nr_runs;
};

/*
 * Batches of data that can be under way at once, and one that is looked at meanwhile. More of them keep
 * no device busier, where blocks lie side by side, and take memory and threads, which take time.
 */
#define BLOCK_READER_TURNS (1 + 8)
#define BLOCK_READER_TURN_MAX 256 /* blocks: 1 MiB */

/*
 * What one walk at a time needs. A walk within a walk (a writeset's bitset, met in the writeset
 * tree) needs a reader of its own; both count in the same place.
 */
struct block_reader {
	struct block_io *io;
	struct ref_counts *refs;		     /* counts all that the walks meet */
	struct block_batch data[BLOCK_READER_TURNS]; /* array blocks */
	struct block_batch nodes[BTREE_MAX_DEPTH];   /* btree nodes of a level */
};

/* io and refs stay the caller's. Buffers are made when first needed. */
void block_reader_init(struct block_reader *reader, struct block_io *io, struct ref_counts *refs);
void block_reader_destroy(struct block_reader *reader);

/* The batch for btree nodes at a depth below BTREE_MAX_DEPTH; NULL: out of memory. */
struct block_batch *block_reader_nodes(struct block_reader *reader, unsigned depth);
/* Batches for data, turn < block_reader_nr_turns(); NULL: out of memory. */
struct block_batch *block_reader_data(struct block_reader *reader, unsigned turn);
/*
 * As many batches as are worth having on this device, BLOCK_READER_TURNS at most; and as many blocks
 * as each should be of then, at most their capacity, which is BLOCK_READER_TURN_MAX.
 */
unsigned block_reader_nr_turns(const struct block_reader *reader);
unsigned block_reader_turn_size(const struct block_reader *reader);

struct block_order {
	uint64_t block;
	bool parent_shared; /* see ref_counts_add */
};

/* Blocks between two that are ordered and not more than this apart are read and dropped. */
#define BLOCK_READER_BRIDGE 8

/*
 * Notes a reference to each of n blocks (see ref_counts_add) and reads those that were not met in
 * this pass before; n is at most the batch's capacity. Nothing is an error yet: what could not be
 * read, lies outside the device or is used twice shows when that block is asked for.
 */
void block_batch_read(struct block_reader *reader, struct block_batch *batch,
		      const struct block_order *orders, unsigned n);

/*
 * The same in two steps, between which the reads go on by themselves. A batch that was begun must be
 * finished before anything else is done with it.
 */
void block_batch_begin(struct block_reader *reader, struct block_batch *batch,
		       const struct block_order *orders, unsigned n);
void block_batch_finish(struct block_reader *reader, struct block_batch *batch);

/*
 * Block i of the set that was read last, verified; good until the next read into the same batch.
 * NULL: damage tells why, all but what is lost. *shared: what the block points to has been counted in
 * an earlier pass.
 */
const uint8_t *block_batch_get(const struct block_batch *batch, unsigned i, enum block_type type,
			       bool *shared, struct damage *damage);

/*
 * To be asked about a block that was found to be sound, and right in its place by all that it says
 * itself. false: it is not to be trusted all the same, as damage tells now.
 *
 * A block that is used twice is not even read the second time, so that walks end, and whoever met it
 * first has it. That will do to find damage. To work with what is damaged, a number of second looks
 * is allowed (refs->looks_left): of two uses the one whose place the block does not fit is wrong then;
 * if it fits both, nobody knows which is right, and the block is distrusted from then on.
 */
bool block_reader_trusts(struct block_reader *reader, const struct block_batch *batch, unsigned i,
			 struct damage *damage);

#endif
