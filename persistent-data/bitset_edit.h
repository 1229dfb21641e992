/* SPDX-License-Identifier: MIT */
/* Copy-on-write bitsets; see bitset.h. After an error the transaction must be aborted. */
#ifndef PERSISTENT_DATA_BITSET_EDIT_H
#define PERSISTENT_DATA_BITSET_EDIT_H

#include "persistent-data/bitset.h"
#include "persistent-data/transaction.h"

#define BITSET_WORDS_PER_BLOCK 509
#define BITSET_BITS_PER_BLOCK (BITSET_WORDS_PER_BLOCK * BITSET_WORD_BITS)

/* All bits are clear. Trims the transaction, see there. */
int bitset_edit_new(struct transaction *tx, uint64_t nr_bits, uint64_t *root);

/* Gives up one reference to a bitset. Trims the transaction. */
int bitset_edit_drop(struct transaction *tx, uint64_t root);

/* Sets bits [begin, end), which lie within the bitset. Trims the transaction. */
int bitset_edit_set(struct transaction *tx, uint64_t *root, uint64_t begin, uint64_t end);

/* The words that hold bits [block * BITSET_BITS_PER_BLOCK, ...), *nr of them. */
int bitset_edit_read(struct transaction *tx, uint64_t root, uint64_t block,
		     uint64_t words[BITSET_WORDS_PER_BLOCK], unsigned *nr);

#endif
