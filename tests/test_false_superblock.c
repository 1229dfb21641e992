/* SPDX-License-Identifier: MIT */
/*
 * Superblocks with a right checksum and wrong numbers: of another device or time, or changed. What the
 * trees, or any block of the device, say against them is not left out.
 */
#include "persistent-data/error.h"
#include "tests/support/before.h"
#include "tests/support/fixture.h"
#include "tests/support/hostile.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(false_superblock, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 1200);

/* What is salvaged of metadata that are spoilt: with this result, and that said. */
struct trial {
	struct hostile hostile;
	struct before before;
	const char *name;
};

static void trial_make(struct trial *trial, const char *name, void (*plan)(struct hostile *),
		       void (*spoil)(struct hostile *))
{
	trial->name = name;
	hostile_make(&trial->hostile, &(struct hostile_case){.name = name, .plan = plan});
	trial->before = before_look(&trial->hostile.builder.image);
	spoil(&trial->hostile);
}

static void trial_end(struct trial *trial)
{
	free(trial->before.eras);
	hostile_free(&trial->hostile);
}

static void trial_expect(struct trial *trial, bool hints, int result, const char *phrase,
			 uint32_t most)
{
	struct salvaged salvaged =
		before_salvage(&trial->hostile.builder.image, &trial->before, hints, trial->name);

	cr_expect_eq(salvaged.result, result, "%s: %s", trial->name, salvaged.messages);
	cr_expect_leq(before_excess(&salvaged, &trial->before), most, "%s: %s", trial->name,
		      salvaged.messages);
	cr_expect(strstr(salvaged.messages, phrase), "%s: %s", trial->name, salvaged.messages);
	salvaged_free(&salvaged);
}

static void expect_planned(const char *name, void (*plan)(struct hostile *),
			   void (*spoil)(struct hostile *), const char *phrase, uint32_t most)
{
	struct trial trial;

	trial_make(&trial, name, plan, spoil);
	trial_expect(&trial, false, 0, phrase, most);
	trial_end(&trial);
}

/* The number of data blocks, and perhaps their size, must be given. */
static void expect_refused(const char *name, void (*spoil)(struct hostile *), const char *phrase)
{
	struct trial trial;

	trial_make(&trial, name, NULL, spoil);
	trial_expect(&trial, false, PD_ERR_CORRUPT, phrase, 0);
	trial_expect(&trial, true, 0, "", HOSTILE_DATA_BLOCKS);
	trial_end(&trial);
}

static void expect_superset(const char *name, void (*spoil)(struct hostile *), const char *phrase,
			    uint32_t most)
{
	expect_planned(name, NULL, spoil, phrase, most);
}

static void spoil_content(const struct hostile *hostile, enum place place)
{
	memset(image_block(&hostile->builder.image, hostile->at[place]) + 100, 0xa5, 64);
}

static void set_lengths(struct hostile *hostile, uint32_t nr_blocks)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, nr_blocks);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_BITS, 4, nr_blocks);
}

/* Both lengths are wrong together, by array blocks, words, or bits. */

static void spoil_lengths(struct hostile *hostile)
{
	set_lengths(hostile, 1000);
}

static void spoil_lengths_by_words(struct hostile *hostile)
{
	set_lengths(hostile, 2100);
}

static void spoil_lengths_by_a_bit(struct hostile *hostile)
{
	set_lengths(hostile, HOSTILE_DATA_BLOCKS - 1);
}

/* The array's last block does not tell any more where it ends. */
static void spoil_lengths_and_last_block(struct hostile *hostile)
{
	set_lengths(hostile, 2100);
	spoil_content(hostile, AT_ERA_BLOCK_2);
}

/* Nor does the current writeset. */
static void spoil_lengths_and_current_leaf(struct hostile *hostile)
{
	set_lengths(hostile, 1018);
	spoil_content(hostile, AT_CURRENT_LEAF);
}

