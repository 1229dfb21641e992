/* SPDX-License-Identifier: MIT */
/* Superblocks: every field there and back, and every value that must not be. */
#include "era/metadata.h"
#include "era/superblock.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "tests/support/device.h"

#include <criterion/criterion.h>
#include <string.h>

#define NR_BLOCKS 1000 /* of the device */

static struct superblock sound(void)
{
	return (struct superblock){
		.flags = SUPERBLOCK_FLAG_CLEAN,
		.info = {.uuid = "a uuid",
			 .data_block_size = 24,
			 .nr_blocks = 70000,
			 .current_era = 0xfffffff0},
		.space_map = {1000, 77, 11, 12},
		.writeset_bits = 70001,
		.writeset_root = 13,
		.writeset_tree_root = 14,
		.era_array_root = 999,
		.metadata_snap = 15,
	};
}

/* decode() of what encode() made, and some bytes changed. */
static bool decode(const uint8_t *block, bool snapshot, struct superblock *back, const char **what)
{
	struct damage damage;
	bool good = superblock_decode(block, 0, NR_BLOCKS, snapshot, back, &damage);

	*what = damage.what;
	cr_expect_eq(good, !damage.what);
	return good;
}

Test(superblock, every_field_there_and_back)
{
	struct superblock sb = sound(), back;
	uint8_t block[METADATA_BLOCK_SIZE];
	const char *what;

	superblock_encode(&sb, block);
	cr_assert(decode(block, false, &back, &what), "%s", what);
	cr_expect_eq(back.flags, sb.flags);
	cr_expect(!memcmp(&back.info, &sb.info, sizeof(sb.info)));
	cr_expect(!memcmp(&back.space_map, &sb.space_map, sizeof(sb.space_map)));
	cr_expect_eq(back.writeset_bits, sb.writeset_bits);
	cr_expect_eq(back.writeset_root, sb.writeset_root);
	cr_expect_eq(back.writeset_tree_root, sb.writeset_tree_root);
	cr_expect_eq(back.era_array_root, sb.era_array_root);
	cr_expect_eq(back.metadata_snap, sb.metadata_snap);
}

/* By offset, as the format has them. */
Test(superblock, layout)
{
	struct superblock sb = sound();
	uint8_t block[METADATA_BLOCK_SIZE];

	superblock_encode(&sb, block);
	cr_expect_eq(get_le32(block + 4), 1);
	cr_expect_eq(get_le64(block + 8), 0);
	cr_expect_str_eq((char *)block + 16, "a uuid");
	cr_expect_eq(get_le64(block + 32), 2126579579);
	cr_expect_eq(get_le32(block + 40), 1);
	cr_expect_eq(get_le64(block + 44), 1000);
	cr_expect_eq(get_le32(block + 172), 24);
	cr_expect_eq(get_le32(block + 176), 8);
	cr_expect_eq(get_le32(block + 180), 70000);
	cr_expect_eq(get_le32(block + 184), 0xfffffff0);
	cr_expect_eq(get_le32(block + 188), 70001);
	cr_expect_eq(get_le64(block + 192), 13);
	cr_expect_eq(get_le64(block + 200), 14);
	cr_expect_eq(get_le64(block + 208), 999);
	cr_expect_eq(get_le64(block + 216), 15);
	for (size_t i = 224; i < sizeof(block); i++)
		cr_assert_eq(block[i], 0);
}

struct wrong {
	size_t offset, size;
	uint64_t value;
	bool live, snapshot; /* refused as such */
	const char *what;
};

Test(superblock, impossible_values)
{
	static const struct wrong wrongs[] = {
		{32, 8, 2126579578, true, true, "wrong magic number"},
		{40, 4, 2, true, true, "unknown version"},
		{176, 4, 16, true, true, "wrong metadata block size"},
		{172, 4, 0, true, true, "data block size is not a multiple of 8 sectors"},
		{172, 4, 12, true, true, "data block size is not a multiple of 8 sectors"},
		{180, 4, 0x80000000, true, true, "more data blocks than the format allows"},
		{180, 4, NR_BLOCKS * 1018 + 1, true, true,
		 "more data blocks than the device can track"},
		{200, 8, 0, true, true, "writeset tree root outside the device"},
		{200, 8, NR_BLOCKS, true, true, "writeset tree root outside the device"},
		{208, 8, UINT64_MAX, true, true, "era array root outside the device"},
		{188, 4, UINT32_MAX, true, false,
		 "a larger current writeset than the device can hold"},
		{192, 8, NR_BLOCKS, true, false, "current writeset root outside the device"},
		{216, 8, NR_BLOCKS, true, true, "metadata snapshot outside the device"},
		{44, 8, NR_BLOCKS + 1, true, false,
		 "metadata device truncated: smaller than its space map"},
		{44, 8, METADATA_MAX_BLOCKS + 1, true, false,
		 "space map larger than the format allows"},
		{60, 8, 0, true, false, "space map root outside the device"},
		{68, 8, NR_BLOCKS, true, false, "reference count tree root outside the device"},
		{216, 8, 5, false, true, "a metadata snapshot that names a metadata snapshot"},
	};

	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++)
		for (int snapshot = 0; snapshot < 2; snapshot++) {
			bool bad = snapshot ? wrongs[i].snapshot : wrongs[i].live;
			struct superblock sb = sound(), back;
			uint8_t block[METADATA_BLOCK_SIZE];
			const char *what;

			sb.metadata_snap = 0;
			superblock_encode(&sb, block);
			memcpy(block + wrongs[i].offset, &(uint64_t){htole64(wrongs[i].value)},
			       wrongs[i].size);
			block_seal(block, BLOCK_SUPERBLOCK, 0);
			cr_expect_eq(decode(block, snapshot, &back, &what), !bad, "%s: %s",
				     wrongs[i].what, what);
			/* In a snapshot's superblock the same can be wrong for another reason. */
			if (bad && what && !(snapshot && wrongs[i].live))
				cr_expect_str_eq(what, wrongs[i].what);
		}
}

