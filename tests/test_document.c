/* SPDX-License-Identifier: MIT */
/* Documents: what their elements become, and all that they must not say. */
#include "era/document.h"
#include "persistent-data/error.h"
#include "tests/support/stream_log.h"

#include <criterion/criterion.h>
#include <string.h>

static struct document document;
static struct stream_log heard;

static const struct stream_info info = {
	.uuid = "id", .data_block_size = 8, .nr_blocks = 5000, .current_era = 9};

static void set_up(void)
{
	stream_log_init(&heard);
	document_init(&document, &heard.sink);
}

static void tear_down(void)
{
	stream_log_free(&heard);
}

TestSuite(document, .init = set_up, .fini = tear_down);

#define EXPECT_TAKEN(call) cr_expect_eq(call, PD_OK, "%s", document.problem)

#define EXPECT_REFUSED(call, phrase)                                                            \
	do {                                                                                    \
		document.problem = "";                                                          \
		cr_expect_eq(call, PD_ERR_CORRUPT, "%s", phrase);                               \
		cr_expect(strstr(document.problem, phrase), "'%s', not '%s'", document.problem, \
			  phrase);                                                              \
	} while (0)

/* Bits in three ways, over the edges of words and of batches. */
Test(document, bits)
{
	static const uint32_t set[] = {0,   3,	 63,	64,    65,    100,   130,   131,   132,
				       199, 200, 32767, 32768, 32800, 32863, 32864, 69990, 69999};
	unsigned next = 0;

	EXPECT_TAKEN(document_superblock(&document, &info));
	EXPECT_TAKEN(document_writeset(&document, 5, 70000));
	EXPECT_TAKEN(document_bit(&document, 0, true));
	EXPECT_TAKEN(document_bit(&document, 1, false));
	EXPECT_TAKEN(document_bits(&document, 3, 1, 10));
	EXPECT_TAKEN(document_marked(&document, 63, 3));
	EXPECT_TAKEN(document_bit(&document, 100, true));
	EXPECT_TAKEN(document_bits(&document, 120, UINT64_C(7) << 10, 64));
	EXPECT_TAKEN(document_marked(&document, 199, 2));
	EXPECT_TAKEN(document_marked(&document, 32767, 2));
	EXPECT_TAKEN(document_bits(&document, 32800, UINT64_C(1) << 63 | 1, 64));
	EXPECT_TAKEN(document_bit(&document, 32864, true));
	EXPECT_TAKEN(document_bits(&document, 69990, 0x201, 10));
	EXPECT_TAKEN(document_writeset_end(&document));
	cr_assert(heard.nr_writesets == 1 && heard.writesets[0].era == 5);
	for (uint32_t bit = 0; bit < 70000; bit++) {
		bool expected = next < sizeof(set) / sizeof(set[0]) && set[next] == bit;

		cr_assert_eq(stream_log_bit(&heard, 0, bit), expected, "bit %u", bit);
		next += expected;
	}
}

Test(document, eras)
{
	static const uint32_t five[] = {1, 2, 3, 4, 5};
	uint32_t many[2000];

	for (unsigned i = 0; i < 2000; i++)
		many[i] = i % 10;
	EXPECT_TAKEN(document_superblock(&document, &info));
	EXPECT_TAKEN(document_era_array(&document));
	EXPECT_TAKEN(document_era(&document, 7, 9));
	EXPECT_TAKEN(document_eras(&document, 1022, five, 5));
	EXPECT_TAKEN(document_eras(&document, 1500, many, 2000));
	EXPECT_TAKEN(document_era(&document, 4999, 4));
	EXPECT_TAKEN(document_era_array_end(&document));
	EXPECT_TAKEN(document_superblock_end(&document));
	EXPECT_TAKEN(document_end(&document));
	cr_expect(heard.ended && !memcmp(&heard.info, &info, sizeof(info)));
	for (uint32_t block = 0; block < 5000; block++) {
		uint32_t expected = block >= 1500 && block < 3500 ? (block - 1500) % 10 : 0;

		if (block >= 1022 && block < 1027)
			expected = block - 1021;
		if (block == 7 || block == 4999)
			expected = block == 7 ? 9 : 4;
		cr_assert_eq(heard.eras[block], expected, "block %u", block);
	}
}

Test(document, numbers_of_the_superblock)
{
	struct stream_info wrong = info;

	wrong.data_block_size = 12;
	EXPECT_REFUSED(document_superblock(&document, &wrong), "multiple of 8");
	wrong.data_block_size = 0;
	EXPECT_REFUSED(document_superblock(&document, &wrong), "multiple of 8");
	wrong = info;
	wrong.nr_blocks = 0x80000000;
	EXPECT_REFUSED(document_superblock(&document, &wrong), "nr_blocks");
	wrong = info;
	wrong.uuid[0] = '\n';
	EXPECT_REFUSED(document_superblock(&document, &wrong), "uuid");
	cr_expect(!heard.begun);
	EXPECT_TAKEN(document_superblock(&document, &info));
	EXPECT_REFUSED(document_superblock(&document, &info), "within another");
}