Test(false_superblock, both_lengths_are_wrong)
{
	/* It agrees with itself, but not with the array and the writeset: so do those of other devices. */
	expect_superset("lengths", spoil_lengths, "taken for 3000", HOSTILE_DATA_BLOCKS);
	expect_superset("lengths by some words", spoil_lengths_by_words, "taken for 3000",
			HOSTILE_DATA_BLOCKS);
	expect_superset("lengths by a bit", spoil_lengths_by_a_bit, "taken for 3000", 0);
	expect_superset("lengths, and the last array block", spoil_lengths_and_last_block,
			"where the latest writeset has 3008", 1018);
	expect_superset("lengths, and the current writeset", spoil_lengths_and_current_leaf,
			"where the era array has 3000", HOSTILE_DATA_BLOCKS);
}

/* An index in an array's tree that would make it longer than there is room for says nothing. */

static void spoil_lengths_and_index(struct hostile *hostile)
{
	set_lengths(hostile, 1000);
	hostile_poke(hostile, AT_ERA_LEAF, KEY_AT(2), 8, UINT64_C(1) << 40);
}

static void spoil_lengths_and_current_index(struct hostile *hostile)
{
	set_lengths(hostile, 1000);
	hostile_poke(hostile, AT_CURRENT_LEAF, KEY_AT(0), 8, UINT64_C(1) << 40);
}

Test(false_superblock, an_array_cannot_be_so_long)
{
	expect_superset("lengths, and the last index", spoil_lengths_and_index,
			"where the latest writeset has 3008", HOSTILE_DATA_BLOCKS);
	expect_superset("lengths, and the current writeset's index",
			spoil_lengths_and_current_index, "where the era array has 3000",
			HOSTILE_DATA_BLOCKS);
}

/* They are wrong in two ways, and the current writeset is lost up to the one. */
static void spoil_two_lengths_and_current_leaf(struct hostile *hostile)
{
	set_lengths(hostile, 2000);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 1);
	spoil_content(hostile, AT_CURRENT_LEAF);
}

/* An array block that nobody expects may be full, for all that can be read of it. */
static void spoil_lengths_and_surplus_block(struct hostile *hostile)
{
	set_lengths(hostile, 1018);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	spoil_content(hostile, AT_ERA_BLOCK_2);
}

static void spoil_lengths_and_current_key(struct hostile *hostile)
{
	set_lengths(hostile, 2100);
	hostile_poke(hostile, AT_CURRENT_LEAF, KEY_AT(0), 8, 50);
}

/* Only the writeset tree is left to tell. */
static void spoil_length_of_last_block(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, HOSTILE_DATA_BLOCKS - 100);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	spoil_content(hostile, AT_ERA_BLOCK_2);
}

static void spoil_length_and_tree(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	spoil_content(hostile, AT_WRITESET_LEAF);
}

Test(false_superblock, lengths_and_what_would_tell_are_wrong)
{
	expect_superset("two lengths, and the current writeset", spoil_two_lengths_and_current_leaf,
			"where the era array has 3000", HOSTILE_DATA_BLOCKS);
	expect_superset("lengths, and a surplus array block", spoil_lengths_and_surplus_block,
			"where the era array has 3054", HOSTILE_DATA_BLOCKS);
	expect_superset("lengths, and a key", spoil_lengths_and_current_key, "taken for 3000",
			HOSTILE_DATA_BLOCKS);
	expect_superset("the length of a last array block that is lost", spoil_length_of_last_block,
			"where the latest writeset has 3000", HOSTILE_DATA_BLOCKS);
	expect_superset("no length, and the writeset tree", spoil_length_and_tree,
			"where the era array has 3000", HOSTILE_DATA_BLOCKS);
}

/* With the end of the array lost, what the superblock says of the current writeset counts as well. */
static void spoil_length_and_all_that_has_it(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 500);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_TREE, 8, HOSTILE_BLOCKS - 1);
	spoil_content(hostile, AT_ERA_LEAF);
	spoil_content(hostile, AT_BITMAP);
	spoil_content(hostile, AT_CURRENT_LEAF);
}

