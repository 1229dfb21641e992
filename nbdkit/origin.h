/* SPDX-License-Identifier: MIT */
/*
 * The origin: the file or block device that is served. Offsets and lengths in bytes, within its size.
 * Functions return 0 or an errno value.
 */
#ifndef NBDKIT_ORIGIN_H
#define NBDKIT_ORIGIN_H

#include "nbdkit/exclusive.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct origin {
	struct exclusive file;
	uint64_t size;
	bool block_device;
	bool has_extents; /* it can tell data from holes */
};

/* For itself alone, as far as others ask: whoever writes past us is not seen. EBUSY: in use. */
int origin_open(struct origin *origin, const char *path);
void origin_close(struct origin *origin);

int origin_read(const struct origin *origin, void *buffer, size_t length, uint64_t offset);
int origin_write(const struct origin *origin, const void *buffer, size_t length, uint64_t offset);
int origin_flush(const struct origin *origin);

/* EOPNOTSUPP: it has to be written. punch: may leave a hole. fast: only if it is faster than that. */
int origin_zero(const struct origin *origin, uint64_t length, uint64_t offset, bool punch,
		bool fast);

/* Does what it can. */
int origin_trim(const struct origin *origin, uint64_t length, uint64_t offset);

/* The run of data, or of a hole, that begins at offset: *end is its end. */
int origin_extent(const struct origin *origin, uint64_t offset, bool *hole, uint64_t *end);

#endif
