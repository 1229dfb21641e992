/* SPDX-License-Identifier: MIT */
/*
 * Metadata in which one field has an evil value, under a right checksum: sizes beyond all bounds,
 * numbers that contradict each other, pointers that point anywhere.
 */
#include "tests/support/hostile.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define MAX32 UINT32_MAX
#define MAX64 UINT64_MAX
#define MAX31 2147483647u

TestSuite(hostile_fields, .timeout = 300);

/* A value that is the number of the block at a place: larger than any that cases write as such. */
#define BLOCK_AT(place) (UINT64_C(0xe4a0000000000000) + (place))

struct poke {
	enum place place;
	size_t offset, size;
	uint64_t value;
	enum verdict verdict;
	const char *phrase;
};

static uint64_t poke_value(const struct hostile *hostile, uint64_t value)
{
	uint64_t place = value - BLOCK_AT(0);

	return place < NR_PLACES ? hostile->at[place] : value;
}

static void judge_poke(const struct poke *poke, bool small)
{
	struct hostile hostile;
	char name[128];

	hostile_init(&hostile, small);
	hostile_finish(&hostile);
	hostile_poke(&hostile, poke->place, poke->offset, poke->size,
		     poke_value(&hostile, poke->value));
	snprintf(name, sizeof(name), "place %d (block %llu), offset %zu, value %#llx", poke->place,
		 (unsigned long long)hostile.at[poke->place], poke->offset,
		 (unsigned long long)poke->value);
	hostile_judge(name, &hostile.builder.image, poke->verdict, poke->phrase);
	hostile_free(&hostile);
}

static void judge_pokes(const struct poke *pokes, size_t nr, bool small)
{
	for (size_t i = 0; i < nr; i++)
		judge_poke(&pokes[i], small);
}

#define JUDGE(pokes) judge_pokes(pokes, sizeof(pokes) / sizeof((pokes)[0]), false)
#define JUDGE_SMALL(pokes) judge_pokes(pokes, sizeof(pokes) / sizeof((pokes)[0]), true)

/* All that follows says something only if this passes. */
Test(hostile_fields, untouched_is_sound)
{
	for (int small = 0; small < 2; small++) {
		struct hostile hostile;

		hostile_init(&hostile, small);
		hostile_finish(&hostile);
		hostile_judge("untouched", &hostile.builder.image, SOUND, NULL);
		hostile_free(&hostile);
	}
}

Test(hostile_fields, sizes_on_40_kib)
{
	static const struct poke pokes[] = {
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, MAX32, FATAL, "data blocks"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, MAX31 + 1, FATAL, "data blocks"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, MAX31, FATAL, "data blocks"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 1019, FATAL, "era array"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 0, FATAL, "era array"},
		{AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, MAX32, FATAL, "writeset"},
		{AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, MAX31 + 1, FATAL, "writeset"},
		{AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, MAX31, FATAL, "writeset of era 3"},
		{AT_WRITESET_LEAF, WRITESET_BITS_AT(0), 4, 0, FATAL, "writeset of era 3"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 11, FATAL, "truncated"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 4161600, FATAL, "truncated"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 4161601, FATAL, "space map"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, MAX64, FATAL, "space map"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 0, FATAL, "past the end of the space map"},
	};

	JUDGE_SMALL(pokes);
}

