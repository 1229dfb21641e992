/* SPDX-License-Identifier: MIT */
/* What is behind loop devices. */
#include "nbdkit/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SECTOR_SIZE 512

/* Reads a line of what sysfs knows of a block device. */
static bool read_attribute(dev_t device, const char *name, char *line, int size)
{
	char path[80];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	file = fopen(path, "re");
	ok = file && fgets(line, size, file);
	if (file)
		fclose(file);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* Where a partition begins on its device, in bytes; 0 if it is none. */
static uint64_t partition_begin(dev_t device)
{
	char line[32];

	if (!read_attribute(device, "start", line, sizeof(line)))
		return 0;
	return strtoull(line, NULL, 10) * SECTOR_SIZE;
}

static bool is_that(int r, const struct stat *st, const struct loop_info64 *info)
{
	return !r && st->st_ino == info->lo_inode && st->st_dev == info->lo_device;
}

/* 0 or EBUSY. *fd is -1 if there is nothing by that name, or another file. */
static int open_backing(const char *name, const struct loop_info64 *info, int *fd)
{
	int flags = O_RDWR | O_CLOEXEC;
	struct stat st;

	*fd = -1;
	if (!is_that(stat(name, &st), &st, info))
		return 0;
	if (S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	*fd = open(name, flags);
	if (*fd < 0)
		return errno == EBUSY ? EBUSY : 0;
	if (is_that(fstat(*fd, &st), &st, info))
		return 0;
	close(*fd);
	*fd = -1;
	return 0;
}

/* Two parts may be in use at once, and while they are, nobody has the whole. */
static int lock_part(int fd, uint64_t begin, uint64_t length)
{
	struct flock part = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)begin,
		.l_len = (off_t)length,
	};
	int r = flock(fd, LOCK_SH | LOCK_NB);

	return r ? r : fcntl(fd, F_OFD_SETLK, &part);
}

static int lock_file(int fd, uint64_t begin, uint64_t length)
{
	/* What begins where the file begins may be read as if it were the whole, by commands. */
	int r = begin ? lock_part(fd, begin, length) : flock(fd, LOCK_EX | LOCK_NB);

	if (!r)
		return 0;
	return errno == EWOULDBLOCK || errno == EACCES ? EBUSY : errno;
}

/* *behind is what is to be closed then; -1: it is no loop device, or nothing is to be had. */
static int lock_behind(int fd, dev_t device, int *behind)
{
	char name[PATH_MAX];
	struct loop_info64 info;
	struct stat st;
	uint64_t length;
	int r;

	*behind = -1;
	if (!read_attribute(device, "loop/backing_file", name, sizeof(name)) &&
	    !read_attribute(device, "../loop/backing_file", name, sizeof(name)))
		return 0;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) || ioctl(fd, BLKGETSIZE64, &length))
		return errno;
	r = open_backing(name, &info, behind);
	if (r || *behind < 0 || fstat(*behind, &st) || S_ISBLK(st.st_mode))
		return r;
	return lock_file(*behind, info.lo_offset + partition_begin(device), length);
}

int backing_lock(int fd, dev_t device, struct backing *backing)
{
	struct stat st;
	int behind, r;

	backing->nr = 0;
	do {
		r = lock_behind(fd, device, &behind);
		if (behind < 0)
			return r;
		backing->fds[backing->nr++] = behind;
		if (r || fstat(behind, &st) || !S_ISBLK(st.st_mode))
			return r;
		fd = behind;
		device = st.st_rdev;
	} while (backing->nr < BACKING_MAX);
	return ELOOP;
}

void backing_unlock(struct backing *backing)
{
	while (backing->nr)
		close(backing->fds[--backing->nr]);
}
