/* SPDX-License-Identifier: MIT */
/*
 * What is salvaged of damaged metadata: always sound, never less than was there, and no more than the
 * damage costs. Random damage can be repeated with ERA_SEED; ERA_ROUNDS sets how much there is of it.
 */
#include "persistent-data/error.h"
#include "tests/support/before.h"
#include "tests/support/bounded.h"
#include "tests/support/hostile.h"
#include "tests/support/mutate.h"
#include "tests/support/salvaged.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 600
#define MAX_DAMAGED 4 /* blocks */

TestSuite(salvage, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 1200);

/* What is sound comes out as it is, and without a word. */

static void salvage_sound(const char *name)
{
	struct salvaged salvaged;
	struct before before;
	struct image image;

	before = before_load(&image, name);
	salvaged = before_salvage(&image, &before, false, name);
	cr_expect_eq(salvaged.result, 0, "%s", name);
	cr_expect_eq(before_excess(&salvaged, &before), 0, "%s", name);
	cr_expect_eq(salvaged.current_era, before.current_era, "%s", name);
	if (!image_get(&image, 0, SB_SNAPSHOT, 8))
		cr_expect_str_empty(salvaged.messages, "%s: %s", name, salvaged.messages);
	salvaged_free(&salvaged);
	/* Without its superblock, but for the last writes of the era before, where that is not digested. */
	memset(image_block(&image, 0), 0, IMAGE_BLOCK);
	if (before.nr_blocks) {
		salvaged = before_salvage(&image, &before, true, name);
		cr_expect_eq(salvaged.result, 0, "%s", name);
		cr_expect_leq(before_excess(&salvaged, &before), 8, "%s: %s", name,
			      salvaged.messages);
		cr_expect(strstr(salvaged.messages, "agree with each other"), "%s: %s", name,
			  salvaged.messages);
		salvaged_free(&salvaged);
	}
	free(before.eras);
	image_free(&image);
}

Test(salvage, sound)
{
	struct fixture_name *names;
	size_t nr;

	names = fixture_names(&nr);
	cr_assert_gt(nr, 10);
	for (size_t i = 0; i < nr; i++)
		salvage_sound(names[i].name);
	free(names);
}

/* What single damages cost: from hostile.h's metadata, of 3000 data blocks in era 5. */

struct cost {
	const char *name;
	enum place place;
	size_t offset, size; /* size 0: the block is overwritten */
	uint64_t value;
	uint32_t most; /* data blocks that may count as written later */
	const char *phrase;
};

static const struct cost costs[] = {
	{"an era array block", AT_ERA_BLOCK_1, 0, 0, 0, 1018, "affects data blocks 1018-2035"},
	{"the last era array block", AT_ERA_BLOCK_2, 0, 0, 0, 964, "affects data blocks 2036-2999"},
	{"the era array's leaf", AT_ERA_LEAF, 0, 0, 0, 604, "not their order"},
	{"an era that is not over", AT_ERA_BLOCK_0, ARRAY_VALUES + 4 * 7, 4, 0xffffffff, 1,
	 "affects data block 7"},
	{"an era array block that says it is shorter", AT_ERA_BLOCK_0, ARRAY_NR_ENTRIES, 4, 17,
	 1018, "wrong number of entries"},
	{"a missing entry of the era array", AT_ERA_LEAF, NODE_NR_ENTRIES, 4, 2, 964,
	 "are missing"},
	{"era array blocks out of order", AT_ERA_LEAF, KEY_AT(1), 8, 0, 3000, "do not ascend"},
	{"a writeset's bits", AT_BITSET_BLOCK, 0, 0, 0, 3000, "writeset of era 3"},
	{"a writeset's root", AT_BITSET_LEAF, 0, 0, 0, 0, "put together again"},
	{"the current writeset", AT_CURRENT_LEAF, 0, 0, 0, 0, "current writeset of era 5"},
	{"the writeset tree", AT_WRITESET_LEAF, 0, 0, 0, 804, "affects eras 0-4"},
	{"a writeset of an era to come", AT_WRITESET_LEAF, KEY_AT(1), 8, 9, 577,
	 "era that is not over"},
	{"a writeset of an era past all eras", AT_WRITESET_LEAF, KEY_AT(1), 8, UINT64_MAX, 375,
	 "era that is not over"},
	{"a writeset that is too short", AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, 100, 3000,
	 "writeset of era 3"},
	{"a writeset without end", AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, 0xffffffff, 3000,
	 "more bits than the format allows"},
	{"a writeset that ends in the middle of a word", AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4,
	 2990, 10 + 2990 % 64, "past the end"},
	{"bits past the end, and none before it", AT_BITSET_BLOCK, ARRAY_VALUES + 46 * 8, 8,
	 UINT64_C(1) << 63, 3000 % 64, "past the end; affects data blocks 2944-2999"},
	{"a writeset that leads to the era array", AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, 9,
	 3000, "writeset of era 3"},
	{"forgotten writesets", AT_WRITESET_LEAF, NODE_NR_ENTRIES, 4, 0, 804, "named by nothing"},
	{"a forgotten current writeset", AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0, 0,
	 "named by nothing"},
	{"fewer data blocks", AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 0, 0, "taken for 3000"},
	{"a current era that is past", AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 4, 3000, "taken for 5"},
	{"a current writeset that is too short", AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 1, 3000,
	 "current writeset of era 5"},
	{"another magic number", AT_SUPERBLOCK, SB_MAGIC, 8, 1, 0, "wrong magic number"},
	{"a uuid that is no text", AT_SUPERBLOCK, SB_UUID, 8, 0xff, 0, "uuid is lost"},
	{"a space map outside the device", AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, UINT64_MAX, 0,
	 "outside the device"},
	{"the space map's index", AT_INDEX, 0, 0, 0, 0, NULL},
	{"a bitmap", AT_BITMAP, 0, 0, 0, 0, NULL},
	{"the reference counts", AT_REF_COUNTS, 0, 0, 0, 0, NULL},
	{"a bitmap that has all as free", AT_BITMAP, BITMAP_COUNTS, 8, 0, 0, NULL},
};

