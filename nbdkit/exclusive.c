/* SPDX-License-Identifier: MIT */
/* Files and block devices for one server alone. */
#include "nbdkit/exclusive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A device can be opened to be written though it is read-only: only the writes would fail. */
static int check_writable(int fd)
{
	int read_only = 0;

	if (ioctl(fd, BLKROGET, &read_only))
		return errno;
	return read_only ? EROFS : 0;
}

static int lock_file(int fd)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	return errno == EWOULDBLOCK ? EBUSY : errno;
}

/* Reads a line from a file of sysfs. */
static bool read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool ok = file && fgets(line, size, file);

	if (file)
		fclose(file);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* -1 if it is not to be had by that name (any more): the device alone is locked then. */
static int open_backing_file(dev_t loop, const struct loop_info64 *info)
{
	char path[64], name[PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major(loop),
		 minor(loop));
	if (!read_line(path, name, sizeof(name)) || stat(name, &st) || !S_ISREG(st.st_mode))
		return -1;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st) && st.st_ino == info->lo_inode &&
	    st.st_dev == info->lo_device)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The file of a loop device is in use as well. */
static int lock_backing_file(int fd, dev_t device, int *backing)
{
	struct loop_info64 info;

	/* One that is a part of its file only may share that with others. */
	if (major(device) != LOOP_MAJOR || ioctl(fd, LOOP_GET_STATUS64, &info) || info.lo_offset ||
	    info.lo_sizelimit)
		return 0;
	*backing = open_backing_file(device, &info);
	return *backing < 0 ? 0 : lock_file(*backing);
}

static int claim(int fd, const struct stat *st, int *backing)
{
	int r;

	if (!S_ISBLK(st->st_mode))
		return lock_file(fd);
	r = check_writable(fd);
	return r ? r : lock_backing_file(fd, st->st_rdev, backing);
}

void exclusive_close(struct exclusive *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->backing >= 0)
		close(file->backing);
	*file = EXCLUSIVE_CLOSED;
}

int exclusive_open(const char *path, struct exclusive *file)
{
	int r, flags = O_RDWR | O_CLOEXEC;
	struct stat st;

	*file = EXCLUSIVE_CLOSED;
	/* Looked at before it is opened: opening a named pipe would wait for its other end. */
	if (stat(path, &st))
		return errno;
	if (S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	else if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	file->fd = open(path, flags);
	if (file->fd < 0)
		return errno;
	r = claim(file->fd, &st, &file->backing);
	if (r)
		exclusive_close(file);
	return r;
}
