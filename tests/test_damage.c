/* SPDX-License-Identifier: MIT */
/*
 * Every block in use of images that a kernel wrote, damaged in every way: as a disk does it, with a
 * checksum that does not fit, and as an enemy does it, with one that does.
 */
#include "tests/support/bounded.h"
#include "tests/support/mutant.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(damage, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 1200);

/* Damage to whole blocks, after which the checksum is wrong. */

struct whole {
	const char *name;
	bool (*damage)(struct mutant *mutant, size_t i); /* false: there is none of that kind */
};

static uint8_t *bytes_of(const struct mutant *mutant, size_t i)
{
	return image_block(&mutant->image, mutant->used[i].block);
}

static bool fill(struct mutant *mutant, size_t i, int byte)
{
	mutant_touch(mutant, mutant->used[i].block);
	memset(bytes_of(mutant, i), byte, IMAGE_BLOCK);
	return true;
}

static bool zeroes(struct mutant *mutant, size_t i)
{
	return fill(mutant, i, 0);
}

static bool ones(struct mutant *mutant, size_t i)
{
	return fill(mutant, i, 0xff);
}

static bool flip(struct mutant *mutant, size_t i, size_t byte, unsigned bit)
{
	mutant_touch(mutant, mutant->used[i].block);
	bytes_of(mutant, i)[byte] ^= (uint8_t)(1 << bit);
	return true;
}

static bool flip_first_bit(struct mutant *mutant, size_t i)
{
	return flip(mutant, i, 0, 0);
}

static bool flip_last_bit(struct mutant *mutant, size_t i)
{
	return flip(mutant, i, IMAGE_BLOCK - 1, 7);
}

static bool flip_some_bit(struct mutant *mutant, size_t i)
{
	return flip(mutant, i, 4 + i * 1237 % (IMAGE_BLOCK - 4), i % 8);
}

/* Only the first sector was written. */
static bool torn(struct mutant *mutant, size_t i)
{
	uint8_t *bytes = bytes_of(mutant, i);

	for (size_t n = 512; n < IMAGE_BLOCK; n++) {
		if (!bytes[n])
			continue;
		mutant_touch(mutant, mutant->used[i].block);
		memset(bytes + 512, 0, IMAGE_BLOCK - 512);
		return true;
	}
	return false;
}

/* What stands in the block before it, as after a write to the wrong place. */
static bool neighbour(struct mutant *mutant, size_t i)
{
	uint64_t block = mutant->used[i].block;
	const uint8_t *other = image_block(&mutant->image, block ? block - 1 : 1);

	mutant_touch(mutant, block);
	memcpy(bytes_of(mutant, i), other, IMAGE_BLOCK);
	return true;
}

/* What stands in another block of the same role. */
static bool lookalike(struct mutant *mutant, size_t i)
{
	for (size_t n = 1; n < mutant->nr_used; n++) {
		size_t other = (i + n) % mutant->nr_used;

		if (mutant->used[other].role != mutant->used[i].role)
			continue;
		mutant_touch(mutant, mutant->used[i].block);
		memcpy(bytes_of(mutant, i), bytes_of(mutant, other), IMAGE_BLOCK);
		return true;
	}
	return false;
}

static bool swapped(struct mutant *mutant, size_t i)
{
	uint8_t bytes[IMAGE_BLOCK];
	size_t other = (i + 1) % mutant->nr_used;

	mutant_touch(mutant, mutant->used[i].block);
	mutant_touch(mutant, mutant->used[other].block);
	memcpy(bytes, bytes_of(mutant, i), IMAGE_BLOCK);
	memcpy(bytes_of(mutant, i), bytes_of(mutant, other), IMAGE_BLOCK);
	memcpy(bytes_of(mutant, other), bytes, IMAGE_BLOCK);
	return true;
}

static bool other_salt(struct mutant *mutant, size_t i)
{
	enum kind kind = image_role_kind(mutant->used[i].role);

	mutant_touch(mutant, mutant->used[i].block);
	image_reseal(&mutant->image, mutant->used[i].block,
		     kind == KIND_NODE ? KIND_ARRAY : KIND_NODE);
	return true;
}

static const struct whole wholes[] = {
	{"zeroes", zeroes},
	{"ones", ones},
	{"its first bit flipped", flip_first_bit},
	{"its last bit flipped", flip_last_bit},
	{"a bit flipped", flip_some_bit},
	{"torn", torn},
	{"its neighbour's content", neighbour},
	{"the content of one like it", lookalike},
	{"swapped with the next in use", swapped},
	{"the salt of another type", other_salt},
};

/* With sanitizers all is slow: a part must do then. */
static bool left_out(size_t nth)
{
	return bounded_sanitized() && nth % 8 != 0;
}

