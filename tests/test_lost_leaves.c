/* SPDX-License-Identifier: MIT */
/*
 * Leaves of arrays that are lost, of the metadata in hostile.h: what is salvaged where the space map
 * tells which array blocks they named, and where it does not.
 */
#include "tests/support/before.h"
#include "tests/support/hostile.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char in_any_order[] =
	"era array: metadata block 11: lost; the blocks that it named are "
	"known, but not their order";
static const char all_eras[] =
	"era array: metadata block 11: checksum does not match; affects data "
	"blocks 0-2999";

struct loss {
	const char *name;
	void (*plan)(struct hostile *hostile);
	void (*spoil)(struct hostile *hostile);
	uint32_t least, most; /* data blocks that may count as written later */
	const char *phrase;
};

static struct image *image_of(struct hostile *hostile)
{
	return &hostile->builder.image;
}

static void lose_block(struct hostile *hostile, uint64_t block)
{
	memset(image_block(image_of(hostile), block) + 100, 0xa5, 64);
}

static void lose(struct hostile *hostile, enum place place)
{
	lose_block(hostile, hostile->at[place]);
}

static uint64_t second_bitset(struct hostile *hostile)
{
	return image_get(image_of(hostile), hostile->at[AT_WRITESET_LEAF], WRITESET_ROOT_AT(1), 8);
}

static void lose_era_leaf(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
}

/* Which of their blocks is whose cannot be told. */
static void lose_two_bitsets(struct hostile *hostile)
{
	lose(hostile, AT_BITSET_LEAF);
	lose_block(hostile, second_bitset(hostile));
}

static void lose_all_leaves(struct hostile *hostile)
{
	lose_two_bitsets(hostile);
	lose(hostile, AT_ERA_LEAF);
	lose(hostile, AT_CURRENT_LEAF);
}

/* There are no counts above two. */
static void lose_counts_as_well(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	lose(hostile, AT_REF_COUNTS);
}

static void lose_high_count(struct hostile *hostile)
{
	lose_counts_as_well(hostile);
	builder_set_count(image_of(hostile), hostile->at[AT_CURRENT_LEAF], 3);
}

/* The writeset is lost, but it takes nothing else with it. */
static void lose_bitset_and_block(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	lose(hostile, AT_BITSET_LEAF);
	lose(hostile, AT_BITSET_BLOCK);
}

static void lose_tree_as_well(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	lose(hostile, AT_WRITESET_LEAF);
}

static void lose_array_block_as_well(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	lose(hostile, AT_ERA_BLOCK_1);
}

/* It may be one of several that do not count. */
static void lose_count(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	builder_set_count(image_of(hostile), hostile->at[AT_ERA_BLOCK_1], 0);
}

/* One of them was replaced by the other. */
static void leave_old_block(struct hostile *hostile)
{
	struct image *image = image_of(hostile);
	uint64_t old = hostile->builder.next;

	lose(hostile, AT_ERA_LEAF);
	memcpy(image_block(image, old), image_block(image, hostile->at[AT_ERA_BLOCK_1]),
	       IMAGE_BLOCK);
	image_poke(image, old, ARRAY_BLOCKNR, 8, old);
	builder_set_count(image, old, 1);
}

/* The era array's leaf is lost, and a field of another block changed. */
static void lose_and_set(struct hostile *hostile, enum place place, size_t field, uint32_t value)
{
	lose(hostile, AT_ERA_LEAF);
	hostile_poke(hostile, place, field, 4, value);
}

static void lengthen_block(struct hostile *hostile)
{
	lose_and_set(hostile, AT_ERA_BLOCK_2, ARRAY_NR_ENTRIES, 965);
}

static void shorten_block(struct hostile *hostile)
{
	lose_and_set(hostile, AT_ERA_BLOCK_1, ARRAY_NR_ENTRIES, 964);
}

static void widen_block(struct hostile *hostile)
{
	lose_and_set(hostile, AT_ERA_BLOCK_1, ARRAY_MAX_ENTRIES, 1019);
}

static void resize(struct hostile *hostile)
{
	lose_and_set(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 2999);
}

/* It is sound, but something else; so the superblock may be an old one. */
static void replace_leaf(struct hostile *hostile)
{
	hostile_poke(hostile, AT_ERA_LEAF, KEY_AT(1), 8, 0);
}

/* A metadata snapshot that has all but the second array block in common with what is live. */
static void hold_snapshot(struct hostile *hostile)
{
	struct builder *builder = &hostile->builder;
	struct plan snapshot = hostile->plan;
	struct builder_entry entries[3];
	uint64_t eras[ERAS_PER_BLOCK] = {0};

	for (unsigned i = 0; i < 3; i++)
		entries[i] = (struct builder_entry){
			.key = i,
			.value = i == 1 ? builder_array_block(builder, 4, eras, ERAS_PER_BLOCK)
					: image_get(&builder->image, snapshot.era_array,
						    VALUE_AT(i), 8)};
	snapshot.era_array = builder_node(builder, NODE_IS_LEAF, 8, entries, 3);
	hostile->plan.snapshot = builder_snapshot(builder, &snapshot);
}

