/* SPDX-License-Identifier: MIT */
/*
 * A metadata image as bytes in memory, for tests that damage it or build a nasty one.
 *
 * Written from the format's description alone and without the project's own headers, so that a
 * mistake in the library is not repeated here. Everything is trusted: this is for images that were
 * sound when they were read.
 */
#ifndef TESTS_SUPPORT_IMAGE_H
#define TESTS_SUPPORT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_BLOCK 4096

/* Types of block, which their checksums' salts tell apart. */
enum kind { KIND_NONE, KIND_SUPERBLOCK, KIND_NODE, KIND_ARRAY, KIND_INDEX, KIND_BITMAP, NR_KINDS };

/* What a block is there for. */
enum role {
	ROLE_SUPERBLOCK,
	ROLE_SNAPSHOT,
	ROLE_WRITESET_INTERNAL,
	ROLE_WRITESET_LEAF,
	ROLE_BITSET_NODE,
	ROLE_BITSET_BLOCK,
	ROLE_ERA_NODE,
	ROLE_ERA_BLOCK,
	ROLE_INDEX,
	ROLE_BITMAP,
	ROLE_REF_COUNT_NODE,
	NR_ROLES
};

/* Offsets in bytes of the fields that tests touch. */
enum {
	SB_FLAGS = 4,
	SB_BLOCKNR = 8,
	SB_UUID = 16,
	SB_MAGIC = 32,
	SB_VERSION = 40,
	SB_MAP_NR_BLOCKS = 44,
	SB_MAP_NR_ALLOCATED = 52,
	SB_MAP_BITMAP_ROOT = 60,
	SB_MAP_REF_COUNT_ROOT = 68,
	SB_DATA_BLOCK_SIZE = 172,
	SB_METADATA_BLOCK_SIZE = 176,
	SB_NR_BLOCKS = 180,
	SB_CURRENT_ERA = 184,
	SB_WRITESET_BITS = 188,
	SB_WRITESET_ROOT = 192,
	SB_WRITESET_TREE = 200,
	SB_ERA_ARRAY = 208,
	SB_SNAPSHOT = 216,

	NODE_FLAGS = 4,
	NODE_BLOCKNR = 8,
	NODE_NR_ENTRIES = 16,
	NODE_MAX_ENTRIES = 20,
	NODE_VALUE_SIZE = 24,
	NODE_PADDING = 28,
	NODE_KEYS = 32,

	ARRAY_MAX_ENTRIES = 4,
	ARRAY_NR_ENTRIES = 8,
	ARRAY_VALUE_SIZE = 12,
	ARRAY_BLOCKNR = 16,
	ARRAY_VALUES = 24,

	INDEX_BLOCKNR = 8,
	INDEX_ENTRIES = 16, /* 16 bytes each: block, nr_free, none_free_before */

	BITMAP_BLOCKNR = 8,
	BITMAP_COUNTS = 16,
	BITMAP_NR_COUNTS = 16320,
};

struct image {
	uint8_t *bytes;
	uint64_t nr_blocks;
};

struct used_block {
	uint64_t block;
	enum role role;
};

/* All zeroes; image_free() when done. Out of memory ends the test. */
void image_init(struct image *image, uint64_t nr_blocks);
bool image_load(struct image *image, const char *path);
void image_free(struct image *image);

/* A sparse file with the image's content. */
bool image_save(const struct image *image, const char *path);

uint8_t *image_block(const struct image *image, uint64_t block);
bool image_is_zero(const uint8_t *block);

/* Little-endian fields of 1, 2, 4 or 8 bytes, at an offset in a block. */
uint64_t image_get(const struct image *image, uint64_t block, size_t offset, size_t size);
void image_set(const struct image *image, uint64_t block, size_t offset, size_t size,
	       uint64_t value);

uint32_t image_checksum(const uint8_t *block, enum kind kind);

/* The kind whose checksum the block has; KIND_NONE: none fits. */
enum kind image_kind(const uint8_t *block);

/* Puts the checksum right; nothing else is changed. */
void image_reseal(const struct image *image, uint64_t block, enum kind kind);

/* Sets a field and puts the checksum of the kind that the block is of right. */
void image_poke(const struct image *image, uint64_t block, size_t offset, size_t size,
		uint64_t value);

/* Where a node's values begin: after the keys that it has room for. */
size_t image_node_values(const struct image *image, uint64_t block);

/*
 * The blocks that may be followed from the superblock, each once, in the order they are met: the
 * trees, the space map, and a held snapshot's superblock and trees; or, if only the snapshot is in
 * question, those and the superblock alone. *nr: how many. To be freed.
 */
struct used_block *image_used(const struct image *image, bool snapshot_only, size_t *nr);

const char *image_role_name(enum role role);
enum kind image_role_kind(enum role role);

#endif
