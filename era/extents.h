/* SPDX-License-Identifier: MIT */
/*
 * Runs of changed blocks as extents of a device: in bytes, which take 64 bits, and cut off at the
 * device's end, since its last block may be short.
 */
#ifndef ERA_EXTENTS_H
#define ERA_EXTENTS_H

#include "era/changed.h"
#include "persistent-data/report.h"

#define SECTOR_SIZE 512 /* bytes */
#define DEVICE_SIZE_UNKNOWN UINT64_MAX

struct extents {
	const struct changed *changed;
	uint64_t block_size;  /* bytes */
	uint64_t device_size; /* bytes; DEVICE_SIZE_UNKNOWN: not known */
	uint64_t end;	      /* bytes: where the last block ends, as far as is known */
};

/*
 * Where a device ends, in bytes: at device_size, or, where that is not known, with its last block. A
 * device whose size is known must have as many blocks as the metadata track: one that had more would
 * have blocks that nobody watched, and with one that had fewer, changed blocks would go missing.
 * PD_ERR_USAGE if it has not; PD_ERR_UNSUPPORTED for devices of 2^63 bytes and more; both are reported.
 */
int device_end(const struct stream_info *info, uint64_t device_size, uint64_t *end,
	       const struct report *report);

/* changed must be complete, and outlive the result. Errors are those of device_end(). */
int extents_init(struct extents *extents, const struct changed *changed, uint64_t device_size,
		 const struct report *report);

/* The next extent at or after *end, [*begin, *end) in bytes. false: none. Begin with *end = 0. */
bool extents_next(const struct extents *extents, uint64_t *begin, uint64_t *end);

/* The bytes of all of them. */
uint64_t extents_total(const struct extents *extents);

#endif
