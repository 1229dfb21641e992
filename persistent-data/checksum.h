/* SPDX-License-Identifier: MIT */
/*
 * The types of metadata block, and what tells a block of one type from rubbish: a CRC-32C over bytes
 * 4..4095, seeded with ones, not inverted at the end, and XORed with the type's own salt; and the
 * block's own number, which must be that of the place it was read from.
 *
 * Source of the salts and offsets: the validators in Linux's drivers/md/dm-era-target.c and
 * drivers/md/persistent-data/{dm-btree-spine,dm-array,dm-space-map-common}.c.
 */
#ifndef PERSISTENT_DATA_CHECKSUM_H
#define PERSISTENT_DATA_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum block_type {
	BLOCK_SUPERBLOCK,
	BLOCK_BTREE_NODE,
	BLOCK_ARRAY,
	BLOCK_INDEX,
	BLOCK_BITMAP,
	NR_BLOCK_TYPES
};

/* CRC-32C (Castagnoli, reflected) without inversion before or after; crc is the value so far. */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

/* Puts the block's own number and then its checksum in. The rest must be final. */
void block_seal(void *block, enum block_type type, uint64_t number);

/* NULL if the block is sound and of that type and number; else what is wrong, a static text. */
const char *block_verify(const void *block, enum block_type type, uint64_t number);

/*
 * The same in two steps, of which the first takes the time: of each of n blocks the salt with which its
 * checksum would be right, whatever type that may be.
 */
void block_salts(const void *blocks, unsigned n, uint32_t *salts);
const char *block_verify_salt(const void *block, uint32_t salt, enum block_type type,
			      uint64_t number);

bool block_is_zero(const void *block);

/* The type of which the block is sound in that place; NR_BLOCK_TYPES: none. */
enum block_type block_type_of(const void *block, uint64_t number);

#endif
