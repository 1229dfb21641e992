/* SPDX-License-Identifier: MIT */
/*
 * A thread that does a job while its owner does something else, one job at a time: a buffer is
 * written while the next one is filled, or read while the one before is looked at.
 *
 * A job that the thread has not begun when it is waited for is done by whoever waits. So nothing
 * depends on there being a thread, and on a machine with one processor there is none.
 */
#ifndef PERSISTENT_DATA_WORKER_H
#define PERSISTENT_DATA_WORKER_H

#include <stdbool.h>

struct worker;

/* NULL: out of memory. */
struct worker *worker_open(void);

/* No job may be under way. NULL is fine. */
void worker_close(struct worker *worker);

/* The job before must have been waited for. */
void worker_start(struct worker *worker, int (*job)(void *context), void *context);

/* What the last job returned; 0 if none was started since. */
int worker_wait(struct worker *worker);

#endif
