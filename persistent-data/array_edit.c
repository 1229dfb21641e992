/* SPDX-License-Identifier: MIT */
/* Copy-on-write arrays. */
#include "persistent-data/array_edit.h"
#include "persistent-data/btree_edit.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <string.h>

static int inc_block(struct transaction *tx, const uint8_t *value)
{
	return transaction_inc(tx, get_le64(value));
}

static int dec_block(struct transaction *tx, const uint8_t *value)
{
	return transaction_dec(tx, get_le64(value));
}

static const struct btree_values blocks = {sizeof(uint64_t), inc_block, dec_block};

int array_edit_new(struct transaction *tx, uint64_t *root)
{
	return btree_edit_new(tx, &blocks, root);
}

int array_edit_drop(struct transaction *tx, uint64_t root)
{
	return btree_edit_drop(tx, &blocks, root);
}

static bool is_sound(const uint8_t *block, unsigned value_size)
{
	return get_le32(block + ARRAY_VALUE_SIZE) == value_size &&
	       get_le32(block + ARRAY_MAX_ENTRIES) == array_max_entries(value_size) &&
	       get_le32(block + ARRAY_NR_ENTRIES) <= array_max_entries(value_size);
}

int array_edit_read(struct transaction *tx, uint64_t root, unsigned value_size, uint64_t index,
		    const uint8_t **entries, unsigned *nr)
{
	uint64_t key = index;
	const uint8_t *block;
	uint8_t value[8];
	bool found;
	int r = btree_edit_find(tx, &blocks, root, &key, value, &found);

	if (!r && (!found || key != index))
		r = PD_ERR_CORRUPT;
	if (!r)
		r = transaction_read(tx, get_le64(value), BLOCK_ARRAY, &block);
	if (r)
		return r;
	*entries = block + ARRAY_VALUES;
	*nr = get_le32(block + ARRAY_NR_ENTRIES);
	return is_sound(block, value_size) ? PD_OK : PD_ERR_CORRUPT;
}

/* The path comes first: what of it is shared passes a reference on to the array block. */
static int shadow(struct transaction *tx, uint64_t *root, unsigned value_size, uint64_t index,
		  uint8_t **block)
{
	uint8_t *value;
	uint64_t number;
	bool shared;
	int r = btree_edit_change(tx, &blocks, root, index, &value);

	if (r)
		return r == PD_ERR_USAGE ? PD_ERR_CORRUPT : r;
	number = get_le64(value);
	r = transaction_shadow(tx, &number, BLOCK_ARRAY, block, &shared);
	if (r)
		return r;
	put_le64(value, number);
	return is_sound(*block, value_size) ? PD_OK : PD_ERR_CORRUPT;
}

int array_edit_change(struct transaction *tx, uint64_t *root, unsigned value_size, uint64_t index,
		      uint8_t **entries, unsigned *nr)
{
	uint8_t *block;
	int r = shadow(tx, root, value_size, index, &block);

	if (r)
		return r;
	*entries = block + ARRAY_VALUES;
	*nr = get_le32(block + ARRAY_NR_ENTRIES);
	return PD_OK;
}

/* Resizing. */

static int add_block(struct transaction *tx, uint64_t *root, unsigned value_size, uint64_t index,
		     unsigned nr)
{
	uint8_t value[8];
	uint64_t number;
	uint8_t *block;
	int r = transaction_trim(tx);

	if (!r)
		r = transaction_new(tx, BLOCK_ARRAY, &number, &block);
	if (r)
		return r;
	put_le32(block + ARRAY_MAX_ENTRIES, array_max_entries(value_size));
	put_le32(block + ARRAY_NR_ENTRIES, nr);
	put_le32(block + ARRAY_VALUE_SIZE, value_size);
	put_le64(value, number);
	return btree_edit_insert(tx, &blocks, root, index, value);
}

static int remove_block(struct transaction *tx, uint64_t *root, uint64_t index)
{
	uint8_t *value;
	uint64_t number;
	int r = transaction_trim(tx);

	if (!r)
		r = btree_edit_change(tx, &blocks, root, index, &value);
	if (r)
		return r;
	number = get_le64(value);
	r = btree_edit_remove(tx, &blocks, root, index);
	return r ? r : transaction_dec(tx, number);
}

/* Of a block that stays: entries that are new or gone are zero. */
static int resize_block(struct transaction *tx, uint64_t *root, unsigned value_size, uint64_t index,
			unsigned nr)
{
	uint8_t *block;
	unsigned before;
	size_t begin;
	int r = shadow(tx, root, value_size, index, &block);

	if (r)
		return r;
	before = get_le32(block + ARRAY_NR_ENTRIES);
	begin = (size_t)(before < nr ? before : nr) * value_size;
	memset(block + ARRAY_VALUES + begin, 0, METADATA_BLOCK_SIZE - ARRAY_VALUES - begin);
	put_le32(block + ARRAY_NR_ENTRIES, nr);
	return PD_OK;
}

/* Entries of the index-th block of an array of nr. */
static unsigned entries_of(uint64_t index, uint64_t nr, unsigned value_size)
{
	unsigned max = array_max_entries(value_size);
	uint64_t left = nr - index * max;

	return left < max ? (unsigned)left : max;
}

int array_edit_resize(struct transaction *tx, uint64_t *root, unsigned value_size,
		      uint64_t nr_before, uint64_t nr)
{
	uint64_t blocks_before = array_nr_blocks(nr_before, value_size);
	uint64_t nr_blocks = array_nr_blocks(nr, value_size);
	uint64_t last = (blocks_before < nr_blocks ? blocks_before : nr_blocks) - 1;
	int r = PD_OK;

	for (uint64_t i = blocks_before; !r && i > nr_blocks; i--)
		r = remove_block(tx, root, i - 1);
	if (!r && blocks_before && nr_blocks &&
	    entries_of(last, nr_before, value_size) != entries_of(last, nr, value_size))
		r = resize_block(tx, root, value_size, last, entries_of(last, nr, value_size));
	for (uint64_t i = blocks_before; !r && i < nr_blocks; i++)
		r = add_block(tx, root, value_size, i, entries_of(i, nr, value_size));
	return r;
}
