/* SPDX-License-Identifier: MIT */
/* Files and block devices for one server alone. */
#include "nbdkit/exclusive.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

static int claim(int fd, const struct stat *st, struct backing *backing)
{
	int r;

	if (!S_ISBLK(st->st_mode))
		return lock_file(fd);
	r = check_writable(fd);
	return r ? r : backing_lock(fd, st->st_rdev, backing);
}

void exclusive_close(struct exclusive *file)
{
	if (file->fd >= 0)
		close(file->fd);
	backing_unlock(&file->backing);
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
