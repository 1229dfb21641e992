/* SPDX-License-Identifier: MIT */
/* Tells on a terminal how far a long work has come. */
#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SECONDS 1.0 /* work shorter than this is not told of */
#define STEP_SECONDS 0.2

void progress_init(struct progress *progress, bool quiet)
{
	memset(progress, 0, sizeof(*progress));
	progress->active = !quiet && isatty(STDERR_FILENO);
	if (progress->active)
		clock_gettime(CLOCK_MONOTONIC, &progress->begin);
	progress->last = progress->begin;
}

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static void show(struct progress *progress, double seconds)
{
	double rate = (double)progress->done / seconds;

	if (progress->total >= progress->done && progress->total)
		fprintf(stderr, "\r%5.1f %%, %.0f MB/s, %.0f s left \033[K",
			100.0 * (double)progress->done / (double)progress->total, rate / 1e6,
			(double)(progress->total - progress->done) / rate);
	else
		fprintf(stderr, "\r%.0f MB, %.0f MB/s \033[K", (double)progress->done / 1e6,
			rate / 1e6);
	fflush(stderr);
	progress->shown = true;
}

void progress_add(struct progress *progress, uint64_t bytes)
{
	struct timespec now;

	progress->done += bytes;
	if (!progress->active)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_between(&progress->begin, &now) < FIRST_SECONDS ||
	    seconds_between(&progress->last, &now) < STEP_SECONDS)
		return;
	progress->last = now;
	show(progress, seconds_between(&progress->begin, &now));
}

void progress_clear(struct progress *progress)
{
	if (progress && progress->shown) {
		fputs("\r\033[K", stderr);
		progress->shown = false;
	}
}

static int progress_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	struct progress_io *counted = (struct progress_io *)io;

	progress_add(counted->progress, (uint64_t)count * METADATA_BLOCK_SIZE);
	return block_io_read(counted->below, first, count, buffer);
}

static bool progress_begin(struct block_io *io, struct block_read *read)
{
	block_io_begin(((struct progress_io *)io)->below, read);
	return read->begun;
}

static int progress_finish(struct block_io *io, struct block_read *read)
{
	struct progress_io *counted = (struct progress_io *)io;

	progress_add(counted->progress, (uint64_t)read->count * METADATA_BLOCK_SIZE);
	return block_io_finish(counted->below, read);
}

static int progress_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	return block_io_write(((struct progress_io *)io)->below, first, count, buffer);
}

static int progress_flush(struct block_io *io)
{
	return block_io_flush(((struct progress_io *)io)->below);
}

static void progress_close(struct block_io *io)
{
	(void)io;
}

void progress_io_init(struct progress_io *progress_io, struct block_io *below,
		      struct progress *progress)
{
	static const struct block_io_ops ops = {progress_read,	progress_write, progress_flush,
						progress_close, progress_begin, progress_finish};

	progress_io->io = (struct block_io){&ops, below->nr_blocks, below->nr_ahead};
	progress_io->below = below;
	progress_io->progress = progress;
}
