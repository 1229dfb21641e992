/* SPDX-License-Identifier: MIT */
/* Checksums: CRC-32C against its published check value and a bit-by-bit one; seals of all types. */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/le.h"

#include <criterion/criterion.h>
#include <string.h>

static uint32_t crc32c_by_bits(uint32_t crc, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length * 8; i++) {
		unsigned bit = (data[i / 8] >> (i % 8) & 1) ^ (crc & 1);

		crc = (crc >> 1) ^ (bit ? 0x82f63b78 : 0);
	}
	return crc;
}

static void fill(uint8_t *data, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(rand_r(&seed) >> 8);
}

/* 0xe3069283 is the check value of CRC-32C (iSCSI) over these digits, inverted before and after. */
Test(checksum, published_check_value)
{
	cr_assert_eq(~crc32c(UINT32_MAX, "123456789", 9), 0xe3069283);
}

Test(checksum, every_length_and_alignment)
{
	uint8_t data[128];

	fill(data, sizeof(data), 1);
	for (size_t begin = 0; begin < 16; begin++)
		for (size_t length = 0; length <= sizeof(data) - begin; length++)
			cr_assert_eq(crc32c(0x1234567, data + begin, length),
				     crc32c_by_bits(0x1234567, data + begin, length),
				     "from %zu, %zu bytes", begin, length);
}

static void expect_only(const uint8_t *block, enum block_type type, uint64_t number)
{
	for (unsigned other = 0; other < NR_BLOCK_TYPES; other++) {
		const char *what = block_verify(block, other, number);

		if (other == type)
			cr_expect_null(what, "type %u: %s", type, what);
		else
			cr_expect(what && !strncmp(what, "is a", 4), "%u as %u: %s", type, other,
				  what);
	}
}

Test(checksum, a_sealed_block_is_of_its_type_and_place_only)
{
	static const size_t number_at[NR_BLOCK_TYPES] = {8, 8, 16, 8, 8};
	uint8_t block[METADATA_BLOCK_SIZE];

	for (unsigned type = 0; type < NR_BLOCK_TYPES; type++) {
		uint64_t number = UINT64_C(0x100000000) + type;

		fill(block, sizeof(block), type);
		block_seal(block, type, number);
		cr_expect_eq(get_le64(block + number_at[type]), number);
		expect_only(block, type, number);
		cr_expect_str_eq(block_verify(block, type, number + 1),
				 "belongs in another place, by its own block number");
	}
}

/* As the format has it: seed of ones, bytes 4 to 4095, no final inversion, XORed with the salt. */
Test(checksum, the_salts)
{
	static const uint32_t salts[NR_BLOCK_TYPES] = {146538381, 121107, 595846735, 160478,
						       240779};
	uint8_t block[METADATA_BLOCK_SIZE];

	for (unsigned type = 0; type < NR_BLOCK_TYPES; type++) {
		fill(block, sizeof(block), type);
		block_seal(block, type, 7);
		cr_expect_eq(get_le32(block) ^ salts[type],
			     crc32c_by_bits(UINT32_MAX, block + 4, sizeof(block) - 4));
	}
}

Test(checksum, the_salts_of_many_blocks)
{
	static uint8_t blocks[NR_BLOCK_TYPES][METADATA_BLOCK_SIZE];
	uint32_t salts[NR_BLOCK_TYPES];

	for (unsigned type = 0; type < NR_BLOCK_TYPES; type++) {
		fill(blocks[type], METADATA_BLOCK_SIZE, type);
		block_seal(blocks[type], type, type);
	}
	block_salts(blocks, NR_BLOCK_TYPES, salts);
	for (unsigned i = 0; i < NR_BLOCK_TYPES; i++)
		for (unsigned type = 0; type < NR_BLOCK_TYPES; type++)
			cr_expect_eq(block_verify_salt(blocks[i], salts[i], type, i),
				     block_verify(blocks[i], type, i));
}

Test(checksum, every_flipped_bit_shows)
{
	uint8_t block[METADATA_BLOCK_SIZE];

	fill(block, sizeof(block), 3);
	block_seal(block, BLOCK_ARRAY, 3);
	for (size_t bit = 0; bit < sizeof(block) * 8; bit++) {
		block[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_not_null(block_verify(block, BLOCK_ARRAY, 3), "bit %zu", bit);
		block[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
