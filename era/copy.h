/* SPDX-License-Identifier: MIT */
/*
 * Copies the changed blocks of an origin into a stream of differences, as rbd_diff.h has it. Stretches of
 * zeroes go as such, in units of 4096 bytes.
 */
#ifndef ERA_COPY_H
#define ERA_COPY_H

#include "era/data_io.h"
#include "era/extents.h"
#include "era/rbd_diff.h"

struct copy {
	const struct extents *extents; /* of a device of a known size */
	struct data_io *origin;
	struct rbd_diff_header header;
	void (*progress)(void *context,
			 uint64_t bytes); /* is told of bytes that were read; or NULL */
	void *progress_context;
};

/*
 * The era from which the copy after this one has to look: all that is written from now on is in it or a
 * later one. Of a metadata snapshot it is the era that began with it; of metadata at rest the one that
 * the target will begin when it is resumed. PD_ERR_UNSUPPORTED: there are no more eras, and that is
 * reported.
 */
int copy_next_era(const struct stream_info *info, bool snapshot, uint32_t *era,
		  const struct report *report);

/*
 * Writes the whole stream. What the output returned; or PD_ERR_IO, reported, if the origin could not be
 * read; or PD_ERR_NO_MEMORY.
 */
int copy_changed(const struct copy *copy, const struct text_output *output,
		 const struct report *report);

#endif
