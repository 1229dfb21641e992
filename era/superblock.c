/* SPDX-License-Identifier: MIT */
/* Reads, checks and writes superblocks. */
#include "era/superblock.h"
#include "persistent-data/array.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <string.h>

/* Offsets in bytes. */
#define SB_FLAGS 4
#define SB_UUID 16
#define SB_MAGIC 32
#define SB_VERSION 40
#define SB_SPACE_MAP 44
#define SB_DATA_BLOCK_SIZE 172
#define SB_METADATA_BLOCK_SIZE 176
#define SB_NR_BLOCKS 180
#define SB_CURRENT_ERA 184
#define SB_WRITESET_BITS 188
#define SB_WRITESET_ROOT 192
#define SB_WRITESET_TREE_ROOT 200
#define SB_ERA_ARRAY_ROOT 208
#define SB_METADATA_SNAP 216

#define ERA_MAGIC 2126579579
#define ERA_VERSION_ON_DISK 1
#define SECTOR_SIZE 512
#define METADATA_BLOCK_SECTORS (METADATA_BLOCK_SIZE / SECTOR_SIZE)
#define DATA_BLOCK_GRAIN 8 /* sectors */

static void decode_fields(const uint8_t *block, struct superblock *sb)
{
	sb->flags = get_le32(block + SB_FLAGS);
	memcpy(sb->info.uuid, block + SB_UUID, ERA_UUID_SIZE);
	sb->info.data_block_size = get_le32(block + SB_DATA_BLOCK_SIZE);
	sb->info.nr_blocks = get_le32(block + SB_NR_BLOCKS);
	sb->info.current_era = get_le32(block + SB_CURRENT_ERA);
	space_map_root_decode(block + SB_SPACE_MAP, &sb->space_map);
	sb->writeset_bits = get_le32(block + SB_WRITESET_BITS);
	sb->writeset_root = get_le64(block + SB_WRITESET_ROOT);
	sb->writeset_tree_root = get_le64(block + SB_WRITESET_TREE_ROOT);
	sb->era_array_root = get_le64(block + SB_ERA_ARRAY_ROOT);
	sb->metadata_snap = get_le64(block + SB_METADATA_SNAP);
}

static bool check_constants(const uint8_t *block, struct damage *damage)
{
	uint64_t magic = get_le64(block + SB_MAGIC);
	uint32_t version = get_le32(block + SB_VERSION);
	uint32_t block_size = get_le32(block + SB_METADATA_BLOCK_SIZE);

	if (magic != ERA_MAGIC)
		return damage_is_number(damage, "wrong magic number", magic, ERA_MAGIC);
	if (version != ERA_VERSION_ON_DISK)
		return damage_is_number(damage, "unknown version", version, ERA_VERSION_ON_DISK);
	if (block_size != METADATA_BLOCK_SECTORS)
		return damage_is_number(damage, "wrong metadata block size", block_size,
					METADATA_BLOCK_SECTORS);
	return true;
}

bool superblock_check_sizes(const struct stream_info *info, struct damage *damage)
{
	if (!info->data_block_size || info->data_block_size % DATA_BLOCK_GRAIN)
		return damage_is_number(damage, "data block size is not a multiple of 8 sectors",
					info->data_block_size, DATA_BLOCK_GRAIN);
	if (info->nr_blocks > ERA_MAX_DATA_BLOCKS)
		return damage_is_number(damage, "more data blocks than the format allows",
					info->nr_blocks, ERA_MAX_DATA_BLOCKS);
	return true;
}

/* What is allocated or looped over later is bounded here, by what the device can hold. */
static bool check_sizes(const struct superblock *sb, uint64_t nr_blocks, bool snapshot,
			struct damage *damage)
{
	uint64_t most = nr_blocks * array_max_entries(sizeof(uint32_t));
	uint64_t most_bits = nr_blocks * array_max_entries(sizeof(uint64_t)) * 64;

	if (!superblock_check_sizes(&sb->info, damage))
		return false;
	if (sb->info.nr_blocks > most)
		return damage_is_number(damage, "more data blocks than the device can track",
					sb->info.nr_blocks, most);
	if (!snapshot && sb->writeset_root && sb->writeset_bits > most_bits)
		return damage_is_number(damage,
					"a larger current writeset than the device can hold",
					sb->writeset_bits, most_bits);
	return true;
}

static bool check_root(uint64_t root, uint64_t nr_blocks, const char *what, struct damage *damage)
{
	if (root > SUPERBLOCK_BLOCK && root < nr_blocks)
		return true;
	return damage_is_number(damage, what, root, nr_blocks);
}

/* Comes first: on a truncated device anything else may seem to be wrong for it. */
static bool check_whole(const struct superblock *sb, uint64_t nr_blocks, struct damage *damage)
{
	const struct space_map_root *map = &sb->space_map;

	if (map->nr_blocks > METADATA_MAX_BLOCKS)
		return damage_is_number(damage, "space map larger than the format allows",
					map->nr_blocks, METADATA_MAX_BLOCKS);
	if (map->nr_blocks > nr_blocks)
		return damage_is_number(damage,
					"metadata device truncated: smaller than its space map",
					map->nr_blocks, nr_blocks);
	return true;
}

