/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write btrees against a plain array of what must be in them: random inserts and removals,
 * with a second root that is held meanwhile, and all counts recomputed after each commit.
 */
#include "persistent-data/btree_edit.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/error.h"
#include "tests/support/editing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NR_KEYS 6000

struct model {
	bool there[NR_KEYS];
	uint32_t value[NR_KEYS];
};

static const struct btree_values plain = {.size = 4};
static struct editing editing;
static struct model live, held;

/* What a walk of the disk finds is compared with the model as it goes. */
struct comparing {
	const struct model *model;
	uint64_t next; /* no key below has been seen */
	bool whole;    /* the tree is not one node: it has a least size */
};

static void expect_absent(struct comparing *comparing, uint64_t end)
{
	for (; comparing->next < end; comparing->next++)
		cr_expect_not(comparing->model->there[comparing->next], "lost key %lu",
			      comparing->next);
}

static int compare_leaf(void *context, const struct btree_leaf *leaf)
{
	struct comparing *comparing = context;

	for (unsigned i = 0; i < leaf->nr_entries; i++) {
		uint64_t key = leaf->keys[i];

		cr_assert_lt(key, NR_KEYS);
		expect_absent(comparing, key);
		cr_expect(comparing->model->there[key], "key %lu is still there", key);
		cr_expect_eq(get_le32(leaf->values + (size_t)i * 4), comparing->model->value[key]);
		comparing->next = key + 1;
	}
	if (comparing->whole)
		cr_expect_geq(leaf->nr_entries, btree_max_entries(4) / 3);
	return PD_OK;
}

static void compare(uint64_t root, const struct model *model)
{
	const uint8_t *node = editing.memory + root * METADATA_BLOCK_SIZE;
	struct comparing comparing = {model, 0, !node_is_leaf(node)};
	struct btree tree = {root, 4, NR_KEYS, 0, false};
	struct btree_visitor visitor = {&comparing, compare_leaf, editing_damage};

	cr_assert_eq(btree_walk(&editing.reader, &tree, &visitor), PD_OK);
	expect_absent(&comparing, NR_KEYS);
}

static void check(uint64_t root, uint64_t held_root)
{
	editing_commit(&editing);
	editing_check_begin(&editing);
	compare(root, &live);
	if (held_root) {
		ref_counts_begin_pass(&editing.refs);
		compare(held_root, &held);
	}
	editing_check_end(&editing);
}

static void insert(uint64_t *root, uint64_t key)
{
	uint8_t value[4];

	live.there[key] = true;
	live.value[key] = (uint32_t)rand();
	put_le32(value, live.value[key]);
	cr_assert_eq(btree_edit_insert(&editing.tx, &plain, root, key, value), PD_OK);
}

static void take_out(uint64_t *root, uint64_t key)
{
	live.there[key] = false;
	cr_assert_eq(btree_edit_remove(&editing.tx, &plain, root, key), PD_OK);
}

static void change(uint64_t *root, uint64_t key)
{
	uint8_t *value;

	live.value[key] = (uint32_t)rand();
	cr_assert_eq(btree_edit_change(&editing.tx, &plain, root, key, &value), PD_OK);
	put_le32(value, live.value[key]);
}

/* bias: of 100 steps, how many rather insert than remove */
static void step(uint64_t *root, int bias)
{
	uint64_t key = (uint64_t)rand() % NR_KEYS;

	if (!live.there[key] && rand() % 100 < bias)
		insert(root, key);
	else if (live.there[key] && rand() % 100 >= bias)
		take_out(root, key);
	else if (live.there[key])
		change(root, key);
}

static uint64_t hold(uint64_t root)
{
	held = live;
	cr_assert_eq(transaction_inc(&editing.tx, root), PD_OK);
	return root;
}

static void begin(uint64_t *root)
{
	editing_init(&editing, 4000);
	memset(&live, 0, sizeof(live));
	cr_assert_eq(btree_edit_new(&editing.tx, &plain, root), PD_OK);
}

