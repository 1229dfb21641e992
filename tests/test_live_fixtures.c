/* SPDX-License-Identifier: MIT */
/* The runtime goes on from metadata that a kernel left, and no block's era is lost or made up. */
#include "era/era.h"
#include "era/live.h"
#include "tests/support/fixture.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fixture fixture;
static struct live live;

static void expect_changed(struct era *era, const struct truth_eras *truth, uint32_t since)
{
	uint32_t begin, end = 0, next = 0;

	cr_assert_eq(era_changed_since(era, since), PD_OK);
	while (era_next_changed(era, &begin, &end)) {
		for (; next < begin; next++)
			cr_assert_lt(truth->eras[next], since, "block %u, since %u", next, since);
		for (; next < end; next++)
			cr_assert_geq(truth->eras[next], since, "block %u, since %u", next, since);
	}
	for (; next < truth->nr_blocks; next++)
		cr_assert_lt(truth->eras[next], since, "block %u, since %u", next, since);
}

static void expect_truth(int fd, const struct truth_eras *truth)
{
	struct era *era;
	uint32_t step = truth->current_era > 60 ? truth->current_era / 20 : 1;

	cr_assert_eq(era_open(fd, ERA_OFFLINE, NULL, &era), PD_OK);
	for (uint32_t since = 1; since <= truth->current_era + 1; since += step)
		expect_changed(era, truth, since);
	era_close(era);
}

static uint32_t block_size(int fd)
{
	struct era_numbers numbers;
	struct era *era;

	cr_assert_eq(era_open(fd, ERA_OFFLINE, NULL, &era), PD_OK);
	era_numbers(era, &numbers);
	era_close(era);
	return numbers.data_block_size;
}

static void mark(struct truth_eras *truth, uint32_t block)
{
	cr_assert_eq(live_mark(&live, block, block + 1), PD_OK);
	truth->eras[block] = live.now.superblock.info.current_era;
}

static void go_on(struct truth_eras *truth)
{
	bool idle = false;

	truth->current_era = live.now.superblock.info.current_era;
	if (truth->nr_blocks) {
		mark(truth, 0);
		mark(truth, truth->nr_blocks / 2);
		mark(truth, truth->nr_blocks - 1);
	}
	cr_assert_eq(live_commit(&live), PD_OK);
	while (!idle) {
		cr_assert_eq(live_digest(&live, &idle), PD_OK);
		cr_assert_eq(live_commit(&live), PD_OK);
	}
	cr_assert_eq(live_archive(&live), PD_OK);
	cr_assert_eq(live_commit(&live), PD_OK);
}

ParameterizedTestParameters(live, goes_on)
{
	size_t nr;
	struct fixture_name *names = fixture_names(&nr);
	struct fixture_name *params = cr_malloc(nr * sizeof(*params));

	memcpy(params, names, nr * sizeof(*params));
	free(names);
	return (struct criterion_test_params){
		.size = sizeof(*params), .params = params, .length = nr};
}

ParameterizedTest(struct fixture_name *name, live, goes_on, .init = fixture_set_up,
		  .fini = fixture_tear_down)
{
	struct truth_eras *truth = &fixture.truth.now;
	struct block_io *io;
	int fd;

	fixture_open(&fixture, name->name);
	fd = open(fixture.image, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(block_io_open_fd(fd, &io), PD_OK);
	cr_assert_eq(live_open(&live, io, block_size(fd), truth->nr_blocks, NULL), PD_OK, "%s",
		     name->name);
	expect_truth(fd, truth);
	go_on(truth);
	expect_truth(fd, truth);
	/* A held snapshot is still there, and can be given up. */
	if (live.now.superblock.metadata_snap) {
		cr_assert_eq(live_drop_snapshot(&live), PD_OK);
		cr_assert_eq(live_commit(&live), PD_OK);
		expect_truth(fd, truth);
	}
	live_close(&live);
	block_io_close(io);
	close(fd);
	truth_free(&fixture.truth);
}