Test(superblock, uuid)
{
	static const struct {
		const char *uuid;
		bool is_text;
	} cases[] = {
		{"", true},
		{"sixteen bytes !!", true},
		{"tab\tinside", false},
		{"\xc3\xa4", false},
		{"a\0b", false},
		{"\x7f", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream_info info = {.nr_blocks = 0};

		memcpy(info.uuid, cases[i].uuid, i == 4 ? 3 : strlen(cases[i].uuid));
		cr_expect_eq(superblock_uuid_is_text(&info), cases[i].is_text, "case %zu", i);
	}
}

Test(superblock, what_it_is_instead)
{
	static uint8_t block[METADATA_BLOCK_SIZE];

	cr_expect_str_eq(superblock_mistaken(block), "all zeroes: not formatted");
	block[100] = 1;
	cr_expect_null(superblock_mistaken(block));
	put_le64(block + 32, 27022010);
	cr_expect_str_eq(superblock_mistaken(block),
			 "metadata of another device-mapper target: thin");
	memset(block, ' ', sizeof(block));
	cr_expect_null(superblock_mistaken(block));
	block[4000] = '<';
	cr_expect_not_null(superblock_mistaken(block));
}

/* A snapshot that is read: still there, taken anew, dropped. */

static void put_superblock(struct device *device, uint64_t block, const struct superblock *sb)
{
	superblock_encode(sb, device_block(device, block));
	block_seal(device_block(device, block), BLOCK_SUPERBLOCK, block);
}

Test(metadata, a_snapshot_must_still_be_held)
{
	struct superblock live = sound(), snapshot = sound();
	struct metadata *metadata;
	struct device device;

	device_open(&device, NR_BLOCKS);
	snapshot.metadata_snap = 0;
	put_superblock(&device, 0, &live);
	put_superblock(&device, live.metadata_snap, &snapshot);
	cr_assert_eq(metadata_open(device.io, true, NULL, &metadata), PD_OK);
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_OK);

	/* The target goes on. */
	live.info.current_era++;
	put_superblock(&device, 0, &live);
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_OK);

	/* Another snapshot, in the same place. */
	snapshot.info.current_era++;
	put_superblock(&device, live.metadata_snap, &snapshot);
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_ERR_BUSY);
	snapshot.info.current_era--;
	put_superblock(&device, live.metadata_snap, &snapshot);
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_OK);

	live.metadata_snap = 0;
	put_superblock(&device, 0, &live);
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_ERR_BUSY);
	device_block(&device, 0)[4095] ^= 1;
	cr_expect_eq(metadata_still_held(metadata, NULL), PD_ERR_BUSY);
	metadata_close(metadata);
	device_close(&device);
}

Test(metadata, a_snapshot_must_fit_the_live_superblock)
{
	struct superblock live = sound();
	struct metadata *metadata;
	struct device device;

	device_open(&device, NR_BLOCKS);
	put_superblock(&device, 0, &live);
	cr_expect_eq(metadata_open(device.io, true, NULL, &metadata), PD_ERR_CORRUPT);
	for (int i = 0; i < 3; i++) {
		struct superblock snapshot = sound();

		snapshot.metadata_snap = 0;
		snapshot.info.current_era += i == 1;
		snapshot.info.data_block_size += i == 2 ? 8 : 0;
		put_superblock(&device, live.metadata_snap, &snapshot);
		cr_expect_eq(metadata_open(device.io, true, NULL, &metadata),
			     i ? PD_ERR_CORRUPT : PD_OK, "case %d", i);
		if (!i)
			metadata_close(metadata);
	}
	live.metadata_snap = 0;
	put_superblock(&device, 0, &live);
	cr_expect_eq(metadata_open(device.io, true, NULL, &metadata), PD_ERR_USAGE);
	device_close(&device);
}
