/* SPDX-License-Identifier: MIT */
/* Copy-on-write arrays and bitsets: sizes at every edge, changes while a second root is held. */
#include "persistent-data/array_edit.h"
#include "persistent-data/bitset_edit.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "tests/support/editing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MOST 600000

static struct editing editing;
static uint32_t live[MOST], held[MOST];

static int compare_entries(void *context, uint64_t first, unsigned n, const uint8_t *values,
			   uint64_t block)
{
	const uint32_t *model = context;

	(void)block;
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(get_le32(values + (size_t)i * 4), model[first + i]);
	return PD_OK;
}

static void compare(uint64_t root, uint64_t nr, uint32_t *model)
{
	struct array array = {.root = root, .value_size = 4, .nr_entries = nr};
	struct array_visitor visitor = {model, compare_entries, editing_damage};

	cr_assert_eq(array_walk(&editing.reader, &array, &visitor), PD_OK);
}

static void set(uint64_t *root, uint64_t i, uint32_t value)
{
	uint8_t *entries;
	unsigned nr;

	cr_assert_not(array_edit_change(&editing.tx, root, 4, i / 1018, &entries, &nr));
	cr_assert_lt(i % 1018, nr);
	put_le32(entries + i % 1018 * 4, value);
	live[i] = value;
}

static void resize(uint64_t *root, uint64_t *nr, uint64_t to)
{
	cr_assert_not(array_edit_resize(&editing.tx, root, 4, *nr, to));
	for (uint64_t i = *nr; i < to; i++)
		live[i] = 0;
	*nr = to;
}

Test(array_edit, resizing)
{
	static const uint64_t sizes[] = {1,    1017,   1018, 1019, 2036,  2037, 5,    0,     300000,
					 2000, 599999, 1018, 0,	   70000, 1,	1018, 256537};
	uint64_t root, held_root = 0, nr = 0, held_nr = 0;

	srand(1);
	editing_init(&editing, 3000);
	cr_assert_not(array_edit_new(&editing.tx, &root));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		resize(&root, &nr, sizes[i]);
		for (unsigned k = 0; k < 300 && nr; k++)
			set(&root, (uint64_t)rand() % nr, (uint32_t)rand());
		if (held_root) {
			cr_assert_not(array_edit_drop(&editing.tx, held_root));
			held_root = 0;
		} else {
			cr_assert_not(transaction_inc(&editing.tx, root));
			held_root = root;
			held_nr = nr;
			memcpy(held, live, sizeof(held));
		}
		editing_commit(&editing);
		for (unsigned k = 0; k < 300 && nr; k++)
			set(&root, (uint64_t)rand() % nr, (uint32_t)rand());
		editing_commit(&editing);
		editing_check_begin(&editing);
		compare(root, nr, live);
		ref_counts_begin_pass(&editing.refs);
		if (held_root)
			compare(held_root, held_nr, held);
		editing_check_end(&editing);
	}
	editing_free(&editing);
}

Test(array_edit, not_that_array)
{
	const uint8_t *entries;
	uint8_t *place;
	uint64_t root;
	unsigned nr;

	editing_init(&editing, 100);
	cr_assert_not(array_edit_new(&editing.tx, &root));
	cr_assert_not(array_edit_resize(&editing.tx, &root, 4, 0, 2000));
	cr_expect_eq(array_edit_read(&editing.tx, root, 8, 0, &entries, &nr), PD_ERR_CORRUPT);
	cr_expect_eq(array_edit_read(&editing.tx, root, 4, 2, &entries, &nr), PD_ERR_CORRUPT);
	cr_expect_eq(array_edit_change(&editing.tx, &root, 4, 2, &place, &nr), PD_ERR_CORRUPT);
	cr_expect_eq(bitset_edit_set(&editing.tx, &root, 0, 1), PD_ERR_CORRUPT);
	editing_free(&editing);
}

/* Bitsets. */

#define NR_BITS 100000

static int compare_words(void *context, uint64_t first_word, unsigned n, const uint64_t *words)
{
	const bool *bits = context;

	for (uint64_t i = 0; i < (uint64_t)n * 64 && first_word * 64 + i < NR_BITS; i++)
		cr_assert_eq(words[i / 64] >> (i % 64) & 1, bits[first_word * 64 + i]);
	return PD_OK;
}

static void compare_bits(uint64_t root, bool *bits)
{
	struct bitset bitset = {.root = root, .nr_bits = NR_BITS};
	struct bitset_visitor visitor = {bits, compare_words, editing_damage};

	editing_commit(&editing);
	editing_check_begin(&editing);
	cr_assert_not(bitset_walk(&editing.reader, &bitset, &visitor));
	editing_check_end(&editing);
}

Test(bitset_edit, ranges)
{
	static const uint32_t edges[] = {0,	1,     63,    64,    65,    127,   128,
					 32575, 32576, 32577, 65151, 65152, 99999, NR_BITS};
	static bool bits[NR_BITS];
	uint64_t root;

	editing_init(&editing, 200);
	for (unsigned i = 0; i < 14; i++)
		for (unsigned k = i + 1; k < 14; k++) {
			memset(bits, 0, sizeof(bits));
			memset(bits + edges[i], 1, edges[k] - edges[i]);
			cr_assert_not(bitset_edit_new(&editing.tx, NR_BITS, &root));
			cr_assert_not(bitset_edit_set(&editing.tx, &root, edges[i], edges[k]));
			compare_bits(root, bits);
			cr_assert_not(bitset_edit_drop(&editing.tx, root));
		}
	cr_assert_not(bitset_edit_new(&editing.tx, NR_BITS, &root));
	cr_expect_eq(bitset_edit_set(&editing.tx, &root, 0, 102000), PD_ERR_CORRUPT);
	editing_free(&editing);
}
