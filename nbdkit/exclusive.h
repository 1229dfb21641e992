/* SPDX-License-Identifier: MIT */
#ifndef NBDKIT_EXCLUSIVE_H
#define NBDKIT_EXCLUSIVE_H

#include "nbdkit/backing.h"

struct exclusive {
	int fd; /* -1: not open */
	struct backing backing;
};

#define EXCLUSIVE_CLOSED ((struct exclusive){.fd = -1})

/*
 * Opens a file or block device to read and write, for itself alone: a block device against whoever
 * else opens it exclusively, a mount among them; a file against whoever locks it, as the commands and
 * other servers do; a loop device against both, see backing.h. 0 or an errno value: EBUSY: in use;
 * EROFS: a device that is read-only; EINVAL: no file or block device.
 */
int exclusive_open(const char *path, struct exclusive *file);
void exclusive_close(struct exclusive *file);

#endif
