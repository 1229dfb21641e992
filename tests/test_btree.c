/* SPDX-License-Identifier: MIT */
/* Btrees on a memory device: what is built is walked, and what is damaged is told, with what is lost. */
#include "persistent-data/btree.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "tests/support/device.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAX_LOST 16
#define STOP 42

/* Entry i has key 3 * i + 1, and a value that begins with it. */
static uint64_t key_of(uint64_t i)
{
	return 3 * i + 1;
}

static uint64_t build(struct device *device, unsigned value_size, uint64_t nr)
{
	uint8_t value[16] = {0};
	struct btree_build tree;
	uint64_t root;

	cr_assert_eq(btree_build_init(&tree, &device->writer, value_size), PD_OK);
	for (uint64_t i = 0; i < nr; i++) {
		put_le32(value, (uint32_t)key_of(i));
		cr_assert_eq(btree_build_add(&tree, key_of(i), value), PD_OK);
	}
	cr_assert_eq(btree_build_finish(&tree, &root), PD_OK);
	btree_build_destroy(&tree);
	return root;
}

/* What a walk met. */
struct met {
	unsigned value_size;
	uint64_t nr; /* entries */
	uint64_t last;
	unsigned nr_leaves, stop_after;
	unsigned fewest; /* entries of a leaf */
	unsigned nr_lost;
	struct damage lost[MAX_LOST];
};

static int met_leaf(void *context, const struct btree_leaf *leaf)
{
	struct met *met = context;

	for (unsigned i = 0; i < leaf->nr_entries; i++) {
		cr_expect(!met->nr || leaf->keys[i] > met->last);
		cr_expect_eq(get_le32(leaf->values + (size_t)i * met->value_size), leaf->keys[i]);
		met->last = leaf->keys[i];
		met->nr++;
	}
	if (leaf->nr_entries < met->fewest || !met->nr_leaves)
		met->fewest = leaf->nr_entries;
	return ++met->nr_leaves == met->stop_after ? STOP : PD_OK;
}

static int met_damage(void *context, const struct damage *damage)
{
	struct met *met = context;

	cr_assert_lt(met->nr_lost, MAX_LOST);
	met->lost[met->nr_lost++] = *damage;
	return PD_OK;
}

static int walk(struct device *device, uint64_t root, uint64_t key_end, struct met *met)
{
	struct btree tree = {.root = root, .value_size = met->value_size, .key_end = key_end};
	struct btree_visitor visitor = {met, met_leaf, met_damage};

	device_read_back(device);
	return btree_walk(&device->reader, &tree, &visitor);
}

static void expect_lost(const struct met *met, unsigned i, uint64_t block, const char *what,
			uint64_t begin, uint64_t end)
{
	const struct damage *lost = &met->lost[i];

	cr_assert_lt(i, met->nr_lost, "no such damage: %s", what);
	cr_expect_eq(lost->block, block);
	cr_expect_str_eq(lost->what, what);
	cr_expect(lost->begin == begin && lost->end == end, "%s: %llu-%llu", what,
		  (unsigned long long)lost->begin, (unsigned long long)lost->end);
	cr_expect(lost->loses_references);
}

Test(btree, entries_of_a_node)
{
	cr_expect_eq(btree_max_entries(8), 252);
	cr_expect_eq(btree_max_entries(12), 201);
	cr_expect_eq(btree_max_entries(4), 336);
}

/* Where there are several nodes, none is less than a third full. */
Test(btree, no_node_is_thin)
{
	static const unsigned value_sizes[] = {4, 8, 12};

	for (size_t i = 0; i < 3; i++) {
		unsigned max_entries = btree_max_entries(value_sizes[i]);

		for (uint64_t nr = max_entries + 1; nr < 3 * max_entries; nr += 7) {
			struct met met = {.value_size = value_sizes[i]};
			struct device device;

			device_open(&device, 10);
			cr_assert_eq(
				walk(&device, build(&device, value_sizes[i], nr), UINT64_MAX, &met),
				PD_OK);
			cr_assert(met.nr == nr && !met.nr_lost);
			cr_assert_eq(met.nr_leaves, (nr + max_entries - 1) / max_entries);
			cr_assert_geq(met.fewest, max_entries / 3, "%u entries of %u", met.fewest,
				      (unsigned)nr);
			device_close(&device);
		}
	}
}

