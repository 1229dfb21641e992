/* SPDX-License-Identifier: MIT */
/*
 * Hostile metadata that is built node by node: trees that lead to themselves, that share what must not
 * be shared, that are deeper or wider than can be; arrays with holes; and lawful ones beside them.
 */
#include "tests/support/hostile.h"

#include <criterion/criterion.h>

TestSuite(hostile_trees, .timeout = 300);

/* Btrees. */

static uint64_t internal(struct hostile *hostile, const struct builder_entry *entries, unsigned nr)
{
	return builder_node(&hostile->builder, NODE_IS_INTERNAL, 8, entries, nr);
}

static uint64_t parent_of(struct hostile *hostile, uint64_t key, uint64_t child)
{
	struct builder_entry entry = {.key = key, .value = child};

	return internal(hostile, &entry, 1);
}

/* A leaf of the writeset tree, with the i-th of the two writesets, under any era. */
static uint64_t writeset_leaf(struct hostile *hostile, uint64_t era, unsigned i)
{
	struct builder_entry entry = {era, hostile->writesets[i].root, HOSTILE_DATA_BLOCKS};

	return builder_node(&hostile->builder, NODE_IS_LEAF, 12, &entry, 1);
}

/* The tree that was made before is not in use any more: takes back the references it counted. */
static void drop_writeset_tree(struct hostile *hostile)
{
	hostile->builder.counts[hostile->writesets[0].root]--;
	hostile->builder.counts[hostile->writesets[1].root]--;
}

static void two_level_tree(struct hostile *hostile, uint64_t key0, uint64_t era0, uint64_t key1,
			   uint64_t era1)
{
	struct builder_entry entries[2];

	drop_writeset_tree(hostile);
	entries[0] = (struct builder_entry){.key = key0, .value = writeset_leaf(hostile, era0, 0)};
	entries[1] = (struct builder_entry){.key = key1, .value = writeset_leaf(hostile, era1, 1)};
	hostile->plan.writeset_tree = internal(hostile, entries, 2);
}

static void two_levels(struct hostile *hostile)
{
	two_level_tree(hostile, 3, 3, 4, 4);
}

static void child_below_its_key(struct hostile *hostile)
{
	two_level_tree(hostile, 1, 1, 4, 3);
}

static void child_at_the_next_key(struct hostile *hostile)
{
	two_level_tree(hostile, 3, 4, 4, 4);
}

static void equal_internal_keys(struct hostile *hostile)
{
	two_level_tree(hostile, 3, 3, 3, 4);
}

static void descending_internal_keys(struct hostile *hostile)
{
	two_level_tree(hostile, 4, 4, 3, 3);
}

static void high_key_bits(struct hostile *hostile)
{
	two_level_tree(hostile, 3, 3, (UINT64_C(1) << 32) | 4, (UINT64_C(1) << 32) | 4);
}

static void root_to_itself(struct hostile *hostile)
{
	hostile->plan.writeset_tree = parent_of(hostile, 0, hostile->builder.next);
}

static void era_array_to_itself(struct hostile *hostile)
{
	hostile->plan.era_array = parent_of(hostile, 0, hostile->builder.next);
}

static void bitset_to_itself(struct hostile *hostile)
{
	hostile->plan.writeset_root = parent_of(hostile, 0, hostile->builder.next);
}

/* Three nodes in a ring. */
static void cycle(struct hostile *hostile)
{
	uint64_t first = hostile->builder.next;

	parent_of(hostile, 0, first + 1);
	parent_of(hostile, 0, first + 2);
	parent_of(hostile, 0, first);
	hostile->plan.writeset_tree = first;
}

static uint64_t chain(struct hostile *hostile, uint64_t root, unsigned length)
{
	while (length--)
		root = parent_of(hostile, 0, root);
	return root;
}

static void long_chain(struct hostile *hostile)
{
	hostile->plan.writeset_tree = chain(hostile, hostile->plan.writeset_tree, 40);
}

static void era_array_chain(struct hostile *hostile)
{
	hostile->plan.era_array = chain(hostile, hostile->plan.era_array, 40);
}

/* Each node names the one below 252 times: 252^30 ways to the leaf. */
static void explosion(struct hostile *hostile)
{
	struct builder_entry entries[ROOM_8];
	uint64_t node = hostile->plan.writeset_tree;

	for (unsigned depth = 0; depth < 30; depth++) {
		for (unsigned i = 0; i < ROOM_8; i++)
			entries[i] = (struct builder_entry){.key = i, .value = node};
		node = internal(hostile, entries, ROOM_8);
	}
	hostile->plan.writeset_tree = node;
}

