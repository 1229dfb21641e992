/* SPDX-License-Identifier: MIT */
/*
 * A large device of which the superblock is lost, and with it which of its states is the latest:
 * both are taken together, in a window of data blocks after the other, and in little memory.
 */
#include "era/era.h"
#include "era/live.h"
#include "tests/support/bounded.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_BLOCKS 10000000u
#define NR_METADATA 24000u
#define BLOCK_SIZE 8 /* sectors */
#define STEP 300007u /* between the data blocks that are written in one era */
#define NR_ERAS 3

static char path[] = "/tmp/era-large-XXXXXX", repaired[] = "/tmp/era-large-XXXXXX";

static void remove_files(void)
{
	unlink(path);
	unlink(repaired);
}

static void make_files(void)
{
	int fd = mkstemp(path), other = mkstemp(repaired);

	cr_assert(fd >= 0 && other >= 0);
	cr_assert_not(ftruncate(fd, (off_t)NR_METADATA * 4096));
	cr_assert_not(ftruncate(other, (off_t)NR_METADATA * 4096));
	close(fd);
	close(other);
}

/* The blocks of an era: all of the first, then one in each step, and all of an array block. */
static bool is_written(uint32_t block, uint32_t era)
{
	return era == 1 || block % STEP == era || block / 1018 == era * 3000;
}

static void digest(struct live *live)
{
	bool idle = false;

	while (!idle)
		cr_assert_not(live_digest(live, &idle));
	cr_assert_not(live_commit(live));
}

/* What is committed last is that era 3 is digested: the state before it has these blocks elsewhere. */
static void write_metadata(int fd)
{
	struct block_io *io;
	struct live live;

	cr_assert_not(block_io_open_fd(fd, &io));
	cr_assert_not(live_open(&live, io, BLOCK_SIZE, NR_BLOCKS, NULL));
	for (uint32_t era = 1; era <= NR_ERAS; era++) {
		for (uint32_t i = 0; i < NR_BLOCKS; i++)
			if (is_written(i, era))
				cr_assert_not(live_mark(&live, i, i + 1));
		cr_assert_not(live_roll_over(&live));
		cr_assert_not(live_commit(&live));
		digest(&live);
	}
	live_close(&live);
	block_io_close(io);
}

/* The last block of the era array that was written, among those with all their entries in era 3. */
static void damage(int fd)
{
	uint8_t block[4096];
	off_t found = 0;

	for (off_t at = 4096; pread(fd, block, sizeof(block), at) == (ssize_t)sizeof(block);
	     at += (off_t)sizeof(block)) {
		bool all = true;

		for (unsigned i = 24; i < 4096; i += 4)
			all &= !memcmp(block + i, "\3\0\0\0", 4);
		if (all)
			found = at;
	}
	cr_assert(found);
	memset(block, 0, sizeof(block));
	cr_assert_eq(pwrite(fd, block, sizeof(block), 0), sizeof(block));
	cr_assert_eq(pwrite(fd, block, sizeof(block), found), sizeof(block));
}

/* Nothing that was written is left out, and no more comes with it than the lost array block. */
static void expect_eras(uint32_t era)
{
	int fd = open(repaired, O_RDONLY | O_CLOEXEC);
	struct era *metadata;
	uint32_t begin, end = 0, next = 0, nr_more = 0;

	cr_assert_not(era_open(fd, ERA_OFFLINE, NULL, &metadata));
	cr_assert_not(era_changed_since(metadata, era));
	while (next < NR_BLOCKS) {
		if (!era_next_changed(metadata, &begin, &end))
			begin = end = NR_BLOCKS;
		for (; next < end; next++) {
			bool written = false;

			for (uint32_t since = era; since <= NR_ERAS; since++)
				written |= is_written(next, since);
			cr_assert(!written || next >= begin, "data block %u, era %u", next, era);
			nr_more += !written && next >= begin;
		}
	}
	cr_expect_eq(nr_more, era > NR_ERAS ? 1018 : 0, "%u data blocks more since era %u", nr_more,
		     era);
	era_close(metadata);
	close(fd);
}

static void expect_repaired(void)
{
	struct outcome outcome = BOUNDED_RUN("era_repair", "-i", path, "-o", repaired,
					     "--nr-blocks", "10000000", "--block-size", "8");
	long most = 16 * 1024 + NR_BLOCKS / 8 / 1024 + NR_METADATA * 2 / 1024;

	cr_assert_eq(outcome.status, 0, "%s", outcome.err);
	cr_expect(strstr(outcome.err, "which is the latest cannot be told"), "%s", outcome.err);
	cr_expect(bounded_sanitized() || outcome.peak_kib <= most, "%ld KiB, at most %ld",
		  outcome.peak_kib, most);
	outcome_free(&outcome);
}

/* By another process, whose memory does not count. */
static void make_input(void)
{
	pid_t child = fork();
	int status, fd;

	if (!child) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		write_metadata(fd);
		damage(fd);
		_exit(0);
	}
	cr_assert(waitpid(child, &status, 0) == child && !status);
}

Test(salvage_large, several_states, .fini = remove_files, .timeout = 300)
{
	make_files();
	make_input();
	expect_repaired();
	for (uint32_t era = 1; era <= NR_ERAS + 1; era++)
		expect_eras(era);
}
