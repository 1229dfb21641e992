/* SPDX-License-Identifier: MIT */
#ifndef NBDKIT_BACKING_H
#define NBDKIT_BACKING_H

#include <sys/types.h>

#define BACKING_MAX 8 /* loop devices, one over the other */

struct backing {
	unsigned nr;
	int fds[BACKING_MAX];
};

/*
 * What is behind a loop device, or behind a partition of one, is in use as well; and what is behind
 * that, if it is a loop device, too. Locks it, for the open block device fd, whose number is device: a
 * file against whoever locks all of it, and against other servers of the same part; a block device
 * against whoever else opens it exclusively. Nothing is locked where nothing is to be had by the
 * file's name (any more).
 *
 * 0 or an errno value: EBUSY: in use; ELOOP: more than BACKING_MAX. Unlock in any case.
 */
int backing_lock(int fd, dev_t device, struct backing *backing);
void backing_unlock(struct backing *backing);

#endif