static void expect_cost(const struct cost *cost)
{
	struct hostile hostile;
	struct salvaged salvaged;
	struct before before;
	const struct image *image = &hostile.builder.image;

	hostile_make(&hostile, &(struct hostile_case){.name = cost->name});
	before = before_look(image);
	if (cost->size)
		hostile_poke(&hostile, cost->place, cost->offset, cost->size, cost->value);
	else
		memset(image_block(image, hostile.at[cost->place]) + 100, 0xa5, 64);
	salvaged = before_salvage(image, &before, false, cost->name);
	cr_expect_eq(salvaged.result, 0, "%s: %s", cost->name, salvaged.messages);
	cr_expect_eq(salvaged.nr_blocks, before.nr_blocks, "%s: %s", cost->name, salvaged.messages);
	cr_expect_leq(before_excess(&salvaged, &before), cost->most, "%s: costs %u data blocks\n%s",
		      cost->name, before_excess(&salvaged, &before), salvaged.messages);
	if (cost->phrase)
		cr_expect(strstr(salvaged.messages, cost->phrase), "%s: %s", cost->name,
			  salvaged.messages);
	else
		cr_expect_str_empty(salvaged.messages, "%s: %s", cost->name, salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	hostile_free(&hostile);
}

Test(salvage, costs)
{
	for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++)
		expect_cost(&costs[i]);
}

/* Two that lay claim to one block. */

static void spoil_shared_writeset(struct hostile *hostile)
{
	uint64_t first = image_get(&hostile->builder.image, hostile->at[AT_WRITESET_LEAF],
				   WRITESET_ROOT_AT(0), 8);

	hostile_poke(hostile, AT_WRITESET_LEAF, WRITESET_ROOT_AT(1), 8, first);
}

static void spoil_shared_era_block(struct hostile *hostile)
{
	hostile_poke(hostile, AT_ERA_LEAF, VALUE_AT(1), 8, hostile->at[AT_ERA_BLOCK_0]);
}

/* The era array fits its root, a writeset does not: nothing but the writeset is lost. */
static void spoil_crossed_trees(struct hostile *hostile)
{
	hostile_poke(hostile, AT_WRITESET_LEAF, WRITESET_ROOT_AT(1), 8, hostile->at[AT_ERA_LEAF]);
}

/* Nothing but a writeset tells how many data blocks there are. */
static void spoil_both_ends(struct hostile *hostile)
{
	hostile_poke(hostile, AT_ERA_LEAF, NODE_VALUE_SIZE, 4, 9);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 14);
}

/* Of two that do not agree with the superblock's number of data blocks, one cannot be. */
static void spoil_endless_era_array(struct hostile *hostile)
{
	hostile_poke(hostile, AT_ERA_LEAF, KEY_AT(2), 8, 900000);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 2990);
}

