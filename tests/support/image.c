/* SPDX-License-Identifier: MIT */
/* Metadata images in memory: fields, checksums, and which blocks are in use for what. */
#include "tests/support/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *or_die(void *memory)
{
	if (!memory) {
		perror("tests/support/image.c");
		abort();
	}
	return memory;
}

/* Loading and saving. */

void image_init(struct image *image, uint64_t nr_blocks)
{
	image->bytes = or_die(calloc(nr_blocks ? nr_blocks : 1, IMAGE_BLOCK));
	image->nr_blocks = nr_blocks;
}

void image_free(struct image *image)
{
	free(image->bytes);
	image->bytes = NULL;
}

bool image_load(struct image *image, const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	bool ok = file && !fstat(fileno(file), &st);

	if (ok) {
		image_init(image, (uint64_t)st.st_size / IMAGE_BLOCK);
		ok = fread(image->bytes, IMAGE_BLOCK, image->nr_blocks, file) == image->nr_blocks;
	}
	if (file)
		fclose(file);
	return ok;
}

static bool save_blocks(const struct image *image, int fd)
{
	if (ftruncate(fd, (off_t)(image->nr_blocks * IMAGE_BLOCK)))
		return false;
	for (uint64_t i = 0; i < image->nr_blocks; i++) {
		const uint8_t *block = image_block(image, i);

		if (!image_is_zero(block) &&
		    pwrite(fd, block, IMAGE_BLOCK, (off_t)(i * IMAGE_BLOCK)) != IMAGE_BLOCK)
			return false;
	}
	return true;
}

bool image_save(const struct image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && save_blocks(image, fd);

	if (fd >= 0 && close(fd))
		ok = false;
	return ok;
}

/* Blocks and fields. */

uint8_t *image_block(const struct image *image, uint64_t block)
{
	if (block >= image->nr_blocks) {
		fprintf(stderr, "tests/support/image.c: no block %llu\n",
			(unsigned long long)block);
		abort();
	}
	return image->bytes + block * IMAGE_BLOCK;
}

bool image_is_zero(const uint8_t *block)
{
	return !block[0] && !memcmp(block, block + 1, IMAGE_BLOCK - 1);
}

uint64_t image_get(const struct image *image, uint64_t block, size_t offset, size_t size)
{
	const uint8_t *field = image_block(image, block) + offset;
	uint64_t value = 0;

	while (size--)
		value = value << 8 | field[size];
	return value;
}

void image_set(const struct image *image, uint64_t block, size_t offset, size_t size,
	       uint64_t value)
{
	uint8_t *field = image_block(image, block) + offset;

	for (size_t i = 0; i < size; i++)
		field[i] = (uint8_t)(value >> (8 * i));
}

/* Checksums. */

static const uint32_t salts[NR_KINDS] = {
	[KIND_SUPERBLOCK] = 146538381, [KIND_NODE] = 121107,   [KIND_ARRAY] = 595846735,
	[KIND_INDEX] = 160478,	       [KIND_BITMAP] = 240779,
};

static uint32_t crc_of_byte(uint32_t crc)
{
	for (int bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	return crc;
}

static uint32_t crc_of_block(const uint8_t *block)
{
	static uint32_t table[256];
	uint32_t crc = UINT32_MAX;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++)
			table[i] = crc_of_byte(i);
	for (size_t i = 4; i < IMAGE_BLOCK; i++)
		crc = crc >> 8 ^ table[(crc ^ block[i]) & 0xff];
	return crc;
}

uint32_t image_checksum(const uint8_t *block, enum kind kind)
{
	return crc_of_block(block) ^ salts[kind];
}

