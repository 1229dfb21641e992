/* SPDX-License-Identifier: MIT */
/* The origin. */
#include "nbdkit/origin.h"
#include "persistent-data/whole_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

static int find_size(struct origin *origin)
{
	struct stat st;
	off_t end = lseek(origin->file.fd, 0, SEEK_END);

	if (end < 0 || fstat(origin->file.fd, &st))
		return errno;
	origin->size = (uint64_t)end;
	origin->block_device = S_ISBLK(st.st_mode);
	origin->has_extents = lseek(origin->file.fd, 0, SEEK_HOLE) >= 0;
	return 0;
}

int origin_open(struct origin *origin, const char *path)
{
	int r;

	*origin = (struct origin){.file = EXCLUSIVE_CLOSED};
	r = exclusive_open(path, &origin->file);
	return r ? r : find_size(origin);
}

void origin_close(struct origin *origin)
{
	exclusive_close(&origin->file);
}

int origin_read(const struct origin *origin, void *buffer, size_t length, uint64_t offset)
{
	return read_whole(origin->file.fd, buffer, length, offset) ? errno : 0;
}

int origin_write(const struct origin *origin, const void *buffer, size_t length, uint64_t offset)
{
	return write_whole(origin->file.fd, buffer, length, offset) ? errno : 0;
}

int origin_flush(const struct origin *origin)
{
	return fdatasync(origin->file.fd) ? errno : 0;
}

static int allocate(const struct origin *origin, int mode, uint64_t length, uint64_t offset)
{
	int r;

	do
		r = fallocate(origin->file.fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)length);
	while (r && errno == EINTR);
	/* A block device wants whole sectors. */
	return !r ? 0 : errno == EINVAL || errno == ENODEV ? EOPNOTSUPP : errno;
}

int origin_zero(const struct origin *origin, uint64_t length, uint64_t offset, bool punch,
		bool fast)
{
	int r = EOPNOTSUPP;

	if (punch)
		r = allocate(origin, FALLOC_FL_PUNCH_HOLE, length, offset);
	/* For a block device that cannot do it, the kernel writes zeroes. */
	if (r == EOPNOTSUPP && !(fast && origin->block_device))
		r = allocate(origin, FALLOC_FL_ZERO_RANGE, length, offset);
	return r;
}

int origin_trim(const struct origin *origin, uint64_t length, uint64_t offset)
{
	int r = allocate(origin, FALLOC_FL_PUNCH_HOLE, length, offset);

	return r == EOPNOTSUPP ? 0 : r;
}

int origin_extent(const struct origin *origin, uint64_t offset, bool *hole, uint64_t *end)
{
	off_t next = lseek(origin->file.fd, (off_t)offset, SEEK_DATA);

	if (next < 0 && errno != ENXIO)
		return errno;
	*hole = next < 0 || (uint64_t)next > offset;
	if (!*hole)
		next = lseek(origin->file.fd, (off_t)offset, SEEK_HOLE);
	/* A hole to the end; or it was cut short meanwhile. */
	*end = next < 0 || (uint64_t)next > origin->size ? origin->size : (uint64_t)next;
	return 0;
}
