/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write arrays of plain values, in array blocks of array_max_entries() each. After an error
 * the transaction must be aborted. A root that is handed in by address changes.
 */
#ifndef PERSISTENT_DATA_ARRAY_EDIT_H
#define PERSISTENT_DATA_ARRAY_EDIT_H

#include "persistent-data/array.h"
#include "persistent-data/transaction.h"

/* An array without entries. */
int array_edit_new(struct transaction *tx, uint64_t *root);

/* New entries are zero. Trims the transaction, see there. */
int array_edit_resize(struct transaction *tx, uint64_t *root, unsigned value_size,
		      uint64_t nr_before, uint64_t nr);

/* Gives up one reference to an array. Trims the transaction. */
int array_edit_drop(struct transaction *tx, uint64_t root);

/* The entries of an array block, as they are on the disk, to be read or to be changed. */
int array_edit_read(struct transaction *tx, uint64_t root, unsigned value_size, uint64_t index,
		    const uint8_t **entries, unsigned *nr);
int array_edit_change(struct transaction *tx, uint64_t *root, unsigned value_size, uint64_t index,
		      uint8_t **entries, unsigned *nr);

#endif
