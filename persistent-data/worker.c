/* SPDX-License-Identifier: MIT */
/* A thread that does one job behind the other. */
#include "persistent-data/worker.h"
#include "persistent-data/thread.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct job {
	int (*run)(void *context);
	void *context;
};

struct worker {
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	bool closing, has_thread;
	pthread_t thread;
	struct job jobs[2]; /* the n-th is at n % 2 */
	uint64_t nr_started, nr_begun, nr_done;
	int error; /* of the first job that failed */
};

static bool job_waits(const struct worker *worker)
{
	return worker->nr_begun == worker->nr_done && worker->nr_begun < worker->nr_started;
}

static void do_job(struct worker *worker)
{
	const struct job *job = &worker->jobs[worker->nr_begun++ % 2];
	int r = worker->error;

	if (!r) {
		pthread_mutex_unlock(&worker->lock);
		r = job->run(job->context);
		pthread_mutex_lock(&worker->lock);
	}
	worker->error = r;
	worker->nr_done++;
	pthread_cond_broadcast(&worker->changed);
}

static void *work(void *context)
{
	struct worker *worker = context;

	pthread_mutex_lock(&worker->lock);
	while (!worker->closing) {
		if (job_waits(worker))
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

/* Returns when that many jobs are done, with what came of them. */
static int wait_for(struct worker *worker, uint64_t nr_jobs)
{
	while (worker->nr_done < nr_jobs) {
		if (job_waits(worker))
			do_job(worker);
		else
			pthread_cond_wait(&worker->changed, &worker->lock);
	}
	return worker->error;
}

int worker_start(struct worker *worker, int (*run)(void *context), void *context)
{
	int r;

	pthread_mutex_lock(&worker->lock);
	worker->jobs[worker->nr_started++ % 2] = (struct job){run, context};
	pthread_cond_broadcast(&worker->changed);
	r = wait_for(worker, worker->nr_started - 1);
	pthread_mutex_unlock(&worker->lock);
	return r;
}

int worker_wait(struct worker *worker)
{
	int r;

	pthread_mutex_lock(&worker->lock);
	r = wait_for(worker, worker->nr_started);
	pthread_mutex_unlock(&worker->lock);
	return r;
}
