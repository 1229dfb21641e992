/* SPDX-License-Identifier: MIT */
/* A thread that does one job at a time. */
#include "persistent-data/worker.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	enum { IDLE, WAITING, GOING_ON, DONE } state;
	bool closing, has_thread;
	pthread_t thread;
	int (*job)(void *context);
	void *context;
	int result;
};

bool worker_helps(void)
{
	cpu_set_t processors;

	return !sched_getaffinity(0, sizeof(processors), &processors) && CPU_COUNT(&processors) > 1;
}

static void do_job(struct worker *worker)
{
	int result;

	worker->state = GOING_ON;
	pthread_mutex_unlock(&worker->lock);
	result = worker->job(worker->context);
	pthread_mutex_lock(&worker->lock);
	worker->result = result;
	worker->state = DONE;
	pthread_cond_broadcast(&worker->changed);
}

static void *work(void *context)
{
	struct worker *worker = context;

	pthread_mutex_lock(&worker->lock);
	while (!worker->closing) {
		if (worker->state == WAITING)
			do_job(worker);
		else
			pthread_cond_wait(&worker->changed, &worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* Signals are for the threads of whoever uses this. */
static bool start_thread(struct worker *worker)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = !pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

struct worker *worker_open(void)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	worker->has_thread = worker_helps() && start_thread(worker);
	return worker;
}

void worker_close(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->closing = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	if (worker->has_thread)
		pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

void worker_start(struct worker *worker, int (*job)(void *context), void *context)
{
	pthread_mutex_lock(&worker->lock);
	worker->job = job;
	worker->context = context;
	worker->state = WAITING;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

int worker_wait(struct worker *worker)
{
	int result = 0;

	pthread_mutex_lock(&worker->lock);
	if (worker->state == WAITING)
		do_job(worker);
	while (worker->state == GOING_ON)
		pthread_cond_wait(&worker->changed, &worker->lock);
	if (worker->state == DONE)
		result = worker->result;
	worker->state = IDLE;
	pthread_mutex_unlock(&worker->lock);
	return result;
}
