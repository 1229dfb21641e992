/* SPDX-License-Identifier: MIT */
/*
 * The sizes of metadata: exactly what is written, for a thousand numbers of data blocks and writesets;
 * and what era_metadata_size makes of its options. That the rest is enough is for the kernel to say, see
 * tests/kernel/check-size.
 */
#include "era/metadata_size.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/support/command.h"
#include "tests/support/image.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_CASES 1000
#define DEVICE_BLOCKS 5000
#define MAX_DATA_BLOCKS 1500000
#define WORDS (MAX_DATA_BLOCKS / 64 + 1)

static uint64_t words[WORDS];
static uint32_t eras[MAX_DATA_BLOCKS];

/* Metadata blocks that are in use when the writer is done. */
static uint64_t written(uint32_t nr_blocks, uint32_t nr_writesets)
{
	const struct stream_info info = {
		.data_block_size = 8, .nr_blocks = nr_blocks, .current_era = nr_writesets};
	struct image image;
	struct block_io *io;
	struct sink *sink;
	uint64_t used;

	image_init(&image, DEVICE_BLOCKS);
	cr_assert_eq(block_io_open_memory(image.bytes, DEVICE_BLOCKS, &io), PD_OK);
	cr_assert_eq(metadata_write_open(io, &sink), PD_OK);
	cr_assert_eq(sink->ops->begin(sink, &info), PD_OK);
	for (uint32_t i = 0; i < nr_writesets; i++) {
		cr_assert_eq(sink->ops->writeset_begin(sink, i, nr_blocks), PD_OK);
		cr_assert_eq(sink->ops->writeset_words(sink, 0, words, (nr_blocks + 63) / 64),
			     PD_OK);
		cr_assert_eq(sink->ops->writeset_end(sink), PD_OK);
	}
	cr_assert_eq(sink->ops->eras(sink, 0, eras, nr_blocks), PD_OK);
	cr_assert_eq(sink->ops->end(sink), PD_OK);
	metadata_write_close(sink);
	block_io_close(io);
	used = image_get(&image, 0, SB_MAP_NR_ALLOCATED, 8);
	image_free(&image);
	return used;
}

Test(metadata_size, trees_are_exactly_what_is_written)
{
	static const uint32_t edges[] = {1,    63,    64,    65,     1017,  1018,
					 1019, 32576, 32577, 256536, 256537};
	uint64_t state = 7;

	for (unsigned i = 0; i < NR_CASES; i++) {
		struct metadata_need need = {.nr_writesets = 1 + i % 5};
		struct metadata_size size;

		state = state * 6364136223846793005 + 1442695040888963407;
		need.nr_blocks = i < 11	       ? edges[i]
				 : i % 10 == 0 ? (uint32_t)(state >> 33) % MAX_DATA_BLOCKS + 1
					       : (uint32_t)(state >> 33) % 40000 + 1;
		if (i % 100 == 50)
			need.nr_writesets = 250;
		if (need.nr_writesets > 5)
			need.nr_blocks %= 3000;
		metadata_size(&need, &size);
		/* The space map has one bitmap, an index and a node of counts. */
		cr_assert_eq(size.trees + 3, written(need.nr_blocks, need.nr_writesets + 1),
			     "%u blocks, %u writesets", need.nr_blocks, need.nr_writesets);
		cr_expect(size.total > size.trees + 3);
	}
}

Test(metadata_size, the_largest_need_does_not_run_over)
{
	const struct metadata_need need = {UINT32_MAX, UINT32_MAX, true};
	struct metadata_size size;

	metadata_size(&need, &size);
	cr_expect(size.total > (UINT64_C(1) << 48) && size.total < (UINT64_C(1) << 52));
	cr_expect_eq(size.total, size.trees + size.loose_nodes + size.snapshot +
					 size.copy_on_write + size.space_map + size.reserve);
}

Test(metadata_size, blocks_become_larger_with_the_device)
{
	const uint64_t tib = UINT64_C(1) << 40;

	cr_expect_eq(metadata_size_block_sectors(1), 128);
	cr_expect_eq(metadata_size_block_sectors(tib), 128);
	cr_expect_eq(metadata_size_block_sectors(tib + 64 * 1024), 256);
	cr_expect_eq(metadata_size_block_sectors(16 * tib), 2048);
	cr_expect_eq(metadata_size_block_sectors(INT64_MAX), UINT64_C(1) << 30);
}