/* A writeset that is named by nothing, and does not say which data blocks it is about. */
static void spoil_forgotten_writeset(struct hostile *hostile)
{
	hostile_poke(hostile, AT_WRITESET_LEAF, NODE_NR_ENTRIES, 4, 0);
	hostile_poke(hostile, AT_BITSET_LEAF, KEY_AT(0), 8, UINT64_C(1) << 63);
}

/* One that is named by nothing, and whose leaf is lost. */
static void spoil_lost_writeset(struct hostile *hostile)
{
	hostile_poke(hostile, AT_WRITESET_LEAF, NODE_NR_ENTRIES, 4, 0);
	memset(image_block(&hostile->builder.image, hostile->at[AT_BITSET_LEAF]), 0xa5, 64);
}

/* Nothing is known of what was in the writeset tree, if not all of it is there. */
static void spoil_tree_and_writeset(struct hostile *hostile)
{
	memset(image_block(&hostile->builder.image, hostile->at[AT_WRITESET_LEAF]), 0xa5, 64);
	memset(image_block(&hostile->builder.image, hostile->at[AT_BITSET_LEAF]), 0xa5, 64);
}

/* It was never written. */
static void spoil_tree_and_zero_writeset(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;

	memset(image_block(image, hostile->at[AT_WRITESET_LEAF]), 0xa5, 64);
	memset(image_block(image, hostile->at[AT_BITSET_LEAF]), 0, IMAGE_BLOCK);
	memset(image_block(image, hostile->at[AT_BITSET_BLOCK]), 0, IMAGE_BLOCK);
}

/* What stood there before was never overwritten. */
static void spoil_tree_and_replace_writeset(struct hostile *hostile)
{
	struct image *image = &hostile->builder.image;
	uint64_t leaf = hostile->at[AT_BITSET_LEAF], block = hostile->at[AT_BITSET_BLOCK];

	memset(image_block(image, hostile->at[AT_WRITESET_LEAF]), 0xa5, 64);
	memcpy(image_block(image, leaf), image_block(image, hostile->at[AT_ERA_LEAF]), IMAGE_BLOCK);
	image_poke(image, leaf, NODE_BLOCKNR, 8, leaf);
	memcpy(image_block(image, block), image_block(image, hostile->at[AT_ERA_BLOCK_0]),
	       IMAGE_BLOCK);
	image_poke(image, block, ARRAY_BLOCKNR, 8, block);
}

static void spoil_tree_and_counts(struct hostile *hostile)
{
	memset(image_block(&hostile->builder.image, hostile->at[AT_WRITESET_LEAF]), 0xa5, 64);
	builder_set_count(&hostile->builder.image, hostile->at[AT_BITSET_LEAF], 0);
}

static void spoil_tree_and_bitmap(struct hostile *hostile)
{
	memset(image_block(&hostile->builder.image, hostile->at[AT_WRITESET_LEAF]), 0xa5, 64);
	memset(image_block(&hostile->builder.image, hostile->at[AT_BITMAP]), 0xa5, 64);
}

/* Its leaf would have told that it is longer. */
static void spoil_short_current_writeset(struct hostile *hostile)
{
	hostile_poke(hostile, AT_CURRENT_LEAF, NODE_VALUE_SIZE, 4, 9);
	hostile_poke(hostile, AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 11);
}