Test(hostile_fields, superblock)
{
	static const struct poke pokes[] = {
		{AT_SUPERBLOCK, SB_FLAGS, 4, 1, SOUND, NULL},
		{AT_SUPERBLOCK, SB_FLAGS, 4, 2, HINT, "flags"},
		{AT_SUPERBLOCK, SB_FLAGS, 4, MAX32, HINT, "flags"},
		{AT_SUPERBLOCK, SB_BLOCKNR, 8, 1, FATAL, "superblock"},
		{AT_SUPERBLOCK, SB_MAGIC, 8, 0, FATAL, "magic"},
		{AT_SUPERBLOCK, SB_VERSION, 4, 0, FATAL, "version"},
		{AT_SUPERBLOCK, SB_VERSION, 4, 2, FATAL, "version"},
		{AT_SUPERBLOCK, SB_METADATA_BLOCK_SIZE, 4, 0, FATAL, "block size"},
		{AT_SUPERBLOCK, SB_METADATA_BLOCK_SIZE, 4, 16, FATAL, "block size"},
		{AT_SUPERBLOCK, SB_DATA_BLOCK_SIZE, 4, 0, FATAL, "data block size"},
		{AT_SUPERBLOCK, SB_DATA_BLOCK_SIZE, 4, 12, FATAL, "data block size"},
		{AT_SUPERBLOCK, SB_DATA_BLOCK_SIZE, 4, MAX32, FATAL, "data block size"},
		{AT_SUPERBLOCK, SB_DATA_BLOCK_SIZE, 4, MAX32 - 7, SOUND, NULL},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 2999, FATAL, "era array"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 1018, FATAL, "surplus"},
		{AT_SUPERBLOCK, SB_NR_BLOCKS, 4, 4 * 1018, FATAL, "era array"},
		{AT_SUPERBLOCK, SB_CURRENT_ERA, 4, MAX32, SOUND, NULL},
		{AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 4, FATAL, "writeset of era 4"},
		{AT_SUPERBLOCK, SB_CURRENT_ERA, 4, 0, FATAL, "era"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, MAX32, FATAL, "writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, MAX31, FATAL, "writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 32576 + 1, FATAL, "current writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 64, FATAL, "current writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 2990, FATAL, "past the end"},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 2991, SOUND, NULL},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 3008, SOUND, NULL},
		{AT_SUPERBLOCK, SB_WRITESET_BITS, 4, 0, FATAL, "current writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, 0, LEAK, "leaked"},
	};

	JUDGE(pokes);
}

Test(hostile_fields, roots)
{
	static const size_t roots[] = {SB_WRITESET_ROOT, SB_WRITESET_TREE, SB_ERA_ARRAY};
	static const uint64_t values[] = {
		HOSTILE_BLOCKS,
		UINT64_C(1) << 32,
		UINT64_C(1) << 63,
		MAX64,
		HOSTILE_BLOCKS - 1,
		BLOCK_AT(AT_INDEX),
		BLOCK_AT(AT_BITMAP),
		BLOCK_AT(AT_REF_COUNTS),
		BLOCK_AT(AT_BITSET_BLOCK),
		BLOCK_AT(AT_BITSET_LEAF),
		BLOCK_AT(AT_ERA_BLOCK_0),
	};

	for (size_t r = 0; r < sizeof(roots) / sizeof(roots[0]); r++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
			judge_poke(&(struct poke){AT_SUPERBLOCK, roots[r], 8, values[v], FATAL, ""},
				   false);
	/* A root of 0 is no current writeset; the trees have to be somewhere. */
	for (size_t r = 1; r < sizeof(roots) / sizeof(roots[0]); r++)
		judge_poke(&(struct poke){AT_SUPERBLOCK, roots[r], 8, 0, FATAL, "root"}, false);
}

Test(hostile_fields, crossed_roots)
{
	static const struct poke pokes[] = {
		{AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, BLOCK_AT(AT_WRITESET_LEAF), FATAL,
		 "current writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_ROOT, 8, BLOCK_AT(AT_ERA_LEAF), FATAL,
		 "current writeset"},
		{AT_SUPERBLOCK, SB_WRITESET_TREE, 8, BLOCK_AT(AT_ERA_LEAF), FATAL, "writeset tree"},
		{AT_SUPERBLOCK, SB_WRITESET_TREE, 8, BLOCK_AT(AT_CURRENT_LEAF), FATAL,
		 "writeset tree"},
		{AT_SUPERBLOCK, SB_ERA_ARRAY, 8, BLOCK_AT(AT_WRITESET_LEAF), FATAL, "era array"},
		{AT_SUPERBLOCK, SB_ERA_ARRAY, 8, BLOCK_AT(AT_CURRENT_LEAF), FATAL, "era array"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, BLOCK_AT(AT_ERA_LEAF), FATAL,
		 "writeset of era 3"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, BLOCK_AT(AT_CURRENT_LEAF), FATAL,
		 "twice"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(1), 8, BLOCK_AT(AT_BITSET_LEAF), FATAL,
		 "twice"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, BLOCK_AT(AT_WRITESET_LEAF), FATAL,
		 "twice"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, 0, FATAL, "writeset of era 3"},
		{AT_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, MAX64, FATAL, "writeset of era 3"},
	};

	JUDGE(pokes);
}

Test(hostile_fields, nodes)
{
	static const enum place places[] = {AT_WRITESET_LEAF, AT_BITSET_LEAF, AT_CURRENT_LEAF,
					    AT_ERA_LEAF, AT_REF_COUNTS};
	static const struct poke pokes[] = {
		{0, NODE_FLAGS, 4, 0, FATAL, "node"},
		{0, NODE_FLAGS, 4, 1, FATAL, ""},
		{0, NODE_FLAGS, 4, 3, FATAL, "node"},
		{0, NODE_FLAGS, 4, MAX32, FATAL, "node"},
		{0, NODE_BLOCKNR, 8, 0, FATAL, ""},
		{0, NODE_BLOCKNR, 8, MAX64, FATAL, ""},
		{0, NODE_NR_ENTRIES, 4, 253, FATAL, ""},
		{0, NODE_NR_ENTRIES, 4, MAX32, FATAL, "entries"},
		{0, NODE_NR_ENTRIES, 4, MAX31, FATAL, "entries"},
		{0, NODE_MAX_ENTRIES, 4, 0, FATAL, "entries"},
		{0, NODE_MAX_ENTRIES, 4, 255, FATAL, "entries"},
		{0, NODE_MAX_ENTRIES, 4, MAX32, FATAL, "entries"},
		{0, NODE_VALUE_SIZE, 4, 0, FATAL, "value size"},
		{0, NODE_VALUE_SIZE, 4, 16, FATAL, "value size"},
		{0, NODE_VALUE_SIZE, 4, MAX32, FATAL, "value size"},
	};

	for (size_t i = 0; i < sizeof(pokes) / sizeof(pokes[0]); i++) {
		for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
			struct poke poke = pokes[i];

			poke.place = places[p];
			judge_poke(&poke, false);
		}
	}
}