static void spoil_all_lengths(struct hostile *hostile)
{
	set_lengths(hostile, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	hostile_poke(hostile, AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, 0);
	hostile_poke(hostile, AT_WRITESET_LEAF, WRITESET_BITS_AT(1), 4, 0);
	spoil_content(hostile, AT_ERA_LEAF);
	spoil_content(hostile, AT_BITMAP);
}

Test(false_superblock, no_length_can_be_relied_on)
{
	expect_superset("a length that is left twice", spoil_length_and_all_that_has_it,
			"taken for 3000", HOSTILE_DATA_BLOCKS);
	expect_refused("no length at all", spoil_all_lengths,
		       "the number of data blocks must be given");
}

/* Its current era is too low, and the only era array block that is of a later one is lost. */
static void spoil_era_and_array_block(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 3);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_TREE, 8, UINT64_MAX);
	spoil_content(hostile, AT_ERA_BLOCK_1);
}

/* The writeset tree has two leaves, of which the last is lost, and the superblock is an era behind. */
static void plan_two_leaves(struct hostile *hostile)
{
	struct builder *builder = &hostile->builder;
	const struct plan_writeset late[] = {
		{6, HOSTILE_DATA_BLOCKS, builder_bitset(builder, HOSTILE_DATA_BLOCKS, 5)},
		{7, HOSTILE_DATA_BLOCKS, builder_bitset(builder, HOSTILE_DATA_BLOCKS, 3)}};
	const struct builder_entry children[] = {
		{3, hostile->plan.writeset_tree, 0},
		{6, builder_writeset_tree(builder, late, 2), 0},
	};

	hostile->plan.writeset_tree = builder_node(builder, NODE_IS_INTERNAL, 8, children, 2);
	hostile->plan.era_array = builder_era_array(builder, HOSTILE_DATA_BLOCKS, 7);
	hostile->plan.current_era = 8;
}

static void spoil_era_and_last_leaf(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;
	uint64_t root = hostile->at[AT_WRITESET_LEAF];
	uint64_t last = image_get(image, root, image_node_values(image, root) + 8, 8);

	memset(image_block(image, last) + 100, 0xa5, 64);
	spoil_content(hostile, AT_BITMAP);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 7);
}

/* What was restored has an era without a writeset before the current one; no kernel leaves any out. */
static void plan_late_era(struct hostile *hostile)
{
	hostile->plan.current_era = 9;
}

static void spoil_map(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, UINT64_MAX);
}

/* Eras went by without a write: only a block that is not in use any more tells of them. */
static void spoil_era_with_a_trace(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;
	uint64_t unused = image->nr_blocks - 1;

	memcpy(image_block(image, unused), image_block(image, hostile->at[AT_WRITESET_LEAF]),
	       IMAGE_BLOCK);
	image_set(image, unused, NODE_BLOCKNR, 8, unused);
	image_set(image, unused, KEY_AT(1), 8, 8);
	image_reseal(image, unused, KIND_NODE);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 2);
}

/* One pointer is for the space map's two. */
static void spoil_map_and_tree(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, hostile->at[AT_REF_COUNTS]);
	spoil_content(hostile, AT_WRITESET_LEAF);
}

Test(false_superblock, eras_are_lost_with_what_tells_them)
{
	expect_superset("an era, and an array block", spoil_era_and_array_block, "taken for 5",
			HOSTILE_DATA_BLOCKS);
	expect_planned("a missing writeset, and no space map", plan_late_era, spoil_map,
		       "without the space map", HOSTILE_DATA_BLOCKS);
	expect_planned("an era, and the last writesets", plan_two_leaves, spoil_era_and_last_leaf,
		       "taken for 8", HOSTILE_DATA_BLOCKS);
	expect_planned("an era after some without a write", plan_late_era, spoil_era_with_a_trace,
		       "taken for 9", HOSTILE_DATA_BLOCKS);
	expect_superset("the writeset tree, and the wrong space map", spoil_map_and_tree,
			"affects eras 0-4", HOSTILE_DATA_BLOCKS);
}

