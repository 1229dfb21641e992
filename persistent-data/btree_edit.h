/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write btrees: look up, insert, remove, drop. Every change goes down from the root, and
 * shadows each node on its way before it looks at its entries.
 *
 * Nodes other than the root stay at least a third full, as those of the kernel do
 * (dm-btree-remove.c); where a tree was built in bulk with thinner ones, they are put right on the way.
 *
 * Values may refer to blocks. The tree counts these references where it copies or drops nodes; of a
 * value that is put in, replaced or removed the owner takes care. After an error the transaction must
 * be aborted. A root that is handed in by address changes.
 */
#ifndef PERSISTENT_DATA_BTREE_EDIT_H
#define PERSISTENT_DATA_BTREE_EDIT_H

#include "persistent-data/btree.h"
#include "persistent-data/transaction.h"

struct btree_values {
	unsigned size; /* bytes */
	/* One reference more or less to what a value refers to; NULL: to nothing. */
	int (*inc)(struct transaction *tx, const uint8_t *value);
	int (*dec)(struct transaction *tx, const uint8_t *value);
};

/* A tree without entries. */
int btree_edit_new(struct transaction *tx, const struct btree_values *values, uint64_t *root);

/* Gives up one reference to a tree. It trims the transaction, see there. */
int btree_edit_drop(struct transaction *tx, const struct btree_values *values, uint64_t root);

/*
 * The entry of the lowest key that is not below *key; value gets a copy. *found: there is one, and
 * *key is its key.
 */
int btree_edit_find(struct transaction *tx, const struct btree_values *values, uint64_t root,
		    uint64_t *key, void *value, bool *found);

/* The key's value, to be changed where it is: valid as long as its node, see transaction_read(). */
int btree_edit_change(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key, uint8_t **value);

/* A key that is there already is PD_ERR_USAGE; so is one that is not, to the functions around. */
int btree_edit_insert(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key, const void *value);
int btree_edit_remove(struct transaction *tx, const struct btree_values *values, uint64_t *root,
		      uint64_t key);

#endif
