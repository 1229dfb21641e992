/* SPDX-License-Identifier: MIT */
/* Arrays and bitsets on a memory device: built, walked, and damaged. */
#include "persistent-data/array_build.h"
#include "persistent-data/bitset.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "tests/support/device.h"

#include <criterion/criterion.h>

#define MAX_LOST 16

static uint32_t value_at(uint64_t i)
{
	return (uint32_t)(i * 2654435761u);
}

/* Entries are added in pieces of odd sizes. */
static uint64_t build(struct device *device, unsigned value_size, uint64_t nr)
{
	struct array_build array;
	uint64_t first = device->writer.next;
	uint64_t root;

	array_build_init(&array, &device->writer, value_size);
	for (uint64_t i = 0; i < nr;) {
		uint32_t small[777];
		uint64_t large[777];
		size_t n = nr - i < 777 ? (size_t)(nr - i) : 777;

		for (size_t j = 0; j < n; j++)
			large[j] = small[j] = value_at(i + j);
		cr_assert_eq(array_build_add(&array, value_size == 4 ? (void *)small : large, n),
			     PD_OK);
		i += n;
	}
	cr_assert_eq(array_build_finish(&array, &root), PD_OK);
	cr_expect_eq(device->writer.next - first, array_build_nr_blocks(nr, value_size));
	return root;
}

struct met {
	unsigned value_size;
	uint64_t nr;   /* entries handed on */
	uint64_t next; /* what comes next, handed on or lost */
	unsigned nr_lost;
	struct damage lost[MAX_LOST];
};

static int met_entries(void *context, uint64_t first, unsigned n, const uint8_t *values,
		       uint64_t block)
{
	struct met *met = context;

	(void)block;
	cr_expect_eq(first, met->next);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(get_le32(values + (size_t)i * met->value_size), value_at(first + i));
	met->nr += n;
	met->next = first + n;
	return PD_OK;
}

static int met_damage(void *context, const struct damage *damage)
{
	struct met *met = context;

	cr_assert_lt(met->nr_lost, MAX_LOST);
	met->lost[met->nr_lost++] = *damage;
	if (damage->begin < damage->end) {
		cr_expect_eq(damage->begin, met->next);
		met->next = damage->end;
	}
	return PD_OK;
}

static struct met walk(struct device *device, uint64_t root, unsigned value_size, uint64_t nr)
{
	struct met met = {.value_size = value_size};
	struct array array = {.root = root, .value_size = value_size, .nr_entries = nr};
	struct array_visitor visitor = {&met, met_entries, met_damage};

	device_read_back(device);
	cr_expect_eq(array_walk(&device->reader, &array, &visitor), PD_OK);
	cr_expect_eq(met.next, nr, "all entries are handed on or lost");
	return met;
}

Test(array, entries_of_a_block)
{
	cr_expect_eq(array_max_entries(4), 1018);
	cr_expect_eq(array_max_entries(8), 509);
	cr_expect_eq(array_nr_blocks(0, 4), 0);
	cr_expect_eq(array_nr_blocks(1018, 4), 1);
	cr_expect_eq(array_nr_blocks(1019, 4), 2);
}

Test(array, what_is_built_is_walked)
{
	static const uint64_t numbers[] = {0,	 1,    508,	  509,		 510,	1017,
					   1018, 1019, 252 * 509, 252 * 509 + 1, 300000};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		for (unsigned size = 4; size <= 8; size += 4) {
			struct device device;
			struct met met;

			device_open(&device, 700);
			met = walk(&device, build(&device, size, numbers[i]), size, numbers[i]);
			cr_expect_eq(met.nr_lost, 0);
			device_close(&device);
		}
}

/* 4000 entries in array blocks 1 to 4, below a leaf in block 5. */
#define NR 4000
#define LEAF 5

static void seal_array(struct device *device, uint64_t block)
{
	block_seal(device_block(device, block), BLOCK_ARRAY, block);
}

static void spoil_block(struct device *device)
{
	device_block(device, 2)[2000] ^= 4;
}

static void spoil_value_size(struct device *device)
{
	put_le32(device_block(device, 2) + ARRAY_VALUE_SIZE, 8);
	seal_array(device, 2);
}

static void spoil_max_entries(struct device *device)
{
	put_le32(device_block(device, 2) + ARRAY_MAX_ENTRIES, 509);
	seal_array(device, 2);
}

static void spoil_nr_entries(struct device *device)
{
	put_le32(device_block(device, 2) + ARRAY_NR_ENTRIES, 1017);
	seal_array(device, 2);
}

static void share(struct device *device)
{
	put_le64(device_block(device, LEAF) + NODE_KEYS + 8 * 252 + 8, 1);
	block_seal(device_block(device, LEAF), BLOCK_BTREE_NODE, LEAF);
}

/* The leaf skips the second block: a hole. */
static void skip(struct device *device)
{
	uint8_t *leaf = device_block(device, LEAF);

	for (unsigned i = 1; i < 3; i++) {
		put_le64(leaf + NODE_KEYS + 8 * i, i + 1);
		put_le64(leaf + NODE_KEYS + 8 * (252 + i), i + 2);
	}
	put_le32(leaf + NODE_NR_ENTRIES, 3);
	block_seal(leaf, BLOCK_BTREE_NODE, LEAF);
}