static void one_leaf_twice(struct hostile *hostile)
{
	struct builder_entry entries[2];

	drop_writeset_tree(hostile);
	entries[0] = (struct builder_entry){.key = 3, .value = writeset_leaf(hostile, 3, 0)};
	entries[1] = (struct builder_entry){.key = 4, .value = entries[0].value};
	hostile->plan.writeset_tree = internal(hostile, entries, 2);
}

static void unequal_depths(struct hostile *hostile)
{
	struct builder_entry entries[2];

	drop_writeset_tree(hostile);
	entries[0] = (struct builder_entry){.key = 3, .value = writeset_leaf(hostile, 3, 0)};
	entries[1] = (struct builder_entry){
		.key = 4, .value = parent_of(hostile, 4, writeset_leaf(hostile, 4, 1))};
	hostile->plan.writeset_tree = internal(hostile, entries, 2);
}

static void empty_child(struct hostile *hostile)
{
	struct builder_entry entries[2] = {{.key = 0}, {.key = 3}};

	entries[0].value = builder_node(&hostile->builder, NODE_IS_LEAF, 12, NULL, 0);
	entries[1].value = hostile->plan.writeset_tree;
	hostile->plan.writeset_tree = internal(hostile, entries, 2);
}

static void empty_internal_node(struct hostile *hostile)
{
	hostile->plan.writeset_tree = internal(hostile, NULL, 0);
}

Test(hostile_trees, btrees)
{
	static const struct hostile_case cases[] = {
		{"a tree of two levels", two_levels, NULL, SOUND, NULL},
		{"a child below its key", child_below_its_key, NULL, FATAL, "range"},
		{"a child at the next key", child_at_the_next_key, NULL, FATAL, "range"},
		{"equal keys in an internal node", equal_internal_keys, NULL, FATAL, "ascend"},
		{"descending ones", descending_internal_keys, NULL, FATAL, "ascend"},
		{"an era of 2^32 and more", high_key_bits, NULL, FATAL, "era"},
		{"a writeset tree that is its own child", root_to_itself, NULL, FATAL, "twice"},
		{"an era array that is its own child", era_array_to_itself, NULL, FATAL, "twice"},
		{"a bitset that is its own child", bitset_to_itself, NULL, FATAL, "twice"},
		{"a ring of nodes", cycle, NULL, FATAL, "twice"},
		{"a tree 41 deep", long_chain, NULL, FATAL, "deep"},
		{"an era array 41 deep", era_array_chain, NULL, FATAL, "deep"},
		{"252^30 ways to a leaf", explosion, NULL, FATAL, "writeset tree"},
		{"a leaf that two entries name", one_leaf_twice, NULL, FATAL, "twice"},
		{"leaves of unequal depth", unequal_depths, NULL, FATAL, "depth"},
		{"an empty leaf below the root", empty_child, NULL, FATAL, "entries"},
		{"an internal node without entries", empty_internal_node, NULL, FATAL, "entries"},
	};

	HOSTILE_JUDGE_CASES(cases);
}

/* Arrays. */

static uint64_t era_block(struct hostile *hostile, unsigned nr)
{
	static const uint64_t eras[ERAS_PER_BLOCK];

	return builder_array_block(&hostile->builder, 4, eras, nr);
}

/* An era array over the blocks given, in place of the one that was made before. */
static void era_array_of(struct hostile *hostile, const struct builder_entry *entries, unsigned nr)
{
	const struct image *image = &hostile->builder.image;

	for (unsigned i = 0; i < 3; i++)
		hostile->builder
			.counts[image_get(image, hostile->plan.era_array, VALUE_AT(i), 8)]--;
	hostile->plan.era_array = builder_tree(&hostile->builder, 8, entries, nr);
}

static void all_entries_one_block(struct hostile *hostile)
{
	struct builder_entry entries[3];
	uint64_t block = era_block(hostile, ERAS_PER_BLOCK);

	for (unsigned i = 0; i < 3; i++)
		entries[i] = (struct builder_entry){.key = i, .value = block};
	era_array_of(hostile, entries, 3);
}

static void array_of(struct hostile *hostile, const unsigned *keys, const unsigned *sizes,
		     unsigned nr)
{
	struct builder_entry entries[8];

	for (unsigned i = 0; i < nr; i++)
		entries[i] = (struct builder_entry){.key = keys[i],
						    .value = era_block(hostile, sizes[i])};
	era_array_of(hostile, entries, nr);
}