/* The command. */

static void expect_line(const char *const argv[], const char *expected)
{
	struct command_result result = command_run(NULL, argv);

	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect_str_eq(result.out, expected);
	command_free(&result);
}

#define EXPECT_LINE(expected, ...) \
	expect_line((const char *const[]){"era_metadata_size", __VA_ARGS__, NULL}, expected)

static void expect_no(const char *const argv[], const char *phrase)
{
	struct command_result result = command_run(NULL, argv);
	char problem[400];

	cr_expect(command_refused(&result, "era_metadata_size", phrase, problem), "%s", problem);
	command_free(&result);
}

#define EXPECT_NO(phrase, ...) \
	expect_no((const char *const[]){"era_metadata_size", __VA_ARGS__, NULL}, phrase)

Test(metadata_size, units_are_those_of_thin_metadata_size)
{
	struct metadata_need need = {.nr_blocks = 1000000, .nr_writesets = 4};
	struct metadata_size size;
	char text[100];

	metadata_size(&need, &size);
	snprintf(text, sizeof(text), "%lu\n", size.total * 8);
	EXPECT_LINE(text, "--nr-blocks", "1000000", "-n");
	EXPECT_LINE(text, "--nr-blocks", "1000000", "-n", "-us");
	EXPECT_LINE(text, "--device-size", "4096000000", "--block-size", "8", "-n");
	EXPECT_LINE(text, "--device-size", "4095995905", "--block-size", "4k", "-n");
	EXPECT_LINE(text, "--device-size", "8000000s", "--block-size", "4096b", "--numeric-only");
	snprintf(text, sizeof(text), "%lu\n", size.total * 4096);
	EXPECT_LINE(text, "--nr-blocks", "1000000", "-n", "-u", "b");
	snprintf(text, sizeof(text), "%luk\n", size.total * 4);
	EXPECT_LINE(text, "--nr-blocks", "1000000", "-nshort", "--unit=k");
	snprintf(text, sizeof(text), "%.2fmebibytes\n", (double)(size.total * 100 / 256 + 1) / 100);
	EXPECT_LINE(text, "--nr-blocks", "1000000", "--numeric-only=long", "-um");
	EXPECT_LINE("0.01yottabytes\n", "--nr-blocks", "1000000", "--numeric-only=long", "-uY");
	need.snapshot = true;
	need.nr_writesets = 9;
	metadata_size(&need, &size);
	snprintf(text, sizeof(text), "%lu\n", size.total * 8);
	EXPECT_LINE(text, "--nr-blocks", "1000000", "-n", "--snapshot", "--writesets", "9");
}

Test(metadata_size, nonsense_is_refused)
{
	EXPECT_NO("either", "--snapshot");
	EXPECT_NO("either", "--nr-blocks", "1", "--device-size", "1");
	EXPECT_NO("--nr-blocks: not what", "--nr-blocks", "0");
	EXPECT_NO("--nr-blocks: not what", "--nr-blocks", "2147483648");
	EXPECT_NO("--device-size: not what", "--device-size", "0");
	EXPECT_NO("--device-size: not what", "--device-size", "1x");
	EXPECT_NO("--block-size: not what", "--device-size", "1g", "--block-size", "7");
	EXPECT_NO("--block-size: not what", "--device-size", "1g", "--block-size", "0");
	EXPECT_NO("--writesets: not what", "--device-size", "1g", "--writesets", "0");
	EXPECT_NO("--unit: not what", "--device-size", "1g", "-u", "x");
	EXPECT_NO("--unit: not what", "--device-size", "1g", "-u", "");
	EXPECT_NO("--numeric-only: not what", "--device-size", "1g", "-nmedium");
	EXPECT_NO("larger ones", "--device-size", "1E", "--block-size", "8");
	EXPECT_NO("not understood", "--device-size", "1g", "more");
}

Test(metadata_size, too_large_a_size_is_warned_of)
{
	struct command_result result =
		COMMAND("era_metadata_size", "--nr-blocks", "2147483647", "-n", "--snapshot");

	cr_expect_eq(result.status, 1);
	cr_expect(strtoull(result.out, NULL, 10) > 4161600 * 8ull, "%s", result.out);
	cr_expect(strstr(result.err, "4161600"), "%s", result.err);
	command_free(&result);
}
