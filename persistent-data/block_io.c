/* SPDX-License-Identifier: MIT */
/* Block devices: the checks all of them share, and the two kinds that are no test's: fd, memory. */
#include "persistent-data/block_io.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool within(const struct block_io *io, uint64_t first, uint32_t count)
{
	if (first <= io->nr_blocks && count <= io->nr_blocks - first)
		return true;
	errno = EINVAL;
	return false;
}

int block_io_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	return within(io, first, count) ? io->ops->read(io, first, count, buffer) : PD_ERR_IO;
}

int block_io_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	return within(io, first, count) ? io->ops->write(io, first, count, buffer) : PD_ERR_IO;
}

int block_io_flush(struct block_io *io)
{
	return io->ops->flush(io);
}

void block_io_close(struct block_io *io)
{
	if (io)
		io->ops->close(io);
}

struct fd_io {
	struct block_io io;
	int fd;
};

static int fd_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct fd_io *file = (struct fd_io *)io;
	uint8_t *to = buffer;
	size_t left = (size_t)count * METADATA_BLOCK_SIZE;
	off_t from = (off_t)(first * METADATA_BLOCK_SIZE);

	while (left) {
		ssize_t n = pread(file->fd, to, left, from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* the file became shorter under our hands */
		if (n <= 0)
			return PD_ERR_IO;
		to += n;
		from += n;
		left -= (size_t)n;
	}
	return PD_OK;
}

static int fd_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	const struct fd_io *file = (struct fd_io *)io;
	const uint8_t *from = buffer;
	size_t left = (size_t)count * METADATA_BLOCK_SIZE;
	off_t to = (off_t)(first * METADATA_BLOCK_SIZE);

	while (left) {
		ssize_t n = pwrite(file->fd, from, left, to);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return PD_ERR_IO;
		from += n;
		to += n;
		left -= (size_t)n;
	}
	return PD_OK;
}

static int fd_flush(struct block_io *io)
{
	const struct fd_io *file = (struct fd_io *)io;

	return fdatasync(file->fd) ? PD_ERR_IO : PD_OK;
}

static void fd_close(struct block_io *io)
{
	free(io);
}

static const struct block_io_ops fd_ops = {fd_read, fd_write, fd_flush, fd_close};

static int device_size(int fd, uint64_t *bytes)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) || ioctl(fd, BLKGETSIZE64, bytes))
		return PD_ERR_IO;
	return PD_OK;
}

static int fd_size(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return PD_ERR_IO;
	if (S_ISBLK(st.st_mode))
		return device_size(fd, bytes);
	if (!S_ISREG(st.st_mode))
		return PD_ERR_UNSUPPORTED;
	*bytes = (uint64_t)st.st_size;
	return PD_OK;
}

int block_io_open_fd(int fd, struct block_io **result)
{
	struct fd_io *file;
	uint64_t bytes;
	int r = fd_size(fd, &bytes);

	if (r)
		return r;
	file = malloc(sizeof(*file));
	if (!file)
		return PD_ERR_NO_MEMORY;
	*file = (struct fd_io){{&fd_ops, bytes / METADATA_BLOCK_SIZE}, fd};
	*result = &file->io;
	return PD_OK;
}

struct memory_io {
	struct block_io io;
	uint8_t *memory;
};

static int memory_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct memory_io *mem = (struct memory_io *)io;

	memcpy(buffer, mem->memory + first * METADATA_BLOCK_SIZE,
	       (size_t)count * METADATA_BLOCK_SIZE);
	return PD_OK;
}

static int memory_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	const struct memory_io *mem = (struct memory_io *)io;

	memcpy(mem->memory + first * METADATA_BLOCK_SIZE, buffer,
	       (size_t)count * METADATA_BLOCK_SIZE);
	return PD_OK;
}

static int memory_flush(struct block_io *io)
{
	(void)io;
	return PD_OK;
}

static void memory_close(struct block_io *io)
{
	free(io);
}

static const struct block_io_ops memory_ops = {memory_read, memory_write, memory_flush,
					       memory_close};

int block_io_open_memory(void *memory, uint64_t nr_blocks, struct block_io **result)
{
	struct memory_io *mem = malloc(sizeof(*mem));

	if (!mem)
		return PD_ERR_NO_MEMORY;
	*mem = (struct memory_io){{&memory_ops, nr_blocks}, memory};
	*result = &mem->io;
	return PD_OK;
}