static bool check_live_roots(const struct superblock *sb, uint64_t nr_blocks, struct damage *damage)
{
	const struct space_map_root *map = &sb->space_map;

	return check_root(map->bitmap_root, nr_blocks, "space map root outside the device",
			  damage) &&
	       check_root(map->ref_count_root, nr_blocks,
			  "reference count tree root outside the device", damage) &&
	       (!sb->writeset_root ||
		check_root(sb->writeset_root, nr_blocks, "current writeset root outside the device",
			   damage)) &&
	       (!sb->metadata_snap || check_root(sb->metadata_snap, nr_blocks,
						 "metadata snapshot outside the device", damage));
}

static bool check_snapshot(const struct superblock *sb, struct damage *damage)
{
	if (!sb->metadata_snap)
		return true;
	return damage_is_number(damage, "a metadata snapshot that names a metadata snapshot",
				sb->metadata_snap, 0);
}

bool superblock_decode(const uint8_t *block, uint64_t number, uint64_t nr_blocks, bool snapshot,
		       struct superblock *sb, struct damage *damage)
{
	const char *what = block_verify(block, BLOCK_SUPERBLOCK, number);

	*damage = (struct damage){.block = number, .what = what, .error = PD_ERR_CORRUPT};
	if (what)
		return false;
	decode_fields(block, sb);
	return check_constants(block, damage) && (snapshot || check_whole(sb, nr_blocks, damage)) &&
	       check_sizes(sb, nr_blocks, snapshot, damage) &&
	       check_root(sb->writeset_tree_root, nr_blocks,
			  "writeset tree root outside the device", damage) &&
	       check_root(sb->era_array_root, nr_blocks, "era array root outside the device",
			  damage) &&
	       (snapshot ? check_snapshot(sb, damage) : check_live_roots(sb, nr_blocks, damage));
}

bool superblock_decode_loosely(const uint8_t *block, struct superblock *sb, struct damage *damage)
{
	const char *what = block_verify(block, BLOCK_SUPERBLOCK, SUPERBLOCK_BLOCK);

	*damage = (struct damage){.what = what, .error = PD_ERR_CORRUPT};
	if (what)
		return false;
	decode_fields(block, sb);
	return true;
}

bool superblock_has_our_version(const uint8_t *block)
{
	return get_le32(block + SB_VERSION) == ERA_VERSION_ON_DISK;
}

void superblock_encode(const struct superblock *sb, uint8_t *block)
{
	memset(block, 0, METADATA_BLOCK_SIZE);
	put_le32(block + SB_FLAGS, sb->flags);
	memcpy(block + SB_UUID, sb->info.uuid, ERA_UUID_SIZE);
	put_le64(block + SB_MAGIC, ERA_MAGIC);
	put_le32(block + SB_VERSION, ERA_VERSION_ON_DISK);
	space_map_root_encode(&sb->space_map, block + SB_SPACE_MAP);
	put_le32(block + SB_DATA_BLOCK_SIZE, sb->info.data_block_size);
	put_le32(block + SB_METADATA_BLOCK_SIZE, METADATA_BLOCK_SECTORS);
	put_le32(block + SB_NR_BLOCKS, sb->info.nr_blocks);
	put_le32(block + SB_CURRENT_ERA, sb->info.current_era);
	put_le32(block + SB_WRITESET_BITS, sb->writeset_bits);
	put_le64(block + SB_WRITESET_ROOT, sb->writeset_root);
	put_le64(block + SB_WRITESET_TREE_ROOT, sb->writeset_tree_root);
	put_le64(block + SB_ERA_ARRAY_ROOT, sb->era_array_root);
	put_le64(block + SB_METADATA_SNAP, sb->metadata_snap);
	block_seal(block, BLOCK_SUPERBLOCK, SUPERBLOCK_BLOCK);
}

bool superblock_uuid_is_text(const struct stream_info *info)
{
	unsigned i = 0;

	while (i < ERA_UUID_SIZE && info->uuid[i] >= 0x20 && info->uuid[i] < 0x7f)
		i++;
	while (i < ERA_UUID_SIZE && !info->uuid[i])
		i++;
	return i == ERA_UUID_SIZE;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What may follow '<', where XML begins. */
static bool begins_markup(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '?' || c == '!';
}

/*
 * Binary data can begin with '<' too, but hold control characters, or zeroes with something behind
 * them.
 */
static bool is_xml(const uint8_t *block)
{
	size_t length = strnlen((const char *)block, METADATA_BLOCK_SIZE);
	size_t begin = 0;

	for (size_t i = 0; i < length; i++)
		if (block[i] < ' ' && !is_space(block[i]))
			return false;
	for (size_t i = length; i < METADATA_BLOCK_SIZE; i++)
		if (block[i])
			return false;
	while (begin < length && is_space(block[begin]))
		begin++;
	return begin + 1 < length && block[begin] == '<' && begins_markup(block[begin + 1]);
}

const char *superblock_mistaken(const uint8_t *block)
{
	/*
	 * The magic numbers of dm-thin-metadata.c and dm-cache-metadata.c, at the same offset as
	 * ours. The kernel writes that of cache with a leading zero, which makes it octal.
	 */
	static const struct {
		uint64_t magic;
		const char *what;
	} others[] = {
		{27022010, "metadata of another device-mapper target: thin"},
		{06142003, "metadata of another device-mapper target: cache"},
	};

	if (block_is_zero(block))
		return "all zeroes: not formatted";
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (get_le64(block + SB_MAGIC) == others[i].magic)
			return others[i].what;
	return is_xml(block) ? "XML, where a metadata device is meant" : NULL;
}

bool superblock_is_likely(const uint8_t *text, size_t size)
{
	return size >= SB_MAGIC + 8 && get_le64(text + SB_MAGIC) == ERA_MAGIC;
}