static void damage_whole_blocks(const char *fixture, bool snapshot)
{
	struct mutant mutant;
	char name[128];

	mutant_open(&mutant, fixture, snapshot);
	cr_expect(mutant_judge(&mutant, "untouched", false, false), "%s", fixture);
	for (size_t i = 0; i < mutant.nr_used; i++) {
		for (size_t w = 0; w < sizeof(wholes) / sizeof(wholes[0]); w++) {
			if (left_out(i + w) || !wholes[w].damage(&mutant, i))
				continue;
			snprintf(name, sizeof(name), "block %llu, %s: %s",
				 (unsigned long long)mutant.used[i].block,
				 image_role_name(mutant.used[i].role), wholes[w].name);
			mutant_judge(&mutant, name, true, true);
			mutant_heal(&mutant);
		}
	}
	mutant_close(&mutant);
}

/* One by one, so that they can run side by side. */
#define WHOLE_BLOCKS(id, fixture, snapshot)             \
	Test(damage, whole_blocks_##id)                 \
	{                                               \
		damage_whole_blocks(fixture, snapshot); \
	}

WHOLE_BLOCKS(hello, "hello", false)
WHOLE_BLOCKS(clean_digested, "clean-digested", false)
WHOLE_BLOCKS(clean_undigested, "clean-undigested", false)
WHOLE_BLOCKS(empty, "empty", false)
WHOLE_BLOCKS(fresh, "fresh", false)
WHOLE_BLOCKS(crash, "crash", false)
WHOLE_BLOCKS(crash_snap, "crash-snap", false)
WHOLE_BLOCKS(crash_snap_live, "crash-snap", true)
WHOLE_BLOCKS(suspended, "suspended", false)
WHOLE_BLOCKS(snap_live, "snap-live", false)
WHOLE_BLOCKS(snap_live_live, "snap-live", true)
WHOLE_BLOCKS(snapdrop, "snapdrop-2-with", false)
WHOLE_BLOCKS(snapdrop_live, "snapdrop-2-with", true)
WHOLE_BLOCKS(resize_grow, "resize-grow", false)
WHOLE_BLOCKS(resize_shrink, "resize-shrink", false)
WHOLE_BLOCKS(bs24, "bs24", false)
WHOLE_BLOCKS(discard, "discard", false)

/* Damage to single fields, under a right checksum. */

enum consequence {
	NAMED,	 /* era_check fails, and names the block */
	NOTICED, /* it fails, perhaps for another block that this one led to */
	COUNTED, /* it fails, for the counts at least; nobody knows those of a snapshot alone */
	ANY,	 /* some values are as good as the one that was there */
};

struct field {
	const char *name;
	size_t offset, size;
	enum consequence consequence;
};

static const struct field superblock_fields[] = {
	{"flags", SB_FLAGS, 4, ANY},
	{"blocknr", SB_BLOCKNR, 8, NAMED},
	{"magic", SB_MAGIC, 8, NAMED},
	{"version", SB_VERSION, 4, NAMED},
	{"space map nr_blocks", SB_MAP_NR_BLOCKS, 8, ANY},
	{"space map nr_allocated", SB_MAP_NR_ALLOCATED, 8, ANY},
	{"bitmap_root", SB_MAP_BITMAP_ROOT, 8, ANY},
	{"ref_count_root", SB_MAP_REF_COUNT_ROOT, 8, ANY},
	{"data_block_size", SB_DATA_BLOCK_SIZE, 4, ANY},
	{"metadata_block_size", SB_METADATA_BLOCK_SIZE, 4, NAMED},
	{"nr_blocks", SB_NR_BLOCKS, 4, ANY},
	{"current_era", SB_CURRENT_ERA, 4, ANY},
	{"current_writeset.nr_bits", SB_WRITESET_BITS, 4, ANY},
	{"current_writeset.root", SB_WRITESET_ROOT, 8, ANY},
	{"writeset_tree_root", SB_WRITESET_TREE, 8, ANY},
	{"era_array_root", SB_ERA_ARRAY, 8, ANY},
	{"metadata_snap", SB_SNAPSHOT, 8, ANY},
	{"uuid", SB_UUID, 8, ANY},
	{NULL, 0, 0, 0},
};

static const struct field node_fields[] = {
	{"flags", NODE_FLAGS, 4, NOTICED},
	{"blocknr", NODE_BLOCKNR, 8, NAMED},
	{"nr_entries", NODE_NR_ENTRIES, 4, COUNTED},
	{"max_entries", NODE_MAX_ENTRIES, 4, NAMED},
	{"value_size", NODE_VALUE_SIZE, 4, NAMED},
	{"padding", NODE_PADDING, 4, ANY},
	{"first key", NODE_KEYS, 8, ANY},
	{"second key", NODE_KEYS + 8, 8, ANY},
	{"first writeset's nr_bits", NODE_KEYS + 8 * 201, 4, ANY},
	{"first writeset's root", NODE_KEYS + 8 * 201 + 4, 8, ANY},
	{"second writeset's root", NODE_KEYS + 8 * 201 + 16, 8, ANY},
	{"first pointer", NODE_KEYS + 8 * 252, 8, ANY},
	{"second pointer", NODE_KEYS + 8 * 252 + 8, 8, ANY},
	{"first exact count", NODE_KEYS + 8 * 336, 4, ANY},
	{NULL, 0, 0, 0},
};

static const struct field array_fields[] = {
	{"max_entries", ARRAY_MAX_ENTRIES, 4, NAMED}, {"nr_entries", ARRAY_NR_ENTRIES, 4, NAMED},
	{"value_size", ARRAY_VALUE_SIZE, 4, NAMED},   {"blocknr", ARRAY_BLOCKNR, 8, NAMED},
	{"first value", ARRAY_VALUES, 4, ANY},	      {"second value", ARRAY_VALUES + 4, 4, ANY},
	{"last value", IMAGE_BLOCK - 8, 8, ANY},      {NULL, 0, 0, 0},
};

static const struct field index_fields[] = {
	{"blocknr", INDEX_BLOCKNR, 8, NAMED},
	{"padding", 4, 4, ANY},
	{"first bitmap", INDEX_ENTRIES, 8, COUNTED},
	{"nr_free", INDEX_ENTRIES + 8, 4, ANY},
	{"none_free_before", INDEX_ENTRIES + 12, 4, ANY},
	{"second bitmap", INDEX_ENTRIES + 16, 8, ANY},
	{NULL, 0, 0, 0},
};

static const struct field bitmap_fields[] = {
	{"blocknr", BITMAP_BLOCKNR, 8, NAMED},
	{"unused", 4, 4, ANY},
	/* A value that differs is a wrong count of some block, if all of them exist. */
	{"first counts", BITMAP_COUNTS, 1, COUNTED},
	{"more counts", BITMAP_COUNTS + 3, 4, COUNTED},
	{"last counts", IMAGE_BLOCK - 1, 1, ANY},
	{NULL, 0, 0, 0},
};

static const struct field *const fields_of[NR_KINDS] = {
	[KIND_SUPERBLOCK] = superblock_fields, [KIND_NODE] = node_fields,
	[KIND_ARRAY] = array_fields,	       [KIND_INDEX] = index_fields,
	[KIND_BITMAP] = bitmap_fields,
};

enum { NR_VALUES = 7 };

static uint64_t value_of(unsigned i, uint64_t now, size_t size)
{
	const uint64_t values[NR_VALUES] = {
		0, 1, now + 1, now - 1, UINT64_MAX, now ^ UINT64_C(1) << (size * 8 - 1), now ^ 0x10,
	};

	return size == 8 ? values[i] : values[i] & ((UINT64_C(1) << size * 8) - 1);
}

static void damage_field(struct mutant *mutant, const struct used_block *used,
			 const struct field *field, unsigned i)
{
	uint64_t now = image_get(&mutant->sound, used->block, field->offset, field->size);
	uint64_t value = value_of(i, now, field->size);
	bool noticed =
		field->consequence == NAMED || (field->consequence == NOTICED && !mutant->snapshot);
	char name[160];

	if (value == now)
		return;
	mutant_touch(mutant, used->block);
	image_poke(&mutant->image, used->block, field->offset, field->size, value);
	snprintf(name, sizeof(name), "block %llu, %s: %s: %llu becomes %llu",
		 (unsigned long long)used->block, image_role_name(used->role), field->name,
		 (unsigned long long)now, (unsigned long long)value);
	mutant_judge(mutant, name, noticed, field->consequence == NAMED);
	mutant_heal(mutant);
}

/* Of many blocks of a role, one behind the other, those in the middle are all alike. */
static bool alike(const struct mutant *mutant, size_t i)
{
	const struct used_block *used = mutant->used + i;

	return i >= 2 && i + 1 < mutant->nr_used && used[-2].role == used->role &&
	       used[-1].role == used->role && used[1].role == used->role;
}

static void damage_fields(const char *fixture, bool snapshot)
{
	struct mutant mutant;
	size_t nth = 0;

	mutant_open(&mutant, fixture, snapshot);
	/* A live superblock that is damaged is read again for a while, which takes too long here. */
	for (size_t u = snapshot; u < mutant.nr_used; u++) {
		const struct used_block *used = &mutant.used[u];
		const struct field *field = fields_of[image_role_kind(used->role)];

		for (; field->name && !alike(&mutant, u); field++)
			for (unsigned i = 0; i < NR_VALUES; i++)
				if (!left_out(nth++))
					damage_field(&mutant, used, field, i);
	}
	mutant_close(&mutant);
}

#define FIELDS(id, fixture, snapshot)             \
	Test(damage, fields_##id)                 \
	{                                         \
		damage_fields(fixture, snapshot); \
	}

FIELDS(hello, "hello", false)
FIELDS(clean_undigested, "clean-undigested", false)
FIELDS(fresh, "fresh", false)
FIELDS(crash, "crash", false)
FIELDS(crash_snap, "crash-snap", false)
FIELDS(snap_live_live, "snap-live", true)
FIELDS(resize_grow, "resize-grow", false)
FIELDS(resize_shrink, "resize-shrink", false)
