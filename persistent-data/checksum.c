/* SPDX-License-Identifier: MIT */
/* Block types, their salts, and CRC-32C by the best means there is. */
#include "persistent-data/checksum.h"
#include "persistent-data/block_io.h"
#include "persistent-data/le.h"

#include <string.h>

#ifdef HAVE_ISAL

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
	/* The library's declaration lacks a const; it only reads. */
	return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)length, crc);
}

#else

static uint32_t crc32c_plain(uint32_t crc, const uint8_t *data, size_t length)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	while (length--) {
		crc ^= *data++;
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return crc;
}

#ifdef __x86_64__

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *data,
							       size_t length)
{
	uint64_t wide = crc;

	for (; length >= 8; length -= 8, data += 8)
		wide = __builtin_ia32_crc32di(wide, get_le64(data));
	return crc32c_plain((uint32_t)wide, data, length);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, length);
	return crc32c_plain(crc, data, length);
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
	return crc32c_plain(crc, data, length);
}

#endif
#endif

static const struct {
	uint32_t salt;
	uint32_t number_at;  /* offset of the block's own number */
	const char *instead; /* what to say where another type was wanted */
} types[NR_BLOCK_TYPES] = {
	[BLOCK_SUPERBLOCK] = {146538381, 8, "is a superblock, by its checksum"},
	[BLOCK_BTREE_NODE] = {121107, 8, "is a btree node, by its checksum"},
	[BLOCK_ARRAY] = {595846735, 16, "is an array block, by its checksum"},
	[BLOCK_INDEX] = {160478, 8, "is a space map index block, by its checksum"},
	[BLOCK_BITMAP] = {240779, 8, "is a space map bitmap block, by its checksum"},
};

static uint32_t block_crc(const uint8_t *block)
{
	return crc32c(0xffffffff, block + 4, METADATA_BLOCK_SIZE - 4);
}

void block_seal(void *block, enum block_type type, uint64_t number)
{
	put_le64((uint8_t *)block + types[type].number_at, number);
	put_le32(block, block_crc(block) ^ types[type].salt);
}

static uint32_t block_salt(const uint8_t *block)
{
	return block_crc(block) ^ get_le32(block);
}

void block_salts(const void *blocks, unsigned n, uint32_t *salts)
{
	for (unsigned i = 0; i < n; i++)
		salts[i] = block_salt((const uint8_t *)blocks + (size_t)i * METADATA_BLOCK_SIZE);
}

const char *block_verify(const void *block, enum block_type type, uint64_t number)
{
	return block_verify_salt(block, block_salt(block), type, number);
}

const char *block_verify_salt(const void *block, uint32_t salt, enum block_type type,
			      uint64_t number)
{
	if (salt != types[type].salt) {
		for (unsigned i = 0; i < NR_BLOCK_TYPES; i++)
			if (salt == types[i].salt)
				return types[i].instead;
		return "checksum does not match";
	}
	if (get_le64((const uint8_t *)block + types[type].number_at) != number)
		return "belongs in another place, by its own block number";
	return NULL;
}

bool block_is_zero(const void *block)
{
	const uint8_t *bytes = block;

	return !bytes[0] && !memcmp(bytes, bytes + 1, METADATA_BLOCK_SIZE - 1);
}

enum block_type block_type_of(const void *block, uint64_t number)
{
	uint32_t salt = block_salt(block);
	unsigned type = 0;

	while (type < NR_BLOCK_TYPES && salt != types[type].salt)
		type++;
	if (type < NR_BLOCK_TYPES &&
	    get_le64((const uint8_t *)block + types[type].number_at) != number)
		type = NR_BLOCK_TYPES;
	return (enum block_type)type;
}