enum kind image_kind(const uint8_t *block)
{
	uint32_t stored = (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 |
			  (uint32_t)block[3] << 24;
	uint32_t salt = stored ^ crc_of_block(block);

	for (enum kind kind = KIND_SUPERBLOCK; kind < NR_KINDS; kind++)
		if (salts[kind] == salt)
			return kind;
	return KIND_NONE;
}

void image_reseal(const struct image *image, uint64_t block, enum kind kind)
{
	image_set(image, block, 0, 4, image_checksum(image_block(image, block), kind));
}

void image_poke(const struct image *image, uint64_t block, size_t offset, size_t size,
		uint64_t value)
{
	enum kind kind = image_kind(image_block(image, block));

	image_set(image, block, offset, size, value);
	if (kind != KIND_NONE)
		image_reseal(image, block, kind);
}

/* Which blocks are in use. */

struct finder {
	const struct image *image;
	struct used_block *used;
	size_t nr;
	bool *seen;
};

typedef void (*leaf_fn)(struct finder *finder, uint64_t leaf);

static bool note(struct finder *finder, uint64_t block, enum role role)
{
	if (block >= finder->image->nr_blocks || finder->seen[block])
		return false;
	finder->seen[block] = true;
	finder->used[finder->nr++] = (struct used_block){block, role};
	return true;
}

size_t image_node_values(const struct image *image, uint64_t block)
{
	return NODE_KEYS + 8 * image_get(image, block, NODE_MAX_ENTRIES, 4);
}

static uint64_t entry(const struct finder *finder, uint64_t node, size_t i, size_t size,
		      size_t offset, size_t field)
{
	return image_get(finder->image, node,
			 image_node_values(finder->image, node) + i * size + offset, field);
}

static void find_tree(struct finder *finder, uint64_t node, enum role internal, enum role leaf,
		      leaf_fn values)
{
	const struct image *image = finder->image;
	bool is_leaf = image_get(image, node, NODE_FLAGS, 4) == 2;
	size_t nr = image_get(image, node, NODE_NR_ENTRIES, 4);

	if (!note(finder, node, is_leaf ? leaf : internal))
		return;
	if (is_leaf && values)
		values(finder, node);
	for (size_t i = 0; !is_leaf && i < nr; i++)
		find_tree(finder, entry(finder, node, i, 8, 0, 8), internal, leaf, values);
}

static void find_array_blocks(struct finder *finder, uint64_t leaf, enum role role)
{
	size_t nr = image_get(finder->image, leaf, NODE_NR_ENTRIES, 4);

	for (size_t i = 0; i < nr; i++)
		note(finder, entry(finder, leaf, i, 8, 0, 8), role);
}

static void bitset_leaf(struct finder *finder, uint64_t leaf)
{
	find_array_blocks(finder, leaf, ROLE_BITSET_BLOCK);
}

static void era_leaf(struct finder *finder, uint64_t leaf)
{
	find_array_blocks(finder, leaf, ROLE_ERA_BLOCK);
}

static void find_bitset(struct finder *finder, uint64_t root)
{
	find_tree(finder, root, ROLE_BITSET_NODE, ROLE_BITSET_NODE, bitset_leaf);
}

static void writeset_leaf(struct finder *finder, uint64_t leaf)
{
	size_t nr = image_get(finder->image, leaf, NODE_NR_ENTRIES, 4);

	for (size_t i = 0; i < nr; i++)
		find_bitset(finder, entry(finder, leaf, i, 12, 4, 8));
}

static void find_trees(struct finder *finder, uint64_t superblock)
{
	find_tree(finder, image_get(finder->image, superblock, SB_WRITESET_TREE, 8),
		  ROLE_WRITESET_INTERNAL, ROLE_WRITESET_LEAF, writeset_leaf);
	find_tree(finder, image_get(finder->image, superblock, SB_ERA_ARRAY, 8), ROLE_ERA_NODE,
		  ROLE_ERA_NODE, era_leaf);
}

static void find_space_map(struct finder *finder)
{
	const struct image *image = finder->image;
	uint64_t index = image_get(image, 0, SB_MAP_BITMAP_ROOT, 8);
	uint64_t nr_blocks = image_get(image, 0, SB_MAP_NR_BLOCKS, 8);

	note(finder, index, ROLE_INDEX);
	for (uint64_t i = 0; i * BITMAP_NR_COUNTS < nr_blocks; i++)
		note(finder, image_get(image, index, INDEX_ENTRIES + i * 16, 8), ROLE_BITMAP);
	find_tree(finder, image_get(image, 0, SB_MAP_REF_COUNT_ROOT, 8), ROLE_REF_COUNT_NODE,
		  ROLE_REF_COUNT_NODE, NULL);
}

static void find_live(struct finder *finder)
{
	uint64_t current = image_get(finder->image, 0, SB_WRITESET_ROOT, 8);

	find_space_map(finder);
	find_trees(finder, 0);
	if (current)
		find_bitset(finder, current);
}

struct used_block *image_used(const struct image *image, bool snapshot_only, size_t *nr)
{
	struct finder finder = {.image = image};
	uint64_t snapshot = image_get(image, 0, SB_SNAPSHOT, 8);

	finder.used = or_die(calloc(image->nr_blocks, sizeof(*finder.used)));
	finder.seen = or_die(calloc(image->nr_blocks, sizeof(*finder.seen)));
	note(&finder, 0, ROLE_SUPERBLOCK);
	if (!snapshot_only)
		find_live(&finder);
	if (snapshot && note(&finder, snapshot, ROLE_SNAPSHOT))
		find_trees(&finder, snapshot);
	free(finder.seen);
	*nr = finder.nr;
	return finder.used;
}

static const struct {
	const char *name;
	enum kind kind;
} roles[NR_ROLES] = {
	[ROLE_SUPERBLOCK] = {"superblock", KIND_SUPERBLOCK},
	[ROLE_SNAPSHOT] = {"snapshot superblock", KIND_SUPERBLOCK},
	[ROLE_WRITESET_INTERNAL] = {"writeset tree internal node", KIND_NODE},
	[ROLE_WRITESET_LEAF] = {"writeset tree leaf", KIND_NODE},
	[ROLE_BITSET_NODE] = {"bitset node", KIND_NODE},
	[ROLE_BITSET_BLOCK] = {"bitset block", KIND_ARRAY},
	[ROLE_ERA_NODE] = {"era array node", KIND_NODE},
	[ROLE_ERA_BLOCK] = {"era array block", KIND_ARRAY},
	[ROLE_INDEX] = {"index block", KIND_INDEX},
	[ROLE_BITMAP] = {"bitmap block", KIND_BITMAP},
	[ROLE_REF_COUNT_NODE] = {"reference count node", KIND_NODE},
};

const char *image_role_name(enum role role)
{
	return roles[role].name;
}

enum kind image_role_kind(enum role role)
{
	return roles[role].kind;
}
