/* SPDX-License-Identifier: MIT */
/* Reading and writing all that was asked for, and pipes. */
#include "persistent-data/whole_io.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define WIDE (256 * 1024)

Test(whole_io, a_file_that_ends_too_early)
{
	char buffer[8] = "1234567";
	FILE *file = tmpfile();
	size_t nr = 1;

	cr_assert(file);
	cr_assert_eq(write_whole(fileno(file), buffer, 8, 3), PD_OK);
	cr_expect_eq(read_whole(fileno(file), buffer, 8, 3), PD_OK);
	cr_expect_str_eq(buffer, "1234567");
	errno = 0;
	cr_expect_eq(read_whole(fileno(file), buffer, 8, 4), PD_ERR_IO);
	cr_expect_eq(errno, EIO);
	cr_assert_eq(lseek(fileno(file), 0, SEEK_END), 11);
	cr_expect_eq(read_stream(fileno(file), buffer, 8, &nr), PD_OK);
	cr_expect_eq(nr, 0);
	fclose(file);
}

/* More than a pipe holds, if nobody reads meanwhile: part of it is what the system takes. */
Test(whole_io, an_error_after_a_part)
{
	static char much[2 * WIDE];
	int ends[2];

	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	cr_expect_eq(write_stream(ends[1], much, sizeof(much)), PD_ERR_IO);
	cr_expect_eq(errno, EAGAIN);
	close(ends[0]);
	close(ends[1]);
}

Test(whole_io, pipes_are_widened)
{
	FILE *file = tmpfile();
	int ends[2];

	cr_assert(file && !pipe(ends));
	cr_assert_lt(fcntl(ends[0], F_GETPIPE_SZ), WIDE);
	widen_pipe(ends[1]);
	cr_expect_eq(fcntl(ends[0], F_GETPIPE_SZ), WIDE);
	cr_assert_eq(fcntl(ends[0], F_SETPIPE_SZ, 2 * WIDE), 2 * WIDE);
	widen_pipe(ends[0]);
	cr_expect_eq(fcntl(ends[0], F_GETPIPE_SZ), 2 * WIDE, "it is never made to hold less");
	widen_pipe(fileno(file));
	close(ends[0]);
	close(ends[1]);
	fclose(file);
}
