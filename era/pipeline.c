/* SPDX-License-Identifier: MIT */
/* Two buffers between two threads. */
#include "era/pipeline.h"
#include "persistent-data/error.h"
#include "persistent-data/thread.h"

#include "era/data_io.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct run {
	const struct pipeline *pipeline;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct batch batches[2];
	bool full[2];
	bool ended;	 /* by the filler */
	bool given_up;	 /* by the emptier */
	int error, code; /* the filler's, and its errno */
};

uint8_t *batch_room(const struct batch *batch, uint64_t wanted, size_t *length)
{
	size_t room = BATCH_SIZE - batch->used;

	*length = wanted < room ? (size_t)wanted : room;
	return room && batch->nr < BATCH_MAX_PIECES ? batch->buffer + batch->used : NULL;
}

void batch_add(struct batch *batch, uint64_t offset, uint64_t length, const uint8_t *data)
{
	batch->pieces[batch->nr++] = (struct piece){offset, length, data};
	if (data)
		batch->used += (length + DATA_IO_ALIGN - 1) / DATA_IO_ALIGN * DATA_IO_ALIGN;
}

/* Waits until a batch is full, or empty; false: it never will be. */
static bool wait_until(struct run *run, unsigned i, bool full)
{
	bool is;

	pthread_mutex_lock(&run->mutex);
	while (run->full[i] != full && !run->given_up && !run->ended)
		pthread_cond_wait(&run->changed, &run->mutex);
	is = run->full[i] == full && !run->given_up;
	pthread_mutex_unlock(&run->mutex);
	return is;
}

static void signal_change(struct run *run, bool *flag, bool value)
{
	pthread_mutex_lock(&run->mutex);
	*flag = value;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
}

static void *fill_batches(void *context)
{
	struct run *run = context;
	const struct pipeline *pipeline = run->pipeline;
	int r = PD_OK;

	for (unsigned i = 0; !r && wait_until(run, i, false); i = !i) {
		struct batch *batch = &run->batches[i];

		batch->nr = 0;
		batch->used = 0;
		r = pipeline->fill(pipeline->fill_context, batch);
		if (r || !batch->nr)
			break;
		signal_change(run, &run->full[i], true);
	}
	run->code = errno;
	run->error = r;
	signal_change(run, &run->ended, true);
	return NULL;
}

static int empty_batches(struct run *run)
{
	const struct pipeline *pipeline = run->pipeline;
	int r = PD_OK;

	for (unsigned i = 0; !r && wait_until(run, i, true); i = !i) {
		r = pipeline->empty(pipeline->empty_context, &run->batches[i]);
		signal_change(run, &run->full[i], false);
	}
	return r;
}

static int run_threads(struct run *run)
{
	pthread_t filler;
	int r, code;

	if (!thread_start(&filler, fill_batches, run))
		return PD_ERR_NO_MEMORY;
	r = empty_batches(run);
	code = errno;
	signal_change(run, &run->given_up, true);
	pthread_join(filler, NULL);
	errno = r ? code : run->code;
	return r ? r : run->error;
}

int pipeline_run(const struct pipeline *pipeline)
{
	struct run run = {.pipeline = pipeline,
			  .mutex = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER};
	int r = PD_ERR_NO_MEMORY;

	for (unsigned i = 0; i < 2; i++)
		run.batches[i].buffer = aligned_alloc(DATA_IO_ALIGN, BATCH_SIZE);
	if (run.batches[0].buffer && run.batches[1].buffer)
		r = run_threads(&run);
	for (unsigned i = 0; i < 2; i++)
		free(run.batches[i].buffer);
	return r;
}