/* Nothing was written but in the first era. */

static void plan_first_era(struct hostile *hostile)
{
	hostile->plan.current_era = 1;
	hostile->plan.writeset_tree = 0;
	hostile->plan.era_array = builder_era_array(&hostile->builder, HOSTILE_DATA_BLOCKS, 0);
}

static void spoil_first_era(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 0);
}

/* The current writeset is not named, and what would tell is lost along with it. */

static void spoil_current_and_snapshot(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_SNAPSHOT, 8, HOSTILE_BLOCKS - 1);
}

static void spoil_current_and_map(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, UINT64_MAX);
}

static void spoil_current_and_size_of_map(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 3);
}

Test(false_superblock, the_current_writeset_is_hidden)
{
	expect_planned("before the first era", plan_first_era, spoil_first_era,
		       "current era 0, but", HOSTILE_DATA_BLOCKS);
	expect_superset("no current writeset, and a snapshot", spoil_current_and_snapshot,
			"named by nothing", HOSTILE_DATA_BLOCKS);
	expect_superset("no current writeset, and no space map", spoil_current_and_map,
			"of another device or time: all", HOSTILE_DATA_BLOCKS);
	expect_superset("no current writeset, and a small space map", spoil_current_and_size_of_map,
			"without the space map", HOSTILE_DATA_BLOCKS);
}

/* An earlier one, of a smaller device, whose trees are gone. */

static void lose_trees(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;
	uint64_t unused = image->nr_blocks - 1;

	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_TREE, 8, unused);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_ERA_ARRAY, 8, unused);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, unused);
}

static void spoil_time(struct hostile *hostile)
{
	lose_trees(hostile);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 2);
}

static void spoil_time_and_size(struct hostile *hostile)
{
	spoil_time(hostile);
	set_lengths(hostile, 500);
}

/* By the number of array blocks it may be right. */
static void spoil_time_and_rest(struct hostile *hostile)
{
	spoil_time(hostile);
	set_lengths(hostile, 2100);
}

/* Its array is there, and has something else in it. */
static void spoil_roots(struct hostile *hostile)
{
	spoil_time(hostile);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_ERA_ARRAY, 8, hostile->at[AT_BITSET_LEAF]);
}

/* The writeset tree alone is gone; its leaf is still counted as in use. */
static void spoil_tree_and_era(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_TREE, 8, UINT64_MAX);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 1);
}

Test(false_superblock, nothing_that_it_names_is_left)
{
	expect_superset("of another time", spoil_time, "taken for 5", HOSTILE_DATA_BLOCKS);
	expect_superset("of another time and size", spoil_time_and_size, "has 3000",
			HOSTILE_DATA_BLOCKS);
	expect_superset("of another time and a few blocks less", spoil_time_and_rest, "has 3000",
			HOSTILE_DATA_BLOCKS);
	expect_superset("of another structure", spoil_roots, "nothing is left of what it names",
			HOSTILE_DATA_BLOCKS);
	expect_superset("without its writeset tree", spoil_tree_and_era, "taken for",
			HOSTILE_DATA_BLOCKS);
}

/* What it names is there, and something else: two of its roots can hardly have been damaged alike. */

static void spoil_two_roots(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_TREE, 8, hostile->at[AT_ERA_BLOCK_0]);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_ERA_ARRAY, 8, hostile->at[AT_INDEX]);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 1);
	set_lengths(hostile, 1);
}

static void spoil_one_root(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_ERA_ARRAY, 8, hostile->at[AT_INDEX]);
}

static void spoil_version(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_VERSION, 4, 2);
	set_lengths(hostile, HOSTILE_DATA_BLOCKS - 1);
}

