/* SPDX-License-Identifier: MIT */
/*
 * Superblocks with a right checksum and wrong numbers: of another device or time, or changed. What the
 * trees, or any block of the device, say against them is not left out.
 */
#include "tests/support/before.h"
#include "tests/support/hostile.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(false_superblock, .timeout = 1200);

static void expect_superset(const char *name, void (*spoil)(struct hostile *), const char *phrase,
			    uint32_t most)
{
	struct hostile hostile;
	struct salvaged salvaged;
	struct before before;

	hostile_make(&hostile, &(struct hostile_case){.name = name});
	before = before_look(&hostile.builder.image);
	spoil(&hostile);
	salvaged = before_salvage(&hostile.builder.image, &before, false, name);
	cr_expect_eq(salvaged.result, 0, "%s: %s", name, salvaged.messages);
	cr_expect_leq(before_excess(&salvaged, &before), most, "%s: %s", name, salvaged.messages);
	cr_expect(strstr(salvaged.messages, phrase), "%s: %s", name, salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	hostile_free(&hostile);
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
	memset(image_block(&hostile->builder.image, hostile->at[AT_ERA_BLOCK_2]) + 100, 0xa5, 64);
}

/* Nor does the current writeset. */
static void spoil_lengths_and_current_leaf(struct hostile *hostile)
{
	set_lengths(hostile, 1018);
	memset(image_block(&hostile->builder.image, hostile->at[AT_CURRENT_LEAF]) + 100, 0xa5, 64);
}

Test(false_superblock, both_lengths_are_wrong)
{
	expect_superset("lengths", spoil_lengths, "taken for 3000", 0);
	expect_superset("lengths by some words", spoil_lengths_by_words, "taken for 3000", 0);
	expect_superset("lengths by a bit", spoil_lengths_by_a_bit, "taken for 3000", 0);
	expect_superset("lengths, and the last array block", spoil_lengths_and_last_block,
			"where the latest writeset has 3008", 1018);
	expect_superset("lengths, and the current writeset", spoil_lengths_and_current_leaf,
			"where the era array has 3000", HOSTILE_DATA_BLOCKS);
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
	expect_superset("of another time and size", spoil_time_and_size, "taken for 3054",
			HOSTILE_DATA_BLOCKS);
	expect_superset("of another structure", spoil_roots, "nothing is left of what it names",
			HOSTILE_DATA_BLOCKS);
	expect_superset("without its writeset tree", spoil_tree_and_era, "taken for",
			HOSTILE_DATA_BLOCKS);
}
