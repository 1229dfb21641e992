/* SPDX-License-Identifier: MIT */
/* A thread that does one job at a time. */
#include "persistent-data/worker.h"
#include "persistent-data/thread.h"

#include <pthread.h>
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

struct worker *worker_open(void)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	worker->has_thread =
		thread_nr_processors() > 1 && thread_start_elsewhere(&worker->thread, work, worker);
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
