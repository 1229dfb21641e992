/* SPDX-License-Identifier: MIT */
/*
 * The sink that writes fresh metadata.
 *
 * begin() wipes the superblock that is there and flushes; then come the blocks; end() flushes them
 * and writes the superblock last. So the device has no valid superblock or a complete one at every
 * instant. The last writeset goes into the writeset tree, also where it is the current one: this is
 * what the kernel itself leaves when a device is suspended, and it begins a new era when it resumes.
 */
#ifndef ERA_WRITE_H
#define ERA_WRITE_H

#include "era/stream.h"
#include "persistent-data/block_io.h"

/* io stays the caller's. PD_ERR_NO_MEMORY. */
int metadata_write_open(struct block_io *io, struct sink **result);
void metadata_write_close(struct sink *sink);

#endif