Test(btree, what_is_built_is_walked)
{
	static const struct {
		unsigned value_size;
		uint64_t nr;
	} trees[] = {{8, 0},	      {8, 1},	      {8, 252},		 {8, 253}, {8, 504},
		     {8, 505},	      {12, 201},      {12, 202},	 {4, 336}, {4, 337},
		     {12, 201 * 252}, {8, 252 * 252}, {8, 252 * 252 + 1}};

	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		struct met met = {.value_size = trees[i].value_size};
		struct device device;
		uint64_t root;

		device_open(&device, 300);
		root = build(&device, trees[i].value_size, trees[i].nr);
		cr_expect_eq(device.writer.next - 1,
			     btree_build_nr_nodes(trees[i].nr, trees[i].value_size), "tree %zu", i);
		cr_expect_eq(walk(&device, root, UINT64_MAX, &met), PD_OK);
		cr_expect_eq(met.nr, trees[i].nr, "tree %zu", i);
		cr_expect_eq(met.nr_lost, 0, "tree %zu", i);
		for (uint64_t block = 1; block < device.writer.next; block++)
			cr_expect_eq(ref_counts_get(&device.refs, block), 1);
		device_close(&device);
	}
}

/* What was in a node before does not shine through, where it has fewer entries. */
static void expect_rest_zero(const uint8_t *node, unsigned nr_entries)
{
	cr_assert_eq(get_le32(node + NODE_NR_ENTRIES), nr_entries);
	for (size_t i = nr_entries; i < 2 * 252; i++)
		if (i < 252 || i >= 252 + nr_entries)
			cr_assert_eq(get_le64(node + NODE_KEYS + 8 * i), 0, "word %zu", i);
}

/* The last node takes entries over from the one before it, if it had too few. */
Test(btree, the_rest_of_a_node_is_zero)
{
	static const struct {
		uint64_t nr;
		unsigned first, second; /* entries of the two leaves */
	} trees[] = {{253, 127, 126}, {252 + 83, 168, 167}, {252 + 84, 252, 84}, {400, 252, 148}};

	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		struct device device;

		device_open(&device, 10);
		build(&device, 8, trees[i].nr);
		device_read_back(&device);
		expect_rest_zero(device_block(&device, 1), trees[i].first);
		expect_rest_zero(device_block(&device, 2), trees[i].second);
		device_close(&device);
	}
}

Test(btree, no_room)
{
	struct btree_build tree;
	struct device device;
	uint8_t value[8] = {0};
	uint64_t root;
	int r = PD_OK;

	device_open(&device, 3);
	cr_assert_eq(btree_build_init(&tree, &device.writer, 8), PD_OK);
	for (uint64_t i = 0; !r && i < 3 * 252; i++)
		r = btree_build_add(&tree, i, value);
	if (!r)
		r = btree_build_finish(&tree, &root);
	cr_expect_eq(r, PD_ERR_NO_SPACE);
	btree_build_destroy(&tree);
	device_close(&device);
}

Test(btree, a_visitor_ends_the_walk)
{
	struct met met = {.value_size = 8, .stop_after = 2};
	struct device device;
	uint64_t root;

	device_open(&device, 10);
	root = build(&device, 8, 1000);
	cr_expect_eq(walk(&device, root, UINT64_MAX, &met), STOP);
	cr_expect_eq(met.nr_leaves, 2);
	device_close(&device);
}

/* Three leaves of 252, 252 and 100 entries in blocks 1 to 3, below a root in block 4. */
#define THREE_LEAVES 604
#define ROOT 4

static void reseal(struct device *device, uint64_t block)
{
	block_seal(device_block(device, block), BLOCK_BTREE_NODE, block);
}

static void poke32(struct device *device, uint64_t block, size_t offset, uint32_t value)
{
	put_le32(device_block(device, block) + offset, value);
	reseal(device, block);
}

static void poke64(struct device *device, uint64_t block, size_t offset, uint64_t value)
{
	put_le64(device_block(device, block) + offset, value);
	reseal(device, block);
}

static void flip(struct device *device)
{
	device_block(device, 2)[100] ^= 1;
}

static void flags(struct device *device)
{
	poke32(device, 2, NODE_FLAGS, 3);
}

static void value_size(struct device *device)
{
	poke32(device, 2, NODE_VALUE_SIZE, 12);
}

static void max_entries(struct device *device)
{
	poke32(device, 2, NODE_MAX_ENTRIES, 249);
}

static void nr_entries(struct device *device)
{
	poke32(device, 2, NODE_NR_ENTRIES, 253);
}

static void no_entries(struct device *device)
{
	poke32(device, 2, NODE_NR_ENTRIES, 0);
}

static void descending(struct device *device)
{
	poke64(device, 2, NODE_KEYS + 8 * 100, key_of(252 + 99));
}

