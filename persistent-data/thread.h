/* SPDX-License-Identifier: MIT */
/* Threads that help the one that starts them. */
#ifndef PERSISTENT_DATA_THREAD_H
#define PERSISTENT_DATA_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Processors that this process may use. */
unsigned thread_nr_processors(void);

/* Starts a thread that no signal reaches: those are for the threads of whoever uses this. */
bool thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

/*
 * The same for a thread that keeps a processor busy: it begins on another than its caller is on, where
 * there is one. Left to itself, Linux may put it behind its caller on the same one for milliseconds,
 * above all on a virtual machine, whose idle processors count as taken.
 */
bool thread_start_elsewhere(pthread_t *thread, void *(*run)(void *context), void *context);

#endif
