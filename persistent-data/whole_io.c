/* SPDX-License-Identifier: MIT */
/* Reading and writing all that was asked for. */
#include "persistent-data/whole_io.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPE_SIZE (256 * 1024)

int read_whole(int fd, void *buffer, size_t length, uint64_t offset)
{
	uint8_t *to = buffer;

	while (length) {
		ssize_t n = pread(fd, to, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* it became shorter under our hands */
		if (n <= 0)
			return PD_ERR_IO;
		to += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return PD_OK;
}

int write_whole(int fd, const void *buffer, size_t length, uint64_t offset)
{
	const uint8_t *from = buffer;

	while (length) {
		ssize_t n = pwrite(fd, from, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return PD_ERR_IO;
		from += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return PD_OK;
}

int read_stream(int fd, void *buffer, size_t length, size_t *nr)
{
	ssize_t n;

	do
		n = read(fd, buffer, length);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return PD_ERR_IO;
	*nr = (size_t)n;
	return PD_OK;
}

int write_stream(int fd, const void *buffer, size_t length)
{
	const uint8_t *from = buffer;

	while (length) {
		ssize_t n = write(fd, from, length < STREAM_WRITE_MAX ? length : STREAM_WRITE_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return PD_ERR_IO;
		from += n;
		length -= (size_t)n;
	}
	return PD_OK;
}

void widen_pipe(int fd)
{
	int size = fcntl(fd, F_GETPIPE_SZ);

	if (size >= 0 && size < PIPE_SIZE)
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}
