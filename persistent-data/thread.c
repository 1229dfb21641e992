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

/* The processors that may be used, and those of them that the caller is not on. */
static bool other_processors(cpu_set_t *all, cpu_set_t *others)
{
	int here = sched_getcpu();

	if (here < 0 || sched_getaffinity(0, sizeof(*all), all))
		return false;
	*others = *all;
	CPU_CLR((size_t)here, others);
	return CPU_COUNT(others);
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
	cpu_set_t all, others;
	pthread_attr_t attributes;
	bool started;

	if (!other_processors(&all, &others))
		return start(thread, NULL, run, context);
	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setaffinity_np(&attributes, sizeof(others), &others);
	started = start(thread, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	/* That is where it waits for its turn now. From there it may go wherever there is room. */
	if (started)
		pthread_setaffinity_np(*thread, sizeof(all), &all);
	return started;
}
