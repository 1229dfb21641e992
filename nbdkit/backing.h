/* SPDX-License-Identifier: MIT */
#ifndef NBDKIT_BACKING_H
#define NBDKIT_BACKING_H

#include <sys/types.h>

/*
 * What is behind a loop device, or behind a partition of one, is in use as well. Locks it, for the open
 * block device fd, whose number is device: a file against whoever locks all of it, and against other
 * servers of the same part; a block device against whoever else opens it exclusively.
 *
 * 0 or an errno value: EBUSY: in use. *backing is what is to be closed then; -1: it is no loop device,
 * or nothing is to be had by its file's name (any more).
 */
int backing_lock(int fd, dev_t device, int *backing);

#endif
