/* SPDX-License-Identifier: MIT */
/*
 * The source that reads damaged metadata, and errs towards "may have changed" only: for every era, the
 * data blocks that changed since then by what it hands on include those by the metadata before the
 * damage. So
 *
 * - what is lost of the era array, or of an era that is not over, becomes the current era,
 * - what is lost of a writeset counts as written in its era,
 * - where leaves of the writeset tree are lost, no data block is of an era before the latest that they
 *   can have held; if all of the tree is, every data block is of the current era; unless the space map
 *   shows which writesets they were about: then these count as written in the current era (survey.h),
 * - a writeset of an era that cannot be counts as written in the current era,
 * - blocks that two structures claim are lost to both (see also survey.h),
 * - a node is put together again if its children can be told; what may be in several places counts
 *   in all of them (mend.h),
 * - sizes are taken for the larger where the superblock and the trees do not agree.
 *
 * Damage that leaves everything sound and in its place, as old content of the very same block, cannot
 * be seen, and so it is not made good. A metadata snapshot that is held is left out.
 */
#ifndef ERA_SALVAGE_H
#define ERA_SALVAGE_H

#include "era/find.h"
#include "era/stream.h"
#include "persistent-data/block_io.h"
#include "persistent-data/report.h"

struct salvage;

/*
 * Looks at all of the metadata. io stays the caller's, must outlive the result and must not change.
 * What is found is reported. PD_ERR_CORRUPT: the superblock is lost, and not enough is known in its
 * stead; PD_ERR_USAGE: it contradicts the hints; PD_ERR_UNSUPPORTED; PD_ERR_NO_MEMORY.
 */
int salvage_open(struct block_io *io, const struct find_hints *hints, const struct report *report,
		 struct salvage **result);
void salvage_close(struct salvage *salvage);

/* The numbers of what is handed on. */
const struct stream_info *salvage_info(const struct salvage *salvage);

/*
 * Hands all that can be saved to a sink, any number of times. What is lost, and what becomes of it, is
 * reported. What the sink returned, or PD_ERR_NO_MEMORY.
 */
int salvage_read(struct salvage *salvage, struct sink *sink, const struct report *report);

#endif
