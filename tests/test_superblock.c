/* SPDX-License-Identifier: MIT */
/* Superblocks: every field in its place, and every value that is refused. */
#include "era/superblock.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <criterion/criterion.h>
#include <string.h>

#define NR_BLOCKS 100 /* of the metadata device */

/* A different number in each field, and every byte of it different from zero where it may be. */
static const struct superblock model = {
	.flags = 1,
	.info = {.uuid = "0123456789abcdef",
		 .data_block_size = 0x01020308,
		 .nr_blocks = 0x0000c123,
		 .current_era = 0x12345678},
	.space_map = {.nr_blocks = 99,
		      .nr_allocated = 0x1122334455667788,
		      .bitmap_root = 91,
		      .ref_count_root = 92},
	.writeset_bits = 0x00010203,
	.writeset_root = 93,
	.writeset_tree_root = 94,
	.era_array_root = 95,
	.metadata_snap = 96,
};

/* Where the format has each field. */
static const struct {
	size_t offset, size;
	uint64_t value;
} fields[] = {
	{4, 4, 1},
	{8, 8, 0},
	{32, 8, 2126579579},
	{40, 4, 1},
	{44, 8, 99},
	{52, 8, 0x1122334455667788},
	{60, 8, 91},
	{68, 8, 92},
	{172, 4, 0x01020308},
	{176, 4, 8},
	{180, 4, 0xc123},
	{184, 4, 0x12345678},
	{188, 4, 0x00010203},
	{192, 8, 93},
	{200, 8, 94},
	{208, 8, 95},
	{216, 8, 96},
};

static uint8_t block[METADATA_BLOCK_SIZE];

static void encode(void)
{
	superblock_encode(&model, block);
}

static void poke(size_t offset, size_t size, uint64_t value)
{
	if (size == 4)
		put_le32(block + offset, (uint32_t)value);
	else
		put_le64(block + offset, value);
	block_seal(block, BLOCK_SUPERBLOCK, 0);
}

Test(superblock, every_field_has_its_place)
{
	encode();
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		cr_expect_eq(fields[i].size == 4 ? get_le32(block + fields[i].offset)
						 : get_le64(block + fields[i].offset),
			     fields[i].value, "offset %zu", fields[i].offset);
	cr_expect_arr_eq(block + 16, "0123456789abcdef", 16);
	for (size_t i = 76; i < 172; i++)
		cr_expect_eq(block[i], 0, "offset %zu is not used", i);
	for (size_t i = 224; i < METADATA_BLOCK_SIZE; i++)
		cr_expect_eq(block[i], 0, "offset %zu is not used", i);
}

Test(superblock, what_is_encoded_is_decoded)
{
	struct superblock back;
	struct damage damage;

	memset(&back, 0, sizeof(back));
	encode();
	cr_assert(superblock_decode(block, 0, NR_BLOCKS, false, &back, &damage), "%s", damage.what);
	cr_expect_eq(back.flags, model.flags);
	cr_expect(!memcmp(&back.info, &model.info, sizeof(back.info)));
	cr_expect(!memcmp(&back.space_map, &model.space_map, sizeof(back.space_map)));
	cr_expect_eq(back.writeset_bits, model.writeset_bits);
	cr_expect_eq(back.writeset_root, model.writeset_root);
	cr_expect_eq(back.writeset_tree_root, model.writeset_tree_root);
	cr_expect_eq(back.era_array_root, model.era_array_root);
	cr_expect_eq(back.metadata_snap, model.metadata_snap);
}

/* Each value one past what may be, and right before it; phrase NULL: it may be. */
static const struct {
	size_t offset, size;
	uint64_t value;
	const char *live, *snapshot;
} values[] = {
	{32, 8, 2126579578, "magic", "magic"},
	{40, 4, 0, "version", "version"},
	{40, 4, 2, "version", "version"},
	{176, 4, 16, "metadata block size", "metadata block size"},
	{172, 4, 0, "multiple of 8", "multiple of 8"},
	{172, 4, 12, "multiple of 8", "multiple of 8"},
	{172, 4, 8, NULL, NULL},
	{180, 4, 0x7fffffff, "device can track", "device can track"},
	{180, 4, 0x80000000, "format allows", "format allows"},
	{180, 4, NR_BLOCKS * 1018, NULL, NULL},
	{180, 4, NR_BLOCKS * 1018 + 1, "device can track", "device can track"},
	{188, 4, NR_BLOCKS * 509 * 64, NULL, NULL},
	{188, 4, NR_BLOCKS * 509 * 64 + 1, "larger current writeset", NULL},
	{192, 8, 0, NULL, NULL},
	{192, 8, NR_BLOCKS - 1, NULL, NULL},
	{192, 8, NR_BLOCKS, "current writeset root", NULL},
	{192, 8, UINT64_MAX, "current writeset root", NULL},
	{200, 8, 0, "writeset tree root", "writeset tree root"},
	{200, 8, NR_BLOCKS, "writeset tree root", "writeset tree root"},
	{208, 8, 0, "era array root", "era array root"},
	{208, 8, NR_BLOCKS, "era array root", "era array root"},
	{216, 8, 0, NULL, NULL},
	{216, 8, NR_BLOCKS, "metadata snapshot outside", "names a metadata snapshot"},
	{44, 8, NR_BLOCKS, NULL, NULL},
	{44, 8, NR_BLOCKS + 1, "truncated", NULL},
	{44, 8, UINT64_MAX, "larger than the format", NULL},
	{60, 8, 0, "space map root", NULL},
	{60, 8, NR_BLOCKS, "space map root", NULL},
	{68, 8, 0, "reference count tree", NULL},
	{68, 8, NR_BLOCKS, "reference count tree", NULL},
};

