/* SPDX-License-Identifier: MIT */
/* Block devices: memory and files; the devices for tests that record and fail. */
#include "persistent-data/error.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t buffer[4 * METADATA_BLOCK_SIZE] __attribute__((aligned(METADATA_BLOCK_SIZE)));

static void expect_within(struct block_io *io)
{
	static const struct {
		uint64_t first;
		uint32_t count;
		int expected;
	} ranges[] = {
		{0, 3, PD_OK},
		{2, 1, PD_OK},
		{3, 0, PD_OK},
		{3, 1, PD_ERR_IO},
		{2, 2, PD_ERR_IO},
		{0, 4, PD_ERR_IO},
		{1, UINT32_MAX, PD_ERR_IO},
		{UINT64_MAX, 1, PD_ERR_IO},
		{UINT64_MAX - 1, 3, PD_ERR_IO},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		errno = 0;
		cr_expect_eq(block_io_read(io, ranges[i].first, ranges[i].count, buffer),
			     ranges[i].expected, "range %zu", i);
		cr_expect_eq(errno, ranges[i].expected ? EINVAL : 0, "range %zu", i);
		cr_expect_eq(block_io_write(io, ranges[i].first, ranges[i].count, buffer),
			     ranges[i].expected, "range %zu", i);
	}
}

static void expect_kept(struct block_io *io)
{
	memset(buffer, 'a', METADATA_BLOCK_SIZE);
	memset(buffer + METADATA_BLOCK_SIZE, 'b', METADATA_BLOCK_SIZE);
	cr_expect_eq(block_io_write(io, 1, 2, buffer), PD_OK);
	cr_expect_eq(block_io_flush(io), PD_OK);
	memset(buffer, 0, sizeof(buffer));
	cr_expect_eq(block_io_read(io, 2, 1, buffer), PD_OK);
	cr_expect(buffer[0] == 'b' && buffer[METADATA_BLOCK_SIZE - 1] == 'b');
	cr_expect_eq(block_io_read(io, 0, 2, buffer), PD_OK);
	cr_expect(!buffer[METADATA_BLOCK_SIZE - 1] && buffer[METADATA_BLOCK_SIZE] == 'a');
}

Test(block_io, memory)
{
	struct device device;

	device_open(&device, 3);
	cr_expect_eq(device.io->nr_blocks, 3);
	expect_kept(device.io);
	expect_within(device.io);
	device_close(&device);
}

static int temporary_file(off_t size)
{
	char path[] = "/tmp/era-block-io-XXXXXX";
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && !ftruncate(fd, size));
	unlink(path);
	return fd;
}

/* The rest that is no whole block is not there. */
Test(block_io, file)
{
	int fd = temporary_file(4 * METADATA_BLOCK_SIZE - 1);
	struct block_io *io;

	cr_assert_eq(block_io_open_fd(fd, &io), PD_OK);
	cr_expect_eq(io->nr_blocks, 3);
	expect_kept(io);
	expect_within(io);
	cr_assert_eq(ftruncate(fd, METADATA_BLOCK_SIZE + 1), 0);
	cr_expect_eq(block_io_read(io, 0, 1, buffer), PD_OK);
	errno = 0;
	cr_expect_eq(block_io_read(io, 0, 2, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EIO);
	block_io_close(io);
	cr_expect_eq(fcntl(fd, F_GETFD), 0, "the file is the caller's");
	close(fd);
}

Test(block_io, what_is_no_device)
{
	struct block_io *io = NULL;
	int fd = open("/tmp", O_RDONLY);

	cr_expect_eq(block_io_open_fd(fd, &io), PD_ERR_UNSUPPORTED);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	cr_expect_eq(block_io_open_fd(fd, &io), PD_ERR_UNSUPPORTED);
	close(fd);
	cr_expect_eq(block_io_open_fd(-1, &io), PD_ERR_IO);
	fd = temporary_file(0);
	cr_assert_eq(block_io_open_fd(fd, &io), PD_OK);
	cr_expect_eq(io->nr_blocks, 0);
	cr_expect_eq(block_io_read(io, 0, 1, buffer), PD_ERR_IO);
	block_io_close(io);
	close(fd);
	block_io_close(NULL);
}

Test(block_io, a_file_that_cannot_be_written)
{
	char path[] = "/tmp/era-block-io-XXXXXX";
	int writable = mkstemp(path);
	int fd = open(path, O_RDONLY);
	struct block_io *io;

	cr_assert_eq(ftruncate(writable, METADATA_BLOCK_SIZE), 0);
	cr_assert_eq(block_io_open_fd(fd, &io), PD_OK);
	cr_expect_eq(block_io_write(io, 0, 1, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EBADF);
	block_io_close(io);
	close(fd);
	close(writable);
	unlink(path);
}

/* The test devices themselves: a log replays to the same, torn where it is told to be. */
Test(block_io, log)
{
	static uint8_t image[3 * METADATA_BLOCK_SIZE];
	struct device device;
	struct io_log log;
	struct block_io *io;

	device_open(&device, 3);
	io_log_init(&log);
	io = io_log_open(&log, 5, device.io);
	expect_kept(io);
	memset(buffer, 'c', METADATA_BLOCK_SIZE);
	cr_expect_eq(block_io_write(io, 0, 1, buffer), PD_OK);
	cr_expect_eq(log.nr, 3);
	cr_expect_eq(io_log_epoch(&log, 3, 5), 2);
	cr_expect_eq(io_log_epoch(&log, 1, 5), 0);
	io_log_replay(&log, 1, 4, image);
	cr_expect_eq(image[METADATA_BLOCK_SIZE], 0, "that was another device");
	io_log_replay(&log, 2, 5, image);
	cr_expect(image[METADATA_BLOCK_SIZE] == 'a' && !image[0]);
	cr_expect_eq(io_record_sectors(&log.records[2]), 8);
	io_record_apply(&log.records[2], 3, image);
	cr_expect(image[3 * IO_SECTOR - 1] == 'c' && !image[3 * IO_SECTOR]);
	io_log_replay(&log, 3, 5, image);
	cr_expect_arr_eq(image, device.memory, sizeof(image));
	block_io_close(io);
	io_log_free(&log);
	device_close(&device);
}

Test(block_io, failures)
{
	for (int for_good = 0; for_good < 2; for_good++) {
		struct failure failure = {
			.kinds = FAIL_WRITES, .left = 1, .for_good = for_good, .error = ENOSPC};
		struct device device;
		struct block_io *io;

		device_open(&device, 3);
		io = failing_io_open(device.io, &failure);
		cr_expect_eq(block_io_write(io, 0, 1, buffer), PD_OK);
		cr_expect_eq(block_io_read(io, 0, 1, buffer), PD_OK);
		cr_expect(!failure_happened(&failure));
		cr_expect_eq(block_io_write(io, 0, 1, buffer), PD_ERR_IO);
		cr_expect_eq(errno, ENOSPC);
		cr_expect(failure_happened(&failure));
		cr_expect_eq(block_io_write(io, 0, 1, buffer), for_good ? PD_ERR_IO : PD_OK);
		cr_expect_eq(block_io_flush(io), PD_OK);
		block_io_close(io);
		device_close(&device);
	}
}