Test(document, what_writesets_must_not_say)
{
	EXPECT_TAKEN(document_superblock(&document, &info));
	EXPECT_REFUSED(document_bit(&document, 1, true), "belongs into a <writeset>");
	EXPECT_REFUSED(document_writeset(&document, 10, 5000), "past the current");
	EXPECT_REFUSED(document_writeset(&document, 4, 0x80000000), "nr_bits");
	EXPECT_TAKEN(document_writeset(&document, 4, 200));
	EXPECT_REFUSED(document_writeset(&document, 5, 200), "does not belong here");
	EXPECT_REFUSED(document_era(&document, 1, 1), "does not belong here");
	EXPECT_REFUSED(document_era_array(&document), "does not belong here");
	EXPECT_TAKEN(document_marked(&document, 10, 5));
	EXPECT_REFUSED(document_bit(&document, 14, true), "same block again");
	EXPECT_REFUSED(document_bit(&document, 13, false), "do not ascend");
	EXPECT_REFUSED(document_marked(&document, 14, 5), "same block again");
	EXPECT_REFUSED(document_marked(&document, 20, 0), "len is 0");
	EXPECT_REFUSED(document_marked(&document, 20, 181), "past the end");
	EXPECT_REFUSED(document_marked(&document, 20, UINT32_MAX), "past the end");
	EXPECT_REFUSED(document_marked(&document, UINT32_MAX, UINT32_MAX), "past the end");
	EXPECT_REFUSED(document_bits(&document, 190, 1, 11), "past the end");
	EXPECT_REFUSED(document_bit(&document, 200, false), "past the end");
	EXPECT_TAKEN(document_bit(&document, 15, true));
	EXPECT_TAKEN(document_writeset_end(&document));
	/* What was refused was as if it had not been said. */
	for (uint32_t bit = 0; bit < 200; bit++)
		cr_assert_eq(stream_log_bit(&heard, 0, bit), bit >= 10 && bit < 16, "bit %u", bit);
	EXPECT_REFUSED(document_writeset(&document, 4, 1), "second writeset of the same era");
	EXPECT_REFUSED(document_writeset(&document, 3, 1), "do not ascend");
	EXPECT_TAKEN(document_writeset(&document, 9, 0));
	EXPECT_TAKEN(document_writeset_end(&document));
	cr_expect_eq(heard.nr_writesets, 2);
}

Test(document, what_the_era_array_must_not_say)
{
	static const uint32_t eras[] = {1, 10, 1};

	EXPECT_TAKEN(document_superblock(&document, &info));
	EXPECT_REFUSED(document_superblock_end(&document), "<era_array> is missing");
	EXPECT_REFUSED(document_era(&document, 1, 1), "does not belong here");
	EXPECT_TAKEN(document_era_array(&document));
	EXPECT_REFUSED(document_era(&document, 5000, 1), "past the end of the device");
	EXPECT_REFUSED(document_eras(&document, 4998, eras, 3), "past the end of the device");
	EXPECT_REFUSED(document_eras(&document, UINT32_MAX, eras, 1), "past the end of the device");
	EXPECT_REFUSED(document_eras(&document, 5, eras, 3), "past the current");
	EXPECT_TAKEN(document_era(&document, 6, 3));
	EXPECT_REFUSED(document_era(&document, 6, 3), "same block again");
	EXPECT_REFUSED(document_era(&document, 5, 3), "do not ascend");
	EXPECT_TAKEN(document_era_array_end(&document));
	for (uint32_t block = 0; block < 5000; block++)
		cr_assert_eq(heard.eras[block], block == 6 ? 3 : 0);
	EXPECT_REFUSED(document_era_array(&document), "second <era_array>");
	EXPECT_REFUSED(document_writeset(&document, 9, 1), "after <era_array>");
	EXPECT_TAKEN(document_superblock_end(&document));
	cr_expect(!heard.ended);
}

Test(document, errors_of_the_sink_come_back)
{
	heard.error = PD_ERR_NO_SPACE;
	cr_expect_eq(document_superblock(&document, &info), PD_ERR_NO_SPACE);
	cr_expect_eq(document_writeset(&document, 9, 70000), PD_ERR_NO_SPACE);
	cr_expect_eq(document_bit(&document, 1, true), PD_OK, "nothing is handed on yet");
	cr_expect_eq(document_bit(&document, 69999, true), PD_ERR_NO_SPACE);
}