static void expect_shared(const char *name, void (*spoil)(struct hostile *), const char *phrase,
			  bool (*expected)(const struct salvaged *, const struct before *))
{
	struct hostile hostile;
	struct salvaged salvaged;
	struct before before;

	hostile_make(&hostile, &(struct hostile_case){.name = name});
	before = before_look(&hostile.builder.image);
	spoil(&hostile);
	salvaged = before_salvage(&hostile.builder.image, &before, false, name);
	cr_expect_eq(salvaged.result, 0, "%s", name);
	cr_expect(expected(&salvaged, &before), "%s: %s", name, salvaged.messages);
	cr_expect(strstr(salvaged.messages, phrase), "%s: %s", name, salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	hostile_free(&hostile);
}

static bool all_since_4(const struct salvaged *salvaged, const struct before *before)
{
	for (uint32_t i = 0; i < before->nr_blocks; i++)
		if (salvaged->eras[i] != 4 && salvaged->eras[i] != 5)
			return false;
	return true;
}

static bool all_since_5(const struct salvaged *salvaged, const struct before *before)
{
	for (uint32_t i = 0; i < before->nr_blocks; i++)
		if (salvaged->eras[i] != 5)
			return false;
	return true;
}

static bool as_many(const struct salvaged *salvaged, const struct before *before)
{
	return salvaged->nr_blocks == before->nr_blocks;
}

static bool only_two_blocks(const struct salvaged *salvaged, const struct before *before)
{
	for (uint32_t i = 0; i < before->nr_blocks; i++)
		if (salvaged->eras[i] != (i < 2036 ? 5 : before->eras[i]))
			return false;
	return true;
}

Test(salvage, claims)
{
	expect_shared("one bitset for two writesets", spoil_shared_writeset, "writeset of era 3",
		      all_since_4);
	expect_shared("one block for two places of the era array", spoil_shared_era_block,
		      "affects data blocks 0-2035", only_two_blocks);
	expect_shared("a writeset that leads to the era array", spoil_crossed_trees,
		      "writeset of era 4", all_since_4);
	expect_shared("fewer data blocks, and no era array", spoil_both_ends,
		      "latest writeset has 3000", all_since_5);
	expect_shared("an era array without end", spoil_endless_era_array,
		      "affects data blocks 2036-2999", as_many);
	expect_shared("a forgotten writeset of no known blocks", spoil_forgotten_writeset,
		      "named by nothing", all_since_5);
	expect_shared("a forgotten writeset that is lost", spoil_lost_writeset,
		      "in use are named by nothing: all data blocks", all_since_5);
	expect_shared("the writeset tree and a writeset", spoil_tree_and_writeset, "eras 0-4",
		      all_since_5);
	expect_shared("the writeset tree and a writeset that was never written",
		      spoil_tree_and_zero_writeset, "eras 0-4", all_since_5);
	expect_shared("the writeset tree and a writeset that is something older",
		      spoil_tree_and_replace_writeset, "eras 0-4", all_since_5);
	expect_shared("the writeset tree and a count", spoil_tree_and_counts, "eras 0-4",
		      all_since_5);
	expect_shared("the writeset tree and the bitmap", spoil_tree_and_bitmap, "eras 0-4",
		      all_since_5);
	expect_shared("a short current writeset without its leaf", spoil_short_current_writeset,
		      "current writeset of era 5", all_since_5);
}

/* The root of an era array of several leaves, which say themselves where they belong. */

static void spoil_nothing_more(struct image *image, uint64_t leaf)
{
	(void)image;
	(void)leaf;
}

static void spoil_leaf(struct image *image, uint64_t leaf)
{
	image_block(image, leaf)[1999] ^= 1;
}

/* What is lost below a leaf has nothing to do with where the leaf belongs. */
static void spoil_array_block(struct image *image, uint64_t leaf)
{
	image_block(image, image_get(image, leaf, VALUE_AT(7), 8))[1999] ^= 1;
}

/* By its count it is free, so there may be others like it. */
static void spoil_count(struct image *image, uint64_t leaf)
{
	builder_set_count(image, leaf, 0);
}

/* It has a place that another one has as well. */
static void spoil_key(struct image *image, uint64_t leaf)
{
	image_poke(image, leaf, KEY_AT(0), 8, 3);
}

static void lose_root(const char *name, void (*spoil)(struct image *, uint64_t leaf),
		      uint32_t least, uint32_t most)
{
	struct salvaged salvaged;
	struct before before;
	struct image image;
	uint64_t root;

	before = before_load(&image, "crash-undigested");
	root = image_get(&image, 0, SB_ERA_ARRAY, 8);
	spoil(&image, image_get(&image, root, VALUE_AT(1), 8));
	memset(image_block(&image, root), 0, IMAGE_BLOCK);
	salvaged = before_salvage(&image, &before, false, name);
	cr_expect(before_excess(&salvaged, &before) >= least &&
			  before_excess(&salvaged, &before) <= most,
		  "%s: costs %u data blocks\n%s", name, before_excess(&salvaged, &before),
		  salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	image_free(&image);
}

Test(salvage, the_root_of_several_leaves)
{
	lose_root("the root", spoil_nothing_more, 0, 0);
	lose_root("the root and a leaf", spoil_leaf, 1000000, UINT32_MAX);
	lose_root("the root and an array block", spoil_array_block, 1, 1018);
	lose_root("the root and a count", spoil_count, 1000000, UINT32_MAX);
	lose_root("the root and a leaf's key", spoil_key, 1000000, UINT32_MAX);
}

/* Random damage. */

/* A writeset of another era that can be. */
static bool has_other_eras(const struct mutant *mutant, uint64_t block)
{
	uint64_t nr = image_get(&mutant->sound, block, NODE_NR_ENTRIES, 4);
	bool earlier = false;

	if (image_get(&mutant->sound, block, NODE_VALUE_SIZE, 4) != 12)
		return false;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t era = image_get(&mutant->image, block, KEY_AT(i), 8);

		earlier |= era && era < image_get(&mutant->sound, block, KEY_AT(i), 8);
	}
	return earlier;
}

/*
 * With a right checksum, other numbers in an array block, an earlier era, an earlier superblock are
 * just other metadata, and nobody can tell.
 */
static bool is_other_metadata(const struct mutant *mutant, uint64_t block)
{
	const uint8_t *now = image_block(&mutant->image, block);
	const uint8_t *before = image_block(&mutant->sound, block);
	bool same_header = !memcmp(now + 4, before + 4, ARRAY_VALUES - 4);

	if (image_kind(now) != image_kind(before))
		return false;
	if (image_kind(before) == KIND_ARRAY)
		return same_header;
	if (image_kind(before) == KIND_NODE)
		return has_other_eras(mutant, block);
	return block == 0 &&
	       image_get(&mutant->image, 0, SB_WRITESET_TREE, 8) !=
		       image_get(&mutant->sound, 0, SB_WRITESET_TREE, 8) &&
	       image_get(&mutant->image, 0, SB_ERA_ARRAY, 8) !=
		       image_get(&mutant->sound, 0, SB_ERA_ARRAY, 8);
}

static void damage(struct mutant *mutant, struct random *random, bool right_seals)
{
	unsigned nr = right_seals ? 1 : 1 + (unsigned)random_below(random, MAX_DAMAGED);

	while (nr--) {
		uint64_t block = mutate_pick(mutant, random);

		mutant_touch(mutant, block);
		mutate_block(mutant, random, block);
		if (right_seals)
			mutate_reseal(mutant, random, block);
	}
}

static void salvage_mutant(struct mutant *mutant, const struct before *before, const char *name)
{
	bool lost = image_kind(image_block(&mutant->image, 0)) != KIND_SUPERBLOCK ||
		    image_get(&mutant->image, 0, SB_BLOCKNR, 8) != 0;
	struct salvaged salvaged = before_salvage(&mutant->image, before, lost, name);

	/* Without its superblock, or with numbers in it that cannot be, only hints help. */
	cr_expect(!lost || !salvaged.result, "%s: %d\n%s", name, salvaged.result,
		  salvaged.messages);
	cr_expect(!salvaged.result || salvaged.messages[0] || salvaged.result == -4,
		  "%s: fails with %d in silence", name, salvaged.result);
	salvaged_free(&salvaged);
}

static void salvage_mutants(const char *fixture, bool right_seals)
{
	uint64_t seed = random_seed();
	uint64_t rounds = random_setting("ERA_ROUNDS", bounded_sanitized() ? ROUNDS / 8 : ROUNDS);
	struct mutant mutant;
	struct before before;
	char name[96];

	mutant_open(&mutant, fixture, false);
	before = before_look(&mutant.sound);
	for (uint64_t round = 0; round < rounds; round++) {
		struct random random = {seed * UINT64_C(0x100000001b3) + round};

		snprintf(name, sizeof(name), "%s: ERA_SEED=%llu, round %llu", fixture,
			 (unsigned long long)seed, (unsigned long long)round);
		damage(&mutant, &random, right_seals);
		if (!right_seals || !is_other_metadata(&mutant, mutant.touched[0]))
			salvage_mutant(&mutant, &before, name);
		mutant_heal(&mutant);
	}
	fprintf(stderr, "salvage: %s: ERA_SEED=%llu, %llu mutants\n", fixture,
		(unsigned long long)seed, (unsigned long long)rounds);
	free(before.eras);
	mutant_close(&mutant);
}

#define SALVAGE(id, fixture)                     \
	Test(salvage, decay_##id)                \
	{                                        \
		salvage_mutants(fixture, false); \
	}                                        \
	Test(salvage, malice_##id)               \
	{                                        \
		salvage_mutants(fixture, true);  \
	}

SALVAGE(hello, "hello")
SALVAGE(crash, "crash")
SALVAGE(crash_snap, "crash-snap")
SALVAGE(clean_undigested, "clean-undigested")
SALVAGE(snapdrop, "snapdrop-2-with")
SALVAGE(resize_grow, "resize-grow")
SALVAGE(resize_shrink, "resize-shrink")
SALVAGE(bs24, "bs24")