static void expect_verdict(size_t i, bool snapshot, const char *phrase)
{
	struct superblock back;
	struct damage damage;
	bool sound = superblock_decode(block, 0, NR_BLOCKS, snapshot, &back, &damage);

	cr_expect_eq(sound, !phrase, "value %zu, snapshot %d: %s", i, snapshot, damage.what);
	if (phrase && !sound) {
		cr_expect(strstr(damage.what, phrase), "value %zu: %s", i, damage.what);
		cr_expect(damage.error == PD_ERR_CORRUPT && damage.block == 0);
	}
}

/* In a snapshot neither the current writeset nor the space map is looked at: they are not held for it. */
Test(superblock, every_value_within_its_limits)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		encode();
		poke(values[i].offset, values[i].size, values[i].value);
		expect_verdict(i, false, values[i].live);
		/* A snapshot names none. */
		if (values[i].offset != 216)
			poke(216, 8, 0);
		expect_verdict(i, true, values[i].snapshot);
	}
}

Test(superblock, must_be_whole_and_in_its_place)
{
	struct superblock back;
	struct damage damage;

	encode();
	cr_expect(!superblock_decode(block, 5, NR_BLOCKS, false, &back, &damage));
	cr_expect_eq(damage.block, 5);
	block[4000] ^= 1;
	cr_expect(!superblock_decode(block, 0, NR_BLOCKS, false, &back, &damage));
	cr_expect_str_eq(damage.what, "checksum does not match");
	encode();
	block_seal(block, BLOCK_BTREE_NODE, 0);
	cr_expect(!superblock_decode(block, 0, NR_BLOCKS, false, &back, &damage));
	cr_expect_str_eq(damage.what, "is a btree node, by its checksum");
}

Test(superblock, a_uuid_is_text)
{
	static const struct {
		const char *uuid; /* 16 bytes */
		bool text;
	} uuids[] = {
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", true},
		{"0123456789abcdef", true},
		{"a \"'<&~\0\0\0\0\0\0\0\0", true},
		{"\0a\0\0\0\0\0\0\0\0\0\0\0\0\0", false},
		{"a\n\0\0\0\0\0\0\0\0\0\0\0\0\0", false},
		{"a\x7f\0\0\0\0\0\0\0\0\0\0\0\0\0", false},
		{"a\xff\0\0\0\0\0\0\0\0\0\0\0\0\0", false},
		{"0123456789abcde\x1f", false},
	};

	for (size_t i = 0; i < sizeof(uuids) / sizeof(uuids[0]); i++) {
		struct stream_info info = {.nr_blocks = 0};

		memcpy(info.uuid, uuids[i].uuid, ERA_UUID_SIZE);
		cr_expect_eq(superblock_uuid_is_text(&info), uuids[i].text, "uuid %zu", i);
	}
}

static void expect_mistaken(const char *phrase)
{
	const char *what = superblock_mistaken(block);

	if (phrase)
		cr_expect(what && strstr(what, phrase), "%s, not %s", what, phrase);
	else
		cr_expect_null(what, "%s", what);
}

Test(superblock, what_it_is_mistaken_for)
{
	memset(block, 0, sizeof(block));
	expect_mistaken("not formatted");
	put_le64(block + 32, 27022010);
	expect_mistaken("thin");
	put_le64(block + 32, 06142003);
	expect_mistaken("cache");
	put_le64(block + 32, 6142003);
	expect_mistaken(NULL);
	memset(block, ' ', sizeof(block));
	expect_mistaken(NULL);
	memcpy(block + 5, "\n\t<superblock", 13);
	expect_mistaken("XML");
	encode();
	expect_mistaken(NULL);
	block[0] = '<';
	expect_mistaken(NULL);
	/* Damage can have left no zero for a while, and bits that are set are no text. */
	memset(block, '<', 40);
	expect_mistaken(NULL);
	memcpy(block, "<a", 2);
	expect_mistaken(NULL);
	memset(block + 40, 0, sizeof(block) - 40);
	expect_mistaken("XML");
	block[20] = 0x18;
	expect_mistaken(NULL);
	memset(block, 0xff, sizeof(block));
	memcpy(block, "<`", 2);
	expect_mistaken(NULL);
	memset(block, ' ', sizeof(block));
	block[sizeof(block) - 1] = '<';
	expect_mistaken(NULL);
}

Test(superblock, is_likely)
{
	encode();
	cr_expect(superblock_is_likely(block, 40));
	cr_expect(!superblock_is_likely(block, 39));
	block[33] ^= 1;
	cr_expect(!superblock_is_likely(block, sizeof(block)));
}
