/* SPDX-License-Identifier: MIT */
/* The library as a backup program uses it, on metadata that a kernel wrote. */
#include "era/era.h"
#include "tests/support/fixture.h"
#include "tests/support/image.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct fixture fixture;
static char said[REPORT_MAX];
static int fd;

static void keep_message(void *context, const char *text)
{
	(void)context;
	snprintf(said, sizeof(said), "%s", text);
}

static const struct report report = {keep_message, NULL};

static void open_fixture(const char *name)
{
	fixture_open(&fixture, name);
	fd = open(fixture.image, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	said[0] = '\0';
}

static void close_fixture(void)
{
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC, "the file is the caller's");
	close(fd);
	truth_free(&fixture.truth);
}

TestSuite(era, .init = fixture_set_up, .fini = fixture_tear_down);

static void expect_changed(const struct era *era, const struct truth_eras *truth, uint32_t since)
{
	uint32_t begin, end = 0, block = 0;

	while (era_next_changed(era, &begin, &end)) {
		for (; block < begin; block++)
			cr_assert_lt(truth->eras[block], since, "since %u: block %u", since, block);
		for (; block < end; block++)
			cr_assert_geq(truth->eras[block], since, "since %u: block %u", since,
				      block);
	}
	for (; block < truth->nr_blocks; block++)
		cr_assert_lt(truth->eras[block], since, "since %u: block %u", since, block);
}

/* Again and again with one object, backwards too. */
static void expect_truth(enum era_source source, const struct truth_eras *truth)
{
	struct era *era = NULL;
	struct era_numbers numbers;
	uint32_t begin, end = 0;

	cr_assert_eq(era_open(fd, source, &report, &era), PD_OK, "%s", said);
	era_numbers(era, &numbers);
	cr_expect_eq(numbers.nr_blocks, truth->nr_blocks);
	cr_expect_eq(numbers.current_era, truth->current_era);
	cr_expect_eq(numbers.data_block_size % 8, 0);
	cr_expect_eq(numbers.metadata_snap, fixture.truth.snap_block);
	cr_expect_gt(numbers.nr_metadata_blocks_used, 5);
	cr_expect_leq(numbers.nr_metadata_blocks_used, numbers.nr_metadata_blocks);
	cr_expect(!era_next_changed(era, &begin, &end), "nothing was asked for yet");
	for (uint32_t since = truth->current_era + 2; since-- > 0;) {
		cr_assert_eq(era_changed_since(era, since), PD_OK, "%s", said);
		expect_changed(era, truth, since);
	}
	cr_assert_eq(era_changed_since(era, 1), PD_OK, "%s", said);
	expect_changed(era, truth, 1);
	cr_expect_str_empty(said);
	era_close(era);
}

Test(era, offline_and_snapshot)
{
	static const char *const names[] = {"crash-snap", "snap-live", "crash", "resize-shrink"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct era *era = NULL;

		open_fixture(names[i]);
		expect_truth(ERA_OFFLINE, &fixture.truth.now);
		if (fixture.truth.snap.eras) {
			expect_truth(ERA_METADATA_SNAPSHOT, &fixture.truth.snap);
		} else {
			cr_expect_eq(era_open(fd, ERA_METADATA_SNAPSHOT, &report, &era),
				     PD_ERR_USAGE);
			cr_expect_str_eq(said, "no metadata snapshot is held");
		}
		close_fixture();
	}
}

/* No set is to be had from damaged metadata, also where there was one before the damage. */
Test(era, damage_leaves_no_set)
{
	struct image image;
	struct era *era = NULL;
	uint32_t begin, end = 0;
	uint64_t root;

	open_fixture("crash");
	cr_assert_eq(era_open(fd, ERA_OFFLINE, &report, &era), PD_OK);
	cr_assert_eq(era_changed_since(era, 0), PD_OK);
	cr_assert(era_next_changed(era, &begin, &end));
	cr_assert(image_load(&image, fixture.image));
	root = image_get(&image, 0, SB_ERA_ARRAY, 8);
	image_block(&image, root)[3000] ^= 1;
	cr_assert(image_save(&image, fixture.image));
	cr_expect_eq(era_changed_since(era, 0), PD_ERR_CORRUPT);
	cr_expect(strstr(said, "era array: metadata block"), "%s", said);
	end = 0;
	cr_expect(!era_next_changed(era, &begin, &end));
	image_block(&image, root)[3000] ^= 1;
	cr_assert(image_save(&image, fixture.image));
	cr_expect_eq(era_changed_since(era, 1), PD_OK, "it has been put right");
	expect_changed(era, &fixture.truth.now, 1);
	era_close(era);
	image_free(&image);
	close_fixture();
}

Test(era, what_is_no_metadata)
{
	struct era *era = NULL;
	int other = open("/dev/null", O_RDONLY);

	cr_expect_eq(era_open(other, ERA_OFFLINE, &report, &era), PD_ERR_UNSUPPORTED);
	cr_expect(strstr(said, "cannot be used as a metadata device"));
	close(other);
	other = open(fixture_file("zeroes", NULL, 65536), O_RDONLY);
	cr_expect_eq(era_open(other, ERA_OFFLINE, NULL, &era), PD_ERR_UNSUPPORTED);
	cr_expect_eq(era_open(other, ERA_OFFLINE, &report, &era), PD_ERR_UNSUPPORTED);
	cr_expect(strstr(said, "not formatted"));
	close(other);
	cr_expect_eq(era_open(-1, ERA_OFFLINE, &report, &era), PD_ERR_IO);
	cr_expect_null(era);
	era_close(NULL);
}