/* One that has all of it in common. */
static void hold_same(struct hostile *hostile)
{
	hostile->plan.snapshot = builder_snapshot(&hostile->builder, &hostile->plan);
}

/* What they have in common is known to be in use by the snapshot alone. */
static void lose_snapshot_too(struct hostile *hostile)
{
	lose(hostile, AT_ERA_LEAF);
	lose_block(hostile, image_get(image_of(hostile), 0, SB_SNAPSHOT, 8));
}

static const struct loss losses[] = {
	{"the era array's", NULL, lose_era_leaf, 604, 604, in_any_order},
	{"those of two writesets", NULL, lose_two_bitsets, 347, 347,
	 "writeset of era 4: metadata block 4: lost; the blocks that it named are known"},
	{"all", NULL, lose_all_leaves, 604, 1500, in_any_order},
	{"a writeset's, and its block", NULL, lose_bitset_and_block, 1482, 1482, in_any_order},
	{"the era array's, and the writeset tree", NULL, lose_tree_as_well, 604, 1500,
	 in_any_order},
	{"the era array's, and the reference counts", NULL, lose_counts_as_well, 604, 604,
	 in_any_order},
	{"the era array's, and a count above two", NULL, lose_high_count, 2500, 3000, all_eras},
	{"the era array's, and a block of it", NULL, lose_array_block_as_well, 2500, 3000,
	 all_eras},
	{"the era array's, and a count", NULL, lose_count, 2500, 3000, all_eras},
	{"the era array's, and an old block is in use", NULL, leave_old_block, 2500, 3000,
	 all_eras},
	{"the era array's, and a block is too long", NULL, lengthen_block, 2500, 3000, all_eras},
	{"the era array's, and a block is too short", NULL, shorten_block, 2500, 3000, all_eras},
	{"the era array's, and a block cannot be", NULL, widen_block, 2500, 3000, all_eras},
	{"the era array's, and the number of data blocks", NULL, resize, 2500, 3000, NULL},
	{"the era array's by what it says", NULL, replace_leaf, 2500, 3000, "do not ascend"},
	{"the era array's, of which a snapshot has a part", hold_snapshot, lose_era_leaf, 0, 0,
	 "era array: metadata block 11: lost, and put together again"},
	{"the era array's, which a snapshot has as well", hold_same, lose_era_leaf, 604, 604,
	 in_any_order},
	{"the era array's, and a snapshot", hold_snapshot, lose_snapshot_too, 2500, 3000, all_eras},
};

static void expect_loss(const struct loss *loss)
{
	struct hostile_case start = {.name = loss->name, .plan = loss->plan};
	struct hostile hostile;
	struct salvaged salvaged;
	struct before before;
	uint32_t excess;

	hostile_make(&hostile, &start);
	before = before_look(image_of(&hostile));
	loss->spoil(&hostile);
	salvaged = before_salvage(image_of(&hostile), &before, false, loss->name);
	cr_expect_eq(salvaged.result, 0, "%s: %s", loss->name, salvaged.messages);
	excess = before_excess(&salvaged, &before);
	cr_expect(excess >= loss->least && excess <= loss->most, "%s: costs %u data blocks\n%s",
		  loss->name, excess, salvaged.messages);
	cr_expect(!loss->phrase || strstr(salvaged.messages, loss->phrase), "%s: %s", loss->name,
		  salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	hostile_free(&hostile);
}

Test(lost_leaves, costs)
{
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		expect_loss(&losses[i]);
}

/* What comes out contains what was there for each order that the blocks can have had, and is the same. */
Test(lost_leaves, whichever_order)
{
	struct salvaged salvaged[2];

	for (unsigned i = 0; i < 2; i++) {
		struct hostile hostile;
		struct before before;

		hostile_make(&hostile, &(struct hostile_case){.name = "order"});
		hostile_poke(&hostile, AT_ERA_LEAF, VALUE_AT(0), 8, hostile.at[AT_ERA_BLOCK_0 + i]);
		hostile_poke(&hostile, AT_ERA_LEAF, VALUE_AT(1), 8, hostile.at[AT_ERA_BLOCK_1 - i]);
		before = before_look(image_of(&hostile));
		lose(&hostile, AT_ERA_LEAF);
		salvaged[i] = before_salvage(image_of(&hostile), &before, false, "order");
		free(before.eras);
		hostile_free(&hostile);
	}
	cr_expect_arr_eq(salvaged[0].eras, salvaged[1].eras,
			 HOSTILE_DATA_BLOCKS * sizeof(uint32_t));
	salvaged_free(&salvaged[0]);
	salvaged_free(&salvaged[1]);
}
