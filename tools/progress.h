/* SPDX-License-Identifier: MIT */
/*
 * Tells on a terminal how far a long work has come: share done, rate, time left. Silent where stderr
 * is no terminal, and about work that is soon done.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "persistent-data/block_io.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
	bool active;
	bool shown;	/* a line stands on the terminal */
	uint64_t total; /* bytes; 0: not known */
	uint64_t done;
	struct timespec begin, last;
};

void progress_init(struct progress *progress, bool quiet);
void progress_add(struct progress *progress, uint64_t bytes);

/* Wipes the line, before something else is printed. NULL is fine. */
void progress_clear(struct progress *progress);

/* A device on top of another, whose reads are counted. close() does nothing. */
struct progress_io {
	struct block_io io;
	struct block_io *below;
	struct progress *progress;
};

void progress_io_init(struct progress_io *progress_io, struct block_io *below,
		      struct progress *progress);

#endif
