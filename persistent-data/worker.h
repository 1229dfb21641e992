/* SPDX-License-Identifier: MIT */
/*
 * A thread that does a job while its owner does something else: a buffer is written while the next one
 * is filled, or read while the one before is looked at. Its next job may be started before that is
 * done, so that it goes on without a rest: to wake a thread takes long on a virtual machine.
 *
 * A job that the thread has not begun when it is waited for is done by whoever waits. So nothing
 * depends on there being a thread, and on a machine with one processor there is none. After a job that
 * failed no other is done.
 */
#ifndef PERSISTENT_DATA_WORKER_H
#define PERSISTENT_DATA_WORKER_H

#include <stdbool.h>

struct worker;

/* NULL: out of memory. */
struct worker *worker_open(void);

/* No job may be under way. NULL is fine. */
void worker_close(struct worker *worker);

/* Returns when the jobs before are done: 0, or what the first one returned that failed. */
int worker_start(struct worker *worker, int (*run)(void *context), void *context);

/* The same when all jobs are done. */
int worker_wait(struct worker *worker);

#endif
