/* SPDX-License-Identifier: MIT */
/* Ages against a plain model: the list, the cells of maps and pictures, classes, and what is printed. */
#include "era/age_classes.h"
#include "era/ages_format.h"
#include "era/extents.h"
#include "persistent-data/error.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_CASES 400
#define MAX_BLOCKS 20000

static uint32_t eras[MAX_BLOCKS];
static uint32_t nr_blocks, current_era;
static struct ages ages;

static struct random numbers;

static uint32_t below(uint64_t limit)
{
	return (uint32_t)random_below(&numbers, limit);
}

static void make_eras(void)
{
	uint32_t longest = 1 + below(below(2) ? 3 : 2000);
	uint32_t nr_eras = 1 + below(below(2) ? 9 : MAX_BLOCKS);

	current_era = below(2) ? nr_eras : UINT32_MAX - below(2);
	nr_blocks = 1 + below(below(2) ? 100 : MAX_BLOCKS);
	for (uint32_t i = 0, n; i < nr_blocks; i += n) {
		uint32_t era = below(4) ? current_era - below(nr_eras) : 0;

		for (n = 0; i + n < nr_blocks && n < 1 + below(longest); n++)
			eras[i + n] = era;
	}
}

/* In batches of any size. */
static void feed(uint64_t map_cells, uint64_t svg_cells, uint64_t device_size)
{
	const uint64_t cells[AGES_GRIDS] = {map_cells, svg_cells};
	const struct stream_info info = {
		.data_block_size = 8, .nr_blocks = nr_blocks, .current_era = current_era};
	const struct sink_ops *ops;

	ages_init(&ages, cells);
	ops = ages.sink.ops;
	cr_assert_eq(ops->begin(&ages.sink, &info), PD_OK);
	for (uint32_t i = 0, n; i < nr_blocks; i += n) {
		n = 1 + below(1500);
		if (n > nr_blocks - i)
			n = nr_blocks - i;
		cr_assert_eq(ops->eras(&ages.sink, i, eras + i, n), PD_OK);
	}
	cr_assert_eq(ops->end(&ages.sink), PD_OK);
	cr_assert_eq(ages_finish(&ages, device_size, NULL), PD_OK);
}

static uint64_t count(uint32_t first, uint32_t last)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < nr_blocks; i++)
		n += eras[i] >= first && eras[i] <= last;
	return n;
}

static void check_list(void)
{
	uint64_t sum = 0;

	cr_assert(ages.nr && ages.list[0].era == current_era);
	for (uint64_t i = 0; i < ages.nr; i++) {
		const struct age *age = &ages.list[i];

		cr_assert(!i || age->era < age[-1].era);
		cr_assert(age->nr_blocks || !i);
		sum += age->nr_blocks;
		cr_assert_eq(age->since_blocks, sum);
		if (i < 5 || i + 5 > ages.nr) {
			cr_assert_eq(age->nr_blocks, count(age->era, age->era));
			cr_assert_eq(sum, count(age->era, UINT32_MAX));
		}
	}
	cr_assert_eq(sum, nr_blocks);
}

static void check_grid(const struct ages_grid *grid)
{
	cr_assert(grid->nr_cells <= grid->max_cells);
	cr_assert(grid->nr_cells * grid->per_cell >= nr_blocks);
	for (uint64_t cell = 0; cell < grid->nr_cells; cell++) {
		uint32_t newest = 0;

		for (uint64_t i = cell * grid->per_cell;
		     i < nr_blocks && i < (cell + 1) * grid->per_cell; i++)
			if (eras[i] > newest)
				newest = eras[i];
		cr_assert_eq(grid->eras[cell], newest);
	}
}

/* Every era is in just one class, and each class has what it says. */
static void check_classes(void)
{
	struct age_classes classes;
	uint64_t nr[AGE_CLASSES + 1] = {0};
	unsigned nr_eras = 0;

	age_classes_make(&classes, &ages);
	cr_assert(classes.nr <= AGE_CLASSES);
	for (uint32_t i = 0; i < nr_blocks; i++) {
		unsigned class = age_classes_of(&classes, eras[i]);

		cr_assert(eras[i] >= classes.classes[class].first);
		cr_assert(eras[i] <= classes.classes[class].last);
		cr_assert_eq(class == AGE_NEVER, eras[i] == 0);
		nr[class]++;
	}
	for (unsigned i = 0; i <= AGE_CLASSES; i++) {
		cr_assert_eq(nr[i], classes.classes[i].nr_blocks);
		cr_assert(i == AGE_NEVER || (nr[i] != 0) == (i < classes.nr));
	}
	for (uint64_t i = 0; i < ages.nr; i++)
		nr_eras += ages.list[i].era && ages.list[i].nr_blocks;
	cr_assert(nr_eras > AGE_CLASSES ? classes.nr > 3 : classes.nr == nr_eras);
}

Test(ages, list_cells_and_classes_are_those_of_the_model)
{
	for (uint64_t seed = 1; seed <= NR_CASES; seed++) {
		numbers.state = seed;
		make_eras();
		feed(1 + below(200), 1 + below(20000), DEVICE_SIZE_UNKNOWN);
		check_list();
		check_grid(&ages.grids[0]);
		check_grid(&ages.grids[1]);
		check_classes();
		ages_destroy(&ages);
	}
}

