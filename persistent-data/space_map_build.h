/* SPDX-License-Identifier: MIT */
/* Writes the space map of fresh metadata, in which every block is referred to at most once. */
#ifndef PERSISTENT_DATA_SPACE_MAP_BUILD_H
#define PERSISTENT_DATA_SPACE_MAP_BUILD_H

#include "persistent-data/block_writer.h"
#include "persistent-data/space_map.h"

/*
 * For a device on which block 0 and everything that the writer has written is in use. It covers the
 * whole device, as far as a space map can; its own blocks are the last ones in use.
 */
int space_map_build(struct block_writer *writer, struct space_map_root *root);

/* Metadata blocks that this takes on a device of nr_blocks. */
uint64_t space_map_build_nr_blocks(uint64_t nr_blocks);

#endif