static void key_too_low(struct device *device)
{
	poke64(device, 2, NODE_KEYS, key_of(252) - 1);
}

static void key_too_high(struct device *device)
{
	poke64(device, 2, NODE_KEYS + 8 * 251, key_of(504));
}

static void outside(struct device *device)
{
	poke64(device, ROOT, NODE_KEYS + 8 * 252 + 8, 10);
}

static void far_outside(struct device *device)
{
	poke64(device, ROOT, NODE_KEYS + 8 * 252 + 8, UINT64_MAX);
}

static void twice(struct device *device)
{
	poke64(device, ROOT, NODE_KEYS + 8 * 252 + 8, 1);
}

static void cycle(struct device *device)
{
	poke64(device, ROOT, NODE_KEYS + 8 * 252 + 8, ROOT);
}

static void misplaced(struct device *device)
{
	block_seal(device_block(device, 2), BLOCK_BTREE_NODE, 3);
}

static void other_type(struct device *device)
{
	block_seal(device_block(device, 2), BLOCK_BITMAP, 2);
}

Test(btree, a_bad_leaf_loses_its_own_keys_only)
{
	static const struct {
		void (*spoil)(struct device *device);
		uint64_t block;
		const char *what;
	} cases[] = {
		{flip, 2, "checksum does not match"},
		{flags, 2, "node is neither internal nor leaf"},
		{value_size, 2, "wrong value size"},
		{max_entries, 2, "wrong maximum of entries"},
		{nr_entries, 2, "too many entries"},
		{no_entries, 2, "node without entries"},
		{descending, 2, "keys do not ascend"},
		{key_too_low, 2, "keys outside the range that the parent gives"},
		{key_too_high, 2, "keys outside the range that the parent gives"},
		{outside, 10, "lies outside the metadata device"},
		{far_outside, UINT64_MAX, "lies outside the metadata device"},
		{twice, 1, "is used twice"},
		{cycle, ROOT, "is used twice"},
		{misplaced, 2, "belongs in another place, by its own block number"},
		{other_type, 2, "is a space map bitmap block, by its checksum"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct met met = {.value_size = 8};
		struct device device;
		uint64_t root;

		device_open(&device, 10);
		root = build(&device, 8, THREE_LEAVES);
		cr_assert_eq(root, ROOT);
		device_read_back(&device);
		cases[i].spoil(&device);
		cr_expect_eq(walk(&device, root, UINT64_MAX, &met), PD_OK);
		expect_lost(&met, 0, cases[i].block, cases[i].what, key_of(252), key_of(504));
		cr_expect_eq(met.lost[0].parent, ROOT);
		cr_expect_eq(met.nr, THREE_LEAVES - 252, "%s", cases[i].what);
		device_close(&device);
	}
}

Test(btree, a_bad_root_loses_all_keys_there_can_be)
{
	struct met met = {.value_size = 8};
	struct device device;
	uint64_t root;

	device_open(&device, 10);
	root = build(&device, 8, THREE_LEAVES);
	device_read_back(&device);
	device_block(&device, root)[4000] ^= 1;
	cr_expect_eq(walk(&device, root, 2000, &met), PD_OK);
	expect_lost(&met, 0, root, "checksum does not match", 0, 2000);
	cr_expect_eq(met.nr, 0);
	device_close(&device);
}

Test(btree, leaves_at_one_depth_only)
{
	struct met met = {.value_size = 8};
	struct device device;

	device_open(&device, 10);
	build(&device, 8, THREE_LEAVES);
	device_read_back(&device);
	/* The second child becomes an internal node above the third. */
	memset(device_block(&device, 2), 0, METADATA_BLOCK_SIZE);
	put_le32(device_block(&device, 2) + NODE_FLAGS, NODE_INTERNAL);
	put_le32(device_block(&device, 2) + NODE_VALUE_SIZE, 8);
	put_le32(device_block(&device, 2) + NODE_MAX_ENTRIES, 252);
	put_le64(device_block(&device, 2) + NODE_KEYS, key_of(252));
	put_le64(device_block(&device, 2) + NODE_KEYS + 8 * 252, 3);
	poke32(&device, 2, NODE_NR_ENTRIES, 1);
	poke32(&device, ROOT, NODE_NR_ENTRIES, 2);
	cr_expect_eq(walk(&device, ROOT, 5000, &met), PD_OK);
	expect_lost(&met, 0, 3, "leaf at the wrong depth", key_of(252), 5000);
	cr_expect_eq(met.nr, 252);
	device_close(&device);
}
