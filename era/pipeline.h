/* SPDX-License-Identifier: MIT */
/*
 * Two buffers between one who fills them and one who empties them, so that reading and writing
 * overlap. The filler runs in a thread of its own, the emptier in the caller's.
 */
#ifndef ERA_PIPELINE_H
#define ERA_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_SIZE (4 * 1024 * 1024) /* bytes */
#define BATCH_MAX_PIECES 512

/* A stretch of a device. */
struct piece {
	uint64_t offset, length; /* bytes */
	const uint8_t *data;	 /* in the batch's buffer, aligned; NULL: zeroes */
};

struct batch {
	unsigned nr;
	struct piece pieces[BATCH_MAX_PIECES]; /* in ascending order */
	size_t used;			       /* bytes of the buffer */
	uint8_t *buffer;
};

/* What a batch has room for, as far as a piece wants it, and NULL if that is nothing. *length: how much. */
uint8_t *batch_room(const struct batch *batch, uint64_t wanted, size_t *length);

/* Appends a piece; data is what batch_room() returned, or NULL. There is room for one. */
void batch_add(struct batch *batch, uint64_t offset, uint64_t length, const uint8_t *data);

struct pipeline {
	/* Fills an empty batch; leaves it empty at the end. Not 0: that is the end, too. */
	int (*fill)(void *context, struct batch *batch);
	void *fill_context;
	/* Not 0: all ends. */
	int (*empty)(void *context, const struct batch *batch);
	void *empty_context;
};

/*
 * Runs until both are done. What `empty` returned if that was not 0, else what `fill` returned when it
 * ended; or PD_ERR_NO_MEMORY. errno is that of the function whose error it is.
 */
int pipeline_run(const struct pipeline *pipeline);

#endif
