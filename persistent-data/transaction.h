/* SPDX-License-Identifier: MIT */
/*
 * Edits metadata in place so that the power may go at any instant.
 *
 * Nothing that the last commit refers to is overwritten: a block that is to change is copied to a new
 * place first, its shadow. A commit writes all new blocks, flushes, writes the superblock and flushes
 * again. So the superblock names the last committed trees at every instant, or the new ones, whole.
 *
 * After an error of any function but commit (which does it itself) the transaction must be aborted:
 * all is then as it was last committed. One thread at a time.
 */
#ifndef PERSISTENT_DATA_TRANSACTION_H
#define PERSISTENT_DATA_TRANSACTION_H

#include "persistent-data/block_cache.h"
#include "persistent-data/space_map_edit.h"

struct transaction {
	struct block_io *io;
	struct block_cache cache;
	struct space_map_edit map;
	uint64_t ref_count_root; /* an empty tree: see space_map_edit.h */
	uint8_t *superblock;	 /* block 0 as it is about to be written */
	bool in_doubt; /* nobody knows which superblock the device has: nothing is written any more */
};

/*
 * For metadata that is made anew on a device of which nothing is in use but block 0. io stays the
 * caller's and must outlive it. Block 0 is made durable as it is. PD_ERR_NO_MEMORY, PD_ERR_NO_SPACE,
 * PD_ERR_IO; close in any case.
 */
int transaction_create(struct transaction *tx, struct block_io *io);

/*
 * For metadata that was found sound: refs has all its references counted, those to the space map's own
 * blocks as well, and they are what the space map says. The rest is as for transaction_create().
 */
int transaction_open(struct transaction *tx, struct block_io *io, const struct space_map_root *root,
		     const struct ref_counts *refs);
void transaction_close(struct transaction *tx);

/*
 * A block's data, verified; they stay valid until transaction_trim(), an abort, or until the block is
 * freed. PD_ERR_CORRUPT: no block in use, or not of that type; PD_ERR_IO, PD_ERR_NO_MEMORY.
 */
int transaction_read(struct transaction *tx, uint64_t block, enum block_type type,
		     const uint8_t **data);

/* A new block, all zero, to be filled in. Its count is 1. Number and checksum are put in later. */
int transaction_new(struct transaction *tx, enum block_type type, uint64_t *block, uint8_t **data);

/*
 * A block to be changed, through one reference to it: *block becomes its new number, which the caller
 * puts where the old one stood. *shared: the old one goes on existing for somebody else, so what it
 * refers to has one reference more, for which the caller counts.
 */
int transaction_shadow(struct transaction *tx, uint64_t *block, enum block_type type,
		       uint8_t **data, bool *shared);

int transaction_inc(struct transaction *tx, uint64_t block);
int transaction_dec(struct transaction *tx, uint64_t block);

/* To be called now and then while nothing is being looked at: keeps memory within bounds. */
int transaction_trim(struct transaction *tx);

/*
 * superblock() fills in block 0, all zero, checksum included, with the space map's root in it. On an
 * error all is aborted: only if the superblock itself could not be written may it have taken place
 * nevertheless, and then nothing can be written any more (in_doubt).
 */
typedef void (*transaction_superblock)(void *context, const struct space_map_root *root,
				       uint8_t *block);
int transaction_commit(struct transaction *tx, transaction_superblock superblock, void *context);
void transaction_abort(struct transaction *tx);

#endif
