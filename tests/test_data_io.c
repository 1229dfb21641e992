/* SPDX-License-Identifier: MIT */
/* Devices of data that are files: what lies outside, what becomes shorter, what cannot be written. */
#include "era/data_io.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 100000

static uint8_t buffer[SIZE] __attribute__((aligned(DATA_IO_ALIGN)));

static char path[] = "/tmp/era-data-io-XXXXXX";
static int fd;
static struct data_io *io;

static void set_up(void)
{
	fd = mkstemp(path);
	memset(buffer, 0xa5, sizeof(buffer));
	cr_assert(fd >= 0 && write(fd, buffer, SIZE) == SIZE);
	cr_assert_eq(data_io_open_fd(fd, &io), PD_OK);
}

static void tear_down(void)
{
	data_io_close(io);
	close(fd);
	unlink(path);
}

TestSuite(data_io, .init = set_up, .fini = tear_down);

Test(data_io, nothing_outside)
{
	cr_expect_eq(io->size, SIZE);
	cr_expect_eq(data_io_read(io, SIZE - 10, 11, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(data_io_write(io, SIZE, 1, buffer), PD_ERR_IO);
	cr_expect_eq(data_io_zero(io, UINT64_MAX, 2), PD_ERR_IO);
	cr_expect_eq(data_io_zero(io, SIZE - 1, UINT64_MAX), PD_ERR_IO);
	cr_expect_eq(data_io_read(io, SIZE - 10, 10, buffer), PD_OK);
	cr_expect_eq(lseek(fd, 0, SEEK_END), SIZE);
}

Test(data_io, zeroes)
{
	cr_expect_eq(data_io_zero(io, 1000, 0), PD_OK);
	cr_expect_eq(data_io_zero(io, 1000, SIZE - 2000), PD_OK);
	cr_expect_eq(data_io_flush(io), PD_OK);
	cr_expect_eq(data_io_read(io, 0, SIZE, buffer), PD_OK);
	for (size_t i = 0; i < SIZE; i++)
		cr_assert_eq(buffer[i], i < 1000 || i >= SIZE - 1000 ? 0xa5 : 0, "byte %zu", i);
}

/* A file that was cut short behind our back has no zeroes there, but nothing. */
Test(data_io, becomes_shorter)
{
	cr_assert_eq(ftruncate(fd, 5000), 0);
	cr_expect_eq(data_io_read(io, 4096, 4096, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EIO);
}

/* Where zeroes cannot be had by another way they are written, which fails here as well. */
Test(data_io, cannot_be_written)
{
	int reading = open(path, O_RDONLY);
	struct data_io *read_only;

	cr_assert(reading >= 0);
	cr_assert_eq(data_io_open_fd(reading, &read_only), PD_OK);
	cr_expect_eq(data_io_write(read_only, 0, 1, buffer), PD_ERR_IO);
	cr_expect_eq(errno, EBADF);
	cr_expect_eq(data_io_zero(read_only, 0, SIZE), PD_ERR_IO);
	cr_expect_eq(data_io_read(read_only, 0, SIZE, buffer), PD_OK);
	cr_expect_eq(buffer[0], 0xa5);
	data_io_close(read_only);
	close(reading);
}

Test(data_io, other_kinds_of_file)
{
	int null = open("/dev/null", O_RDWR);
	struct data_io *none;

	cr_expect_eq(data_io_open_fd(null, &none), PD_ERR_UNSUPPORTED);
	close(null);
	cr_expect_eq(data_io_open_fd(null, &none), PD_ERR_IO);
}
