/* SPDX-License-Identifier: MIT */
/* Threads that help the one that starts them. */
#include "persistent-data/thread.h"

#include <sched.h>
#include <signal.h>

unsigned thread_nr_processors(void)
{
	cpu_set_t processors;

	return sched_getaffinity(0, sizeof(processors), &processors)
		       ? 1
		       : (unsigned)CPU_COUNT(&processors);
}

/* Leaves things as they are if there are no other processors. */
static void place_elsewhere(pthread_attr_t *attributes)
{
	int here = sched_getcpu();
	cpu_set_t processors;

	if (here < 0 || sched_getaffinity(0, sizeof(processors), &processors))
		return;
	CPU_CLR((size_t)here, &processors);
	if (CPU_COUNT(&processors))
		pthread_attr_setaffinity_np(attributes, sizeof(processors), &processors);
}

static bool start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *context),
		  void *context)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = !pthread_create(thread, attributes, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

bool thread_start(pthread_t *thread, void *(*run)(void *context), void *context)
{
	return start(thread, NULL, run, context);
}

bool thread_start_elsewhere(pthread_t *thread, void *(*run)(void *context), void *context)
{
	pthread_attr_t attributes;
	bool started;

	if (pthread_attr_init(&attributes))
		return false;
	place_elsewhere(&attributes);
	started = start(thread, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	return started;
}