Test(hostile_fields, writeset_keys)
{
	static const struct poke pokes[] = {
		{AT_WRITESET_LEAF, KEY_AT(1), 8, 3, FATAL, "ascend"},
		{AT_WRITESET_LEAF, KEY_AT(1), 8, 2, FATAL, "ascend"},
		{AT_WRITESET_LEAF, KEY_AT(0), 8, 5, FATAL, "ascend"},
		{AT_WRITESET_LEAF, KEY_AT(0), 8, MAX64, FATAL, "ascend"},
		/* The current era has its own writeset. */
		{AT_WRITESET_LEAF, KEY_AT(1), 8, 5, FATAL, "era"},
		{AT_WRITESET_LEAF, KEY_AT(1), 8, 6, FATAL, "era"},
		{AT_WRITESET_LEAF, KEY_AT(1), 8, MAX32, FATAL, "era"},
		{AT_WRITESET_LEAF, KEY_AT(1), 8, (UINT64_C(1) << 32) + 4, FATAL, "era"},
		{AT_WRITESET_LEAF, KEY_AT(1), 8, MAX64, FATAL, "era"},
		{AT_WRITESET_LEAF, NODE_NR_ENTRIES, 4, 3, FATAL, "ascend"},
		{AT_WRITESET_LEAF, NODE_NR_ENTRIES, 4, 1, LEAK, "leaked"},
	};

	JUDGE(pokes);
}