Test(false_superblock, it_leads_astray)
{
	expect_refused("two roots", spoil_two_roots, "of another device or time");
	expect_superset("one root", spoil_one_root, "era array", HOSTILE_DATA_BLOCKS);
	expect_refused("of another version", spoil_version, "unknown version");
}

/* No number of it can be believed where one cannot be; and those that are given can. */
static void spoil_sizes(struct hostile *hostile)
{
	set_lengths(hostile, UINT32_MAX);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_DATA_BLOCK_SIZE, 4, 8000);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_METADATA_BLOCK_SIZE, 4, 17);
}

Test(false_superblock, its_sizes_cannot_be)
{
	expect_refused("sizes", spoil_sizes, "the number of data blocks must be given");
}

/* A block that it leads to is in use for something else by now. */

static void spoil_use(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;
	uint64_t number = hostile->at[AT_BITSET_BLOCK];

	memcpy(image_block(image, number), image_block(image, hostile->at[AT_INDEX]), IMAGE_BLOCK);
	image_poke(image, number, INDEX_BLOCKNR, 8, number);
}

/* No era is later. */
static void spoil_use_and_era(struct hostile *hostile)
{
	spoil_use(hostile);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_CURRENT_ERA, 4, UINT32_MAX);
}

Test(false_superblock, a_block_was_put_to_another_use)
{
	expect_superset("a bitset block", spoil_use, "taken for 16777221", HOSTILE_DATA_BLOCKS);
	expect_superset("a bitset block, and the era", spoil_use_and_era, "in era 4294967295",
			HOSTILE_DATA_BLOCKS);
}

/* Blocks of later eras that nothing names may be from before the device was formatted. */
static void spoil_formatted_anew(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;

	for (uint64_t i = image->nr_blocks - 2; i < image->nr_blocks; i++) {
		memcpy(image_block(image, i), image_block(image, hostile->at[AT_ERA_BLOCK_2]),
		       IMAGE_BLOCK);
		image_poke(image, i, ARRAY_BLOCKNR, 8, i);
		image_poke(image, i, ARRAY_VALUES, 4, 40);
	}
	spoil_content(hostile, AT_ERA_BLOCK_0);
}

Test(false_superblock, the_device_was_formatted_anew)
{
	expect_superset("a lost array block", spoil_formatted_anew, "data blocks 0-1017", 1018);
}

/* Each fixture with the superblock of each other one. */

static bool has_another(const struct image *image, const struct before *before, const char *name,
			const char *other)
{
	struct salvaged salvaged;
	bool refused;

	salvaged_make(&salvaged, image, 0, 0);
	refused = salvaged.result == PD_ERR_CORRUPT;
	salvaged_free(&salvaged);
	if (!refused)
		return false;
	salvaged = before_salvage(image, before, true, other);
	cr_expect_eq(salvaged.result, 0, "%s with that of %s: %s", name, other, salvaged.messages);
	salvaged_free(&salvaged);
	return true;
}

static unsigned exchange(const char *name, const struct fixture_name *names, size_t nr)
{
	struct image image, other;
	struct before before = before_load(&image, name);
	unsigned nr_refused = 0;

	for (size_t i = 0; i < nr && before.nr_blocks && before.nr_blocks < 100000; i++) {
		free(before_load(&other, names[i].name).eras);
		memcpy(image_block(&image, 0), image_block(&other, 0), IMAGE_BLOCK);
		image_free(&other);
		nr_refused += has_another(&image, &before, name, names[i].name);
	}
	free(before.eras);
	image_free(&image);
	return nr_refused;
}

Test(false_superblock, superblocks_of_other_fixtures)
{
	size_t nr;
	struct fixture_name *names = fixture_names(&nr);
	unsigned nr_refused = 0;

	for (size_t i = 0; i < nr; i++)
		nr_refused += exchange(names[i].name, names, nr);
	cr_expect_gt(nr_refused, nr, "%u were refused", nr_refused);
	free(names);
}