Test(array, a_bad_block_loses_its_own_entries_only)
{
	static const struct {
		void (*spoil)(struct device *device);
		const char *what;
	} cases[] = {
		{spoil_block, "checksum does not match"},
		{spoil_value_size, "wrong value size"},
		{spoil_max_entries, "wrong maximum of entries"},
		{spoil_nr_entries, "wrong number of entries"},
		{share, "is used twice"},
		{skip, "array blocks are missing"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct device device;
		struct met met;

		device_open(&device, 10);
		cr_assert_eq(build(&device, 4, NR), LEAF);
		device_read_back(&device);
		cases[i].spoil(&device);
		met = walk(&device, LEAF, 4, NR);
		cr_assert_eq(met.nr_lost, 1, "%s", cases[i].what);
		cr_expect_str_eq(met.lost[0].what, cases[i].what);
		cr_expect(met.lost[0].begin == 1018 && met.lost[0].end == 2036);
		device_close(&device);
	}
}

Test(array, longer_or_shorter_than_its_owner_says)
{
	struct device device;
	struct met met;
	uint64_t root;

	device_open(&device, 10);
	root = build(&device, 4, NR);
	met = walk(&device, root, 4, NR + 2000);
	cr_expect_eq(met.nr_lost, 2, "the short block, and those that are missing");
	cr_expect_eq(met.nr, 3 * 1018);
	met = walk(&device, root, 4, NR - 1);
	cr_expect_eq(met.nr, 3 * 1018);
	cr_expect(met.nr_lost == 1 && met.lost[0].begin == 3 * 1018);
	cr_expect_str_eq(met.lost[0].what, "wrong number of entries");
	met = walk(&device, root, 4, 1018);
	cr_expect_eq(met.nr, 1018);
	cr_expect_eq(met.nr_lost, 3);
	for (unsigned i = 0; i < met.nr_lost; i++)
		cr_expect_str_eq(met.lost[i].what, "surplus array block");
	device_close(&device);
}

Test(array, a_lost_leaf_loses_all)
{
	struct device device;
	struct met met;

	device_open(&device, 10);
	build(&device, 4, NR);
	device_read_back(&device);
	device_block(&device, LEAF)[40] ^= 1;
	met = walk(&device, LEAF, 4, NR);
	cr_expect_eq(met.nr, 0);
	cr_expect(met.nr_lost == 1 && met.lost[0].end == NR);
	device_close(&device);
}

/* Bitsets. */

struct bits {
	uint64_t nr_bits, next_word;
	unsigned nr_damages;
	struct damage damage;
};

static int bits_words(void *context, uint64_t first_word, unsigned n, const uint64_t *words)
{
	struct bits *bits = context;

	cr_expect_eq(first_word, bits->next_word);
	bits->next_word += n;
	(void)words;
	return PD_OK;
}

static int bits_damage(void *context, const struct damage *damage)
{
	struct bits *bits = context;

	bits->nr_damages++;
	bits->damage = *damage;
	return PD_OK;
}

static struct bits walk_bits(struct device *device, uint64_t root, uint64_t nr_bits)
{
	struct bits bits = {.nr_bits = nr_bits};
	struct bitset bitset = {.root = root, .nr_bits = nr_bits};
	struct bitset_visitor visitor = {&bits, bits_words, bits_damage};

	device_read_back(device);
	cr_expect_eq(bitset_walk(&device->reader, &bitset, &visitor), PD_OK);
	return bits;
}

static uint64_t build_ones(struct device *device, uint64_t nr_words)
{
	struct array_build array;
	uint64_t ones = UINT64_MAX;
	uint64_t root;

	array_build_init(&array, &device->writer, sizeof(ones));
	for (uint64_t i = 0; i < nr_words; i++)
		cr_assert_eq(array_build_add(&array, &ones, 1), PD_OK);
	cr_assert_eq(array_build_finish(&array, &root), PD_OK);
	return root;
}

Test(bitset, bits_past_the_end_lose_the_last_word)
{
	static const uint64_t numbers[] = {1, 63, 64, 65, 32576, 32577, 65152};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		unsigned rest = numbers[i] % 64;
		struct device device;
		struct bits bits;

		device_open(&device, 10);
		bits = walk_bits(&device, build_ones(&device, bitset_nr_words(numbers[i])),
				 numbers[i]);
		cr_expect_eq(bits.next_word, numbers[i] / 64);
		cr_expect_eq(bits.nr_damages, rest != 0);
		if (rest)
			cr_expect(bits.damage.begin == numbers[i] - rest &&
				  bits.damage.end == numbers[i]);
		device_close(&device);
	}
}

Test(bitset, a_bad_block_loses_its_own_bits_only)
{
	struct device device;
	struct bits bits;
	uint64_t root;

	device_open(&device, 10);
	root = build_ones(&device, 510);
	device_read_back(&device);
	device_block(&device, 2)[500] ^= 1;
	bits = walk_bits(&device, root, 32576 + 10);
	cr_expect_eq(bits.next_word, 509);
	cr_expect(bits.damage.begin == 32576 && bits.damage.end == 32586);
	device_close(&device);
}

Test(bitset, last_mask)
{
	cr_expect_eq(bitset_last_mask(0), UINT64_MAX);
	cr_expect_eq(bitset_last_mask(1), 1);
	cr_expect_eq(bitset_last_mask(63), UINT64_MAX >> 1);
	cr_expect_eq(bitset_last_mask(64), UINT64_MAX);
	cr_expect_eq(bitset_nr_words(0), 0);
	cr_expect_eq(bitset_nr_words(64), 1);
	cr_expect_eq(bitset_nr_words(UINT32_MAX), UINT64_C(1) << 26);
}