Test(hostile_fields, arrays)
{
	static const struct poke pokes[] = {
		/* Holes, surplus blocks, and entries out of order. */
		{AT_ERA_LEAF, KEY_AT(0), 8, 1, FATAL, "ascend"},
		{AT_ERA_LEAF, KEY_AT(1), 8, 2, FATAL, "ascend"},
		{AT_ERA_LEAF, KEY_AT(2), 8, 3, FATAL, "era array"},
		{AT_ERA_LEAF, KEY_AT(2), 8, (UINT64_C(1) << 32) + 2, FATAL, "era array"},
		{AT_ERA_LEAF, KEY_AT(2), 8, MAX64, FATAL, "era array"},
		{AT_ERA_LEAF, NODE_NR_ENTRIES, 4, 0, FATAL, "missing"},
		{AT_ERA_LEAF, NODE_NR_ENTRIES, 4, 2, FATAL, "missing"},
		{AT_ERA_LEAF, NODE_NR_ENTRIES, 4, 4, FATAL, "ascend"},
		{AT_BITSET_LEAF, KEY_AT(0), 8, 1, FATAL, "missing"},
		{AT_BITSET_LEAF, NODE_NR_ENTRIES, 4, 0, FATAL, "missing"},
		/* Pointers. */
		{AT_ERA_LEAF, VALUE_AT(1), 8, BLOCK_AT(AT_ERA_BLOCK_0), FATAL, "twice"},
		{AT_ERA_LEAF, VALUE_AT(1), 8, BLOCK_AT(AT_ERA_LEAF), FATAL, "twice"},
		{AT_ERA_LEAF, VALUE_AT(1), 8, BLOCK_AT(AT_BITSET_BLOCK), FATAL, "twice"},
		{AT_ERA_LEAF, VALUE_AT(1), 8, 0, FATAL, "era array"},
		{AT_ERA_LEAF, VALUE_AT(1), 8, HOSTILE_BLOCKS, FATAL, "outside"},
		{AT_ERA_LEAF, VALUE_AT(1), 8, MAX64, FATAL, "outside"},
		{AT_BITSET_LEAF, VALUE_AT(0), 8, BLOCK_AT(AT_ERA_BLOCK_0), FATAL, "writeset"},
		{AT_BITSET_LEAF, VALUE_AT(0), 8, BLOCK_AT(AT_BITSET_LEAF), FATAL, "twice"},
		/* Array blocks. */
		{AT_ERA_BLOCK_1, ARRAY_NR_ENTRIES, 4, 1017, FATAL, "entries"},
		{AT_ERA_BLOCK_1, ARRAY_NR_ENTRIES, 4, 1019, FATAL, "entries"},
		{AT_ERA_BLOCK_1, ARRAY_NR_ENTRIES, 4, MAX32, FATAL, "entries"},
		{AT_ERA_BLOCK_1, ARRAY_MAX_ENTRIES, 4, 1017, FATAL, "entries"},
		{AT_ERA_BLOCK_1, ARRAY_VALUE_SIZE, 4, 8, FATAL, "value size"},
		{AT_ERA_BLOCK_1, ARRAY_BLOCKNR, 8, 0, FATAL, "era array"},
		{AT_ERA_BLOCK_2, ARRAY_NR_ENTRIES, 4, 963, FATAL, "entries"},
		{AT_ERA_BLOCK_2, ARRAY_NR_ENTRIES, 4, 1018, FATAL, "entries"},
		{AT_BITSET_BLOCK, ARRAY_NR_ENTRIES, 4, 46, FATAL, "entries"},
		{AT_BITSET_BLOCK, ARRAY_NR_ENTRIES, 4, 509, FATAL, "entries"},
		{AT_BITSET_BLOCK, ARRAY_VALUE_SIZE, 4, 4, FATAL, "value size"},
		/* Values. */
		{AT_ERA_BLOCK_1, ARRAY_VALUES, 4, 4, SOUND, NULL},
		/* The current era goes on: nothing of it is in the array yet. */
		{AT_ERA_BLOCK_1, ARRAY_VALUES, 4, 5, FATAL, "data block 1018"},
		{AT_ERA_BLOCK_1, ARRAY_VALUES, 4, MAX32, FATAL, "data block 1018"},
		{AT_ERA_BLOCK_2, ARRAY_VALUES + 4 * 963, 4, 6, FATAL, "data block 2999"},
		{AT_ERA_BLOCK_2, ARRAY_VALUES + 4 * 964, 4, 6, SOUND, NULL},
		{AT_BITSET_BLOCK, ARRAY_VALUES + 8 * 46 + 6, 1, 0xff, SOUND, NULL},
		{AT_BITSET_BLOCK, ARRAY_VALUES + 8 * 46 + 7, 1, 0x01, FATAL, "past the end"},
		{AT_BITSET_BLOCK, ARRAY_VALUES + 8 * 47, 8, MAX64, SOUND, NULL},
	};

	JUDGE(pokes);
}

