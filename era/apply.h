/* SPDX-License-Identifier: MIT */
/*
 * Applies a stream of differences to a target, a copy of the origin.
 *
 * Which era a target is as of is kept beside it, as a few lines of text (struct apply_state). Before the
 * first byte of the target is written it is put down that the stream is being applied, and when all
 * has been flushed, that it was. In between nobody knows what the target holds, and only the same stream
 * again, or a copy of the whole, makes that good. A stream applied twice does no harm.
 */
#ifndef ERA_APPLY_H
#define ERA_APPLY_H

#include "era/data_io.h"
#include "era/rbd_diff.h"

struct apply_state {
	uint32_t from; /* of a stream that is being applied; 0: a copy of the whole */
	uint32_t era;  /* as of the beginning of which the target is, or will be then */
	uint64_t size; /* bytes of the origin */
	bool applying;
};

#define APPLY_STATE_MAX 128 /* bytes of the text, terminating zero included */

/* The text of a state: its length. */
size_t apply_state_encode(const struct apply_state *state, char text[APPLY_STATE_MAX]);

/* false: this is no such text. */
bool apply_state_decode(struct apply_state *state, const char *text);

/*
 * Whether a stream may be applied to a target in that state; NULL: there is none. PD_ERR_USAGE, and a
 * report, if not.
 */
int apply_accept(const struct apply_state *state, const struct rbd_diff_header *header,
		 const struct report *report);

/*
 * Reads the stream to its end, which must have been opened, and looks whether all is there. Use it where
 * the input can be read again.
 */
int apply_check(struct rbd_diff *diff);

struct apply {
	struct rbd_diff *diff; /* opened */
	struct data_io *target;
	void (*progress)(void *context, uint64_t bytes); /* of the stream; or NULL */
	void *progress_context;
};

/*
 * Writes all that the stream has, and flushes. What a copy of the whole has nothing about becomes
 * zeroes. PD_ERR_CORRUPT: diff->problem tells why; PD_ERR_NO_SPACE: the target is smaller than the
 * stream's origin; what the input returned; PD_ERR_IO, reported, if the target could not be written.
 */
int apply_run(const struct apply *apply, const struct report *report);

#endif