Test(ages, bytes_end_with_the_device)
{
	nr_blocks = 3;
	current_era = 9;
	eras[0] = 7;
	eras[1] = 9;
	eras[2] = 4;
	feed(0, 0, 2 * 4096 + 512);
	cr_expect_eq(ages.end, 2 * 4096 + 512);
	cr_expect_eq(ages_bytes(&ages, 1, false), 4096);
	cr_expect_eq(ages_bytes(&ages, 1, true), 512);
	cr_expect_eq(ages_bytes(&ages, 3, true), 2 * 4096 + 512);
	cr_expect_eq(ages_finish(&ages, 2 * 4096, NULL), PD_ERR_USAGE);
	ages_destroy(&ages);
}

/* What is printed. */

static char *printed;
static size_t printed_size;

static int keep(void *context, const char *text, size_t size)
{
	(void)context;
	printed = realloc(printed, printed_size + size + 1);
	memcpy(printed + printed_size, text, size);
	printed_size += size;
	printed[printed_size] = '\0';
	return PD_OK;
}

static const struct text_output output = {keep, NULL};

static void clear(void)
{
	free(printed);
	printed = NULL;
	printed_size = 0;
}

Test(ages, a_map_has_a_character_for_each_cell)
{
	static const unsigned widths[] = {1, 20, 79, 80, 81, 200, 10000};

	for (unsigned w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		unsigned columns = ages_map_columns(widths[w]);
		struct age_classes classes;
		uint64_t cell = 0;
		char *line;

		numbers.state = w;
		make_eras();
		feed(columns * MAP_MAX_ROWS, 0, DEVICE_SIZE_UNKNOWN);
		age_classes_make(&classes, &ages);
		clear();
		cr_assert_eq(ages_format_map(&ages, widths[w], false, &output), PD_OK);
		cr_expect(!strchr(printed, '\033'));
		line = strstr(printed, "\n\n") + 2;
		for (; *line != '\n'; line = strchr(line, '\n') + 1) {
			size_t length = strcspn(line, "\n");

			cr_assert(length <= 11 + columns && length > 11);
			cr_assert(widths[w] < 20 || length <= widths[w]);
			for (size_t i = 11; i < length; i++, cell++)
				cr_assert_eq(line[i], "@#%*+=-."[age_classes_of(
							      &classes, ages.grids[0].eras[cell])]);
		}
		cr_assert_eq(cell, ages.grids[0].nr_cells);
		clear();
		cr_assert_eq(ages_format_map(&ages, widths[w], true, &output), PD_OK);
		cr_expect(!classes.nr || strchr(printed, '\033'));
		ages_destroy(&ages);
	}
}

/* The squares of all paths together, each row's within its columns. */
static uint64_t count_squares(void)
{
	uint64_t sum = 0;

	for (const char *p = strstr(printed, " d=\"M"); p; p = strstr(p, " d=\"M")) {
		unsigned long x, row, length, back;
		int n;

		for (p += 4; *p == 'M' &&
			     sscanf(p, "M%lu %luh%luv1H%luz%n", &x, &row, &length, &back, &n) == 4;
		     p += n) {
			cr_assert(back == x && length && x + length <= SVG_COLUMNS && row < 10000);
			sum += length;
		}
	}
	return sum;
}

Test(ages, a_picture_has_a_square_for_each_cell)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		numbers.state = seed;
		make_eras();
		feed(0, SVG_COLUMNS * SVG_MAX_ROWS, DEVICE_SIZE_UNKNOWN);
		clear();
		cr_assert_eq(ages_format_svg(&ages, "a <b> & \"c\"\x01\xff", &output), PD_OK);
		cr_expect(strstr(printed, ">a &#60;b&#62; &#38; &#34;c&#34;\?\?<"));
		cr_assert_eq(count_squares(), ages.grids[1].nr_cells, "seed %lu", seed);
		ages_destroy(&ages);
	}
}

static void expect_size(uint64_t bytes, const char *expected)
{
	char text[SIZE_TEXT];

	cr_expect_str_eq(size_text(text, bytes), expected);
}

Test(ages, sizes_and_shares_are_said_as_people_do)
{
	char text[SHARE_TEXT];

	expect_size(0, "0 B");
	expect_size(512, "512 B");
	expect_size(1023, "1023 B");
	expect_size(1024, "1 KiB");
	expect_size(1536, "1.5 KiB");
	expect_size(65536, "64 KiB");
	expect_size((UINT64_C(1) << 30) - 1, "1.0 GiB");
	expect_size(UINT64_C(1) << 40, "1 TiB");
	expect_size(INT64_MAX, "8 EiB");
	cr_expect_str_eq(share_text(text, 1, 100000), "<0.1 %");
	cr_expect_str_eq(share_text(text, 99999, 100000), ">99.9 %");
	cr_expect_str_eq(share_text(text, 1, 8), "12.5 %");
	cr_expect_str_eq(share_text(text, 0, 0), "0.0 %");
	cr_expect_str_eq(share_text(text, 8, 8), "100.0 %");
}