Test(hostile_fields, space_map)
{
	static const struct poke pokes[] = {
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, HOSTILE_BLOCKS + 1, FATAL, "truncated"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, HOSTILE_BLOCKS - 1, HINT, "free"},
		{AT_SUPERBLOCK, SB_MAP_NR_BLOCKS, 8, 5, FATAL, "past the end of the space map"},
		{AT_SUPERBLOCK, SB_MAP_NR_ALLOCATED, 8, 0, HINT, "allocated"},
		{AT_SUPERBLOCK, SB_MAP_NR_ALLOCATED, 8, MAX64, HINT, "allocated"},
		{AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, HOSTILE_BLOCKS, FATAL, "space map"},
		{AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, MAX64, FATAL, "space map"},
		{AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, BLOCK_AT(AT_BITMAP), FATAL, "space map"},
		{AT_SUPERBLOCK, SB_MAP_BITMAP_ROOT, 8, BLOCK_AT(AT_ERA_LEAF), FATAL, "twice"},
		{AT_SUPERBLOCK, SB_MAP_REF_COUNT_ROOT, 8, MAX64, FATAL, "reference count"},
		{AT_SUPERBLOCK, SB_MAP_REF_COUNT_ROOT, 8, BLOCK_AT(AT_INDEX), FATAL, "twice"},
		{AT_SUPERBLOCK, SB_MAP_REF_COUNT_ROOT, 8, BLOCK_AT(AT_WRITESET_LEAF), FATAL,
		 "twice"},
		{AT_INDEX, INDEX_BLOCKNR, 8, 0, FATAL, "space map"},
		{AT_INDEX, INDEX_ENTRIES, 8, 0, FATAL, "space map"},
		{AT_INDEX, INDEX_ENTRIES, 8, HOSTILE_BLOCKS, FATAL, "outside"},
		{AT_INDEX, INDEX_ENTRIES, 8, MAX64, FATAL, "outside"},
		{AT_INDEX, INDEX_ENTRIES, 8, BLOCK_AT(AT_INDEX), FATAL, "twice"},
		{AT_INDEX, INDEX_ENTRIES, 8, BLOCK_AT(AT_ERA_BLOCK_0), FATAL, "twice"},
		{AT_INDEX, INDEX_ENTRIES, 8, HOSTILE_BLOCKS - 1, FATAL, "space map"},
		{AT_INDEX, INDEX_ENTRIES + 8, 4, 0, HINT, "free"},
		{AT_INDEX, INDEX_ENTRIES + 8, 4, MAX32, HINT, "free"},
		{AT_INDEX, INDEX_ENTRIES + 12, 4, MAX32, HINT, "search"},
		{AT_INDEX, INDEX_ENTRIES + 16, 8, MAX64, SOUND, NULL},
		{AT_BITMAP, BITMAP_BLOCKNR, 8, 0, FATAL, "space map"},
		{AT_BITMAP, BITMAP_COUNTS, 1, 0, FATAL, "too low"},
		{AT_BITMAP, BITMAP_COUNTS + HOSTILE_BLOCKS / 4 - 1, 1, 0x80, LEAK, "leaked"},
		{AT_BITMAP, BITMAP_COUNTS + HOSTILE_BLOCKS / 4, 1, 0x01, HINT, "past the end"},
		{AT_BITMAP, IMAGE_BLOCK - 1, 1, 0x80, HINT, "past the end"},
		{AT_REF_COUNTS, NODE_NR_ENTRIES, 4, 1, FATAL, "count"},
		{AT_REF_COUNTS, NODE_NR_ENTRIES, 4, 2, FATAL, "ascend"},
	};

	JUDGE(pokes);
}