Test(btree_edit, random)
{
	static const int biases[] = {90, 50, 10, 80, 3, 95, 0};
	uint64_t root, held_root = 0;

	srand(5);
	begin(&root);
	for (unsigned phase = 0; phase < sizeof(biases) / sizeof(biases[0]); phase++)
		for (int round = 0; round < 40; round++) {
			for (int i = 0; i < 200; i++)
				step(&root, biases[phase]);
			if (round % 7 == 2 && !held_root) {
				held_root = hold(root);
			} else if (round % 7 == 5 && held_root) {
				cr_assert_not(btree_edit_drop(&editing.tx, &plain, held_root));
				held_root = 0;
			}
			check(root, held_root);
		}
	editing_free(&editing);
}

/* As eras come and go: in at the end, out at the beginning. */
Test(btree_edit, queue)
{
	uint64_t root, first = 0;

	srand(6);
	begin(&root);
	for (uint64_t key = 0; key < NR_KEYS; key++) {
		insert(&root, key);
		if (key > 1500)
			take_out(&root, first++);
		if (key % 500 == 0)
			check(root, 0);
	}
	while (first < NR_KEYS)
		take_out(&root, first++);
	check(root, 0);
	cr_expect_eq(editing.tx.map.nr_allocated, 5, "only an empty tree, the space map, block 0");
	editing_free(&editing);
}

Test(btree_edit, finds_the_next_key)
{
	uint64_t root;

	srand(7);
	begin(&root);
	for (int i = 0; i < 3000; i++)
		step(&root, 60);
	for (uint64_t from = 0; from < NR_KEYS; from++) {
		uint64_t key = from, next = from;
		uint8_t value[4];
		bool found;

		while (next < NR_KEYS && !live.there[next])
			next++;
		cr_assert_not(btree_edit_find(&editing.tx, &plain, root, &key, value, &found));
		cr_assert_eq(found, next < NR_KEYS);
		if (found)
			cr_assert(key == next && get_le32(value) == live.value[key]);
	}
	editing_free(&editing);
}

Test(btree_edit, wrong_keys)
{
	uint8_t value[4] = {0}, *place;
	uint64_t root;

	begin(&root);
	insert(&root, 7);
	cr_expect_eq(btree_edit_insert(&editing.tx, &plain, &root, 7, value), PD_ERR_USAGE);
	cr_expect_eq(btree_edit_remove(&editing.tx, &plain, &root, 6), PD_ERR_USAGE);
	cr_expect_eq(btree_edit_remove(&editing.tx, &plain, &root, 8), PD_ERR_USAGE);
	cr_expect_eq(btree_edit_change(&editing.tx, &plain, &root, 6, &place), PD_ERR_USAGE);
	editing_free(&editing);
}

/* A node of another size, an array block, a block that is not in use, one past the end. */
Test(btree_edit, damaged_nodes)
{
	static const struct btree_values wide = {.size = 12};
	uint8_t value[12] = {0};
	uint64_t root, shadow, key = 0;
	bool found;

	begin(&root);
	shadow = root;
	editing_commit(&editing);
	cr_expect_eq(btree_edit_find(&editing.tx, &wide, root, &key, value, &found),
		     PD_ERR_CORRUPT);
	cr_expect_eq(btree_edit_insert(&editing.tx, &wide, &shadow, 1, value), PD_ERR_CORRUPT);
	transaction_abort(&editing.tx);
	for (uint64_t block = 0; block < editing.nr_blocks + 2; block++) {
		uint64_t changed = block;

		if (block == editing.root.ref_count_root || block == root)
			continue;
		cr_expect_eq(btree_edit_insert(&editing.tx, &plain, &changed, 1, value),
			     PD_ERR_CORRUPT);
		transaction_abort(&editing.tx);
	}
	editing_free(&editing);
}
