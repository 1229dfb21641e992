/* SPDX-License-Identifier: MIT */
/* Devices of data that are files: what lies outside, what becomes shorter, what cannot be written. */
#include "era/data_io.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 100000

static uint8_t buffer[SIZE] __attribute__((aligned(DATA_IO_ALIGN)));

static int make_file(char path[])
{
	int fd = mkstemp(path);

	memset(buffer, 0xa5, sizeof(buffer));
	cr_assert(fd >= 0 && write(fd, buffer, SIZE) == SIZE);
	return fd;
}

Test(data_io, nothing_outside)
{
	char path[] = "/tmp/era-data-io-XXXXXX";
	int fd = make_file(path);
	struct data_io *io;

	cr_assert_eq(data_io_open_fd(fd, &io), PD_OK);
	cr_expect_eq(io->size, SIZE);
	cr_expect_eq(data_io_read(io, SIZE - 10, 11, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(data_io_write(io, SIZE, 1, buffer), PD_ERR_IO);
	cr_expect_eq(data_io_zero(io, UINT64_MAX, 2), PD_ERR_IO);
	cr_expect_eq(data_io_zero(io, SIZE - 1, UINT64_MAX), PD_ERR_IO);
	cr_expect_eq(data_io_read(io, SIZE - 10, 10, buffer), PD_OK);
	cr_expect_eq(lseek(fd, 0, SEEK_END), SIZE);
	data_io_close(io);
	close(fd);
	unlink(path);
}

Test(data_io, zeroes)
{
	char path[] = "/tmp/era-data-io-XXXXXX";
	int fd = make_file(path);
	struct data_io *io;

	cr_assert_eq(data_io_open_fd(fd, &io), PD_OK);
	cr_expect_eq(data_io_zero(io, 1000, 0), PD_OK);
	cr_expect_eq(data_io_zero(io, 1000, SIZE - 2000), PD_OK);
	cr_expect_eq(data_io_flush(io), PD_OK);
	cr_expect_eq(data_io_read(io, 0, SIZE, buffer), PD_OK);
	for (size_t i = 0; i < SIZE; i++)
		cr_assert_eq(buffer[i], i < 1000 || i >= SIZE - 1000 ? 0xa5 : 0, "byte %zu", i);
	data_io_close(io);
	close(fd);
	unlink(path);
}

/* A file that was cut short behind our back has no zeroes there, but nothing. */
Test(data_io, becomes_shorter)
{
	char path[] = "/tmp/era-data-io-XXXXXX";
	int fd = make_file(path);
	struct data_io *io;

	cr_assert_eq(data_io_open_fd(fd, &io), PD_OK);
	cr_assert_eq(ftruncate(fd, 5000), 0);
	cr_expect_eq(data_io_read(io, 4096, 4096, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EIO);
	data_io_close(io);
	close(fd);
	unlink(path);
}

/* Where zeroes cannot be had by another way they are written, which fails here as well. */
Test(data_io, cannot_be_written)
{
	char path[] = "/tmp/era-data-io-XXXXXX";
	int fd = make_file(path);
	int reading = open(path, O_RDONLY);
	struct data_io *io;

	cr_assert(reading >= 0);
	cr_assert_eq(data_io_open_fd(reading, &io), PD_OK);
	cr_expect_eq(data_io_write(io, 0, 1, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EBADF);
	cr_expect_eq(data_io_zero(io, 0, SIZE), PD_ERR_IO);
	cr_expect_eq(data_io_read(io, 0, SIZE, buffer), PD_OK);
	cr_expect_eq(buffer[0], 0xa5);
	data_io_close(io);
	close(reading);
	close(fd);
	unlink(path);
}

Test(data_io, other_kinds_of_file)
{
	int fd = open("/dev/null", O_RDWR);
	struct data_io *io;

	cr_expect_eq(data_io_open_fd(fd, &io), PD_ERR_UNSUPPORTED);
	close(fd);
	cr_expect_eq(data_io_open_fd(fd, &io), PD_ERR_IO);
}
