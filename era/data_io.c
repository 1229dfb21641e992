/* SPDX-License-Identifier: MIT */
/* Devices of data: the checks all of them share, and files and block devices. */
#include "era/data_io.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROES_SIZE (256 * 1024)

static bool within(const struct data_io *io, uint64_t offset, uint64_t size)
{
	if (offset <= io->size && size <= io->size - offset)
		return true;
	errno = EINVAL;
	return false;
}

int data_io_read(struct data_io *io, uint64_t offset, size_t size, void *buffer)
{
	return within(io, offset, size) ? io->ops->read(io, offset, size, buffer) : PD_ERR_IO;
}

int data_io_write(struct data_io *io, uint64_t offset, size_t size, const void *buffer)
{
	return within(io, offset, size) ? io->ops->write(io, offset, size, buffer) : PD_ERR_IO;
}

int data_io_zero(struct data_io *io, uint64_t offset, uint64_t size)
{
	return within(io, offset, size) ? io->ops->zero(io, offset, size) : PD_ERR_IO;
}

int data_io_flush(struct data_io *io)
{
	return io->ops->flush(io);
}

void data_io_close(struct data_io *io)
{
	if (io)
		io->ops->close(io);
}

struct fd_data {
	struct data_io io;
	int fd;
	bool is_device;
	uint64_t align; /* bytes: of what can be done with O_DIRECT; 1: everything */
};

static int fd_read(struct data_io *io, uint64_t offset, size_t size, void *buffer)
{
	return read_whole(((const struct fd_data *)io)->fd, buffer, size, offset);
}

static int set_direct(int fd, bool direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT))
		return PD_ERR_IO;
	return PD_OK;
}

static int fd_write(struct data_io *io, uint64_t offset, size_t size, const void *buffer)
{
	const struct fd_data *data = (struct fd_data *)io;
	int r, direct;

	if (offset % data->align == 0 && size % data->align == 0)
		return write_whole(data->fd, buffer, size, offset);
	/* Parts of a device's blocks, which nothing that is made here asks for, take the page cache. */
	if (set_direct(data->fd, false))
		return PD_ERR_IO;
	r = write_whole(data->fd, buffer, size, offset);
	direct = set_direct(data->fd, true);
	return r ? r : direct;
}

static int write_zeroes(struct data_io *io, uint64_t offset, uint64_t size)
{
	uint8_t *zeroes = aligned_alloc(DATA_IO_ALIGN, ZEROES_SIZE);
	int r = PD_OK;

	if (!zeroes)
		return PD_ERR_NO_MEMORY;
	memset(zeroes, 0, ZEROES_SIZE);
	while (!r && size) {
		size_t part = size < ZEROES_SIZE ? (size_t)size : ZEROES_SIZE;

		r = fd_write(io, offset, part, zeroes);
		offset += part;
		size -= part;
	}
	free(zeroes);
	return r;
}

static int fd_zero(struct data_io *io, uint64_t offset, uint64_t size)
{
	const struct fd_data *data = (struct fd_data *)io;
	int how = data->is_device ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;

	if (!size || !fallocate(data->fd, how | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size))
		return PD_OK;
	return write_zeroes(io, offset, size);
}

static int fd_flush(struct data_io *io)
{
	return fsync(((const struct fd_data *)io)->fd) ? PD_ERR_IO : PD_OK;
}

static void fd_close(struct data_io *io)
{
	free(io);
}

static const struct data_io_ops fd_ops = {fd_read, fd_write, fd_zero, fd_flush, fd_close};

static int open_device(struct fd_data *data)
{
	int align = 0;

	data->is_device = true;
	if (ioctl(data->fd, BLKSSZGET, &align) || ioctl(data->fd, BLKGETSIZE64, &data->io.size))
		return PD_ERR_IO;
	data->align = (uint64_t)align;
	return set_direct(data->fd, true);
}

static int open_any(struct fd_data *data)
{
	struct stat st;

	if (fstat(data->fd, &st))
		return PD_ERR_IO;
	if (S_ISBLK(st.st_mode))
		return open_device(data);
	data->io.size = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? PD_OK : PD_ERR_UNSUPPORTED;
}

int data_io_open_fd(int fd, struct data_io **result)
{
	struct fd_data *data = malloc(sizeof(*data));
	int r;

	if (!data)
		return PD_ERR_NO_MEMORY;
	*data = (struct fd_data){.io = {&fd_ops, 0}, .fd = fd, .align = 1};
	r = open_any(data);
	if (r)
		free(data);
	else
		*result = &data->io;
	return r;
}
