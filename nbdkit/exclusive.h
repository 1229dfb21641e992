/* SPDX-License-Identifier: MIT */
#ifndef NBDKIT_EXCLUSIVE_H
#define NBDKIT_EXCLUSIVE_H

/*
 * Opens a file or block device to read and write, for itself alone: a block device against whoever
 * else opens it exclusively, a mount among them; a file against whoever locks it, as the commands and
 * other servers do. 0 or an errno value: EBUSY: in use; EROFS: a device that is read-only; EINVAL: no
 * file or block device.
 */
int exclusive_open(const char *path, int *fd);

#endif