static void lawful_array(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 1, 2}, (const unsigned[]){1018, 1018, 964}, 3);
}

static void hole(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 2}, (const unsigned[]){1018, 964}, 2);
}

static void hole_at_the_begin(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){1, 2}, (const unsigned[]){1018, 964}, 2);
}

static void surplus_block(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 1, 2, 3}, (const unsigned[]){1018, 1018, 964, 1},
		 4);
}

static void far_surplus_block(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 1, 2, UINT32_MAX},
		 (const unsigned[]){1018, 1018, 964, 1}, 4);
}

static void short_middle_block(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 1, 2, 3}, (const unsigned[]){1018, 500, 1018, 464},
		 4);
}

static void empty_last_block(struct hostile *hostile)
{
	array_of(hostile, (const unsigned[]){0, 1, 2}, (const unsigned[]){1018, 1018, 0}, 3);
}

/* Writesets that lead into the era array, and the reverse. */
static void crossed_trees(struct hostile *hostile)
{
	uint64_t era_array = hostile->plan.era_array;

	hostile->plan.era_array = hostile->plan.writeset_root;
	hostile->plan.writeset_root = era_array;
}

static void shared_bitset(struct hostile *hostile)
{
	drop_writeset_tree(hostile);
	hostile->writesets[1].root = hostile->writesets[0].root;
	hostile->plan.writeset_tree =
		builder_writeset_tree(&hostile->builder, hostile->writesets, 2);
}

static void current_is_archived(struct hostile *hostile)
{
	hostile->plan.writeset_root = hostile->writesets[1].root;
}

/* Writesets of the largest size that all have the same bitset: cheap to write, dear to believe. */
static void many_huge_writesets(struct hostile *hostile)
{
	static struct plan_writeset writesets[ROOM_12];

	for (unsigned i = 0; i < ROOM_12; i++)
		writesets[i] = (struct plan_writeset){i, INT32_MAX, hostile->writesets[0].root};
	hostile->plan.current_era = 1000;
	hostile->plan.writeset_tree = builder_writeset_tree(&hostile->builder, writesets, ROOM_12);
}

static void writeset_of_no_bits(struct hostile *hostile)
{
	struct plan_writeset writesets[3] = {
		{1, 0, builder_bitset(&hostile->builder, 0, 0)},
		hostile->writesets[0],
		hostile->writesets[1],
	};

	drop_writeset_tree(hostile);
	hostile->plan.writeset_tree = builder_writeset_tree(&hostile->builder, writesets, 3);
}

static void current_era_archived(struct hostile *hostile)
{
	drop_writeset_tree(hostile);
	hostile->writesets[1].era = 5;
	hostile->plan.writeset_tree =
		builder_writeset_tree(&hostile->builder, hostile->writesets, 2);
}

static void clean_shutdown(struct hostile *hostile)
{
	const struct image *image = &hostile->builder.image;

	current_era_archived(hostile);
	hostile->builder.counts[image_get(image, hostile->plan.writeset_root, VALUE_AT(0), 8)]--;
	hostile->plan.writeset_root = 0;
}

Test(hostile_trees, arrays)
{
	static const struct hostile_case cases[] = {
		{"a lawful array", lawful_array, NULL, SOUND, NULL},
		{"an array whose entries all are one block", all_entries_one_block, NULL, FATAL,
		 "twice"},
		{"a hole", hole, NULL, FATAL, "missing"},
		{"a hole at the begin", hole_at_the_begin, NULL, FATAL, "missing"},
		{"a surplus block", surplus_block, NULL, FATAL, "surplus"},
		{"a surplus block far off", far_surplus_block, NULL, FATAL, "era array"},
		{"a short block in the middle", short_middle_block, NULL, FATAL,
		 "wrong number of entries"},
		{"an empty block at the end", empty_last_block, NULL, FATAL,
		 "wrong number of entries"},
		{"crossed trees", crossed_trees, NULL, FATAL, "value size"},
		{"two writesets with one bitset", shared_bitset, NULL, FATAL, "twice"},
		{"a current writeset that is archived", current_is_archived, NULL, FATAL, "twice"},
		{"201 writesets of 2^31 - 1 bits", many_huge_writesets, NULL, FATAL, "writeset"},
		{"a writeset without bits", writeset_of_no_bits, NULL, SOUND, NULL},
		{"the current era archived, and going on", current_era_archived, NULL, FATAL,
		 "writeset of era 5"},
		{"the current era archived, and over", clean_shutdown, NULL, SOUND, NULL},
	};

	HOSTILE_JUDGE_CASES(cases);
}
