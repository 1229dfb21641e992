/* SPDX-License-Identifier: MIT */
/*
 * A metadata device in memory whose writes and flushes are recorded, and what a random user did: at
 * which place of this log which data block was written to the origin, in which era.
 */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include "era/live.h"
#include "tests/support/eras.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"

#define WORLD_METADATA 0

/* From this place of the log on data block `block` is known to be of era `era`, ... */
struct world_event {
	size_t at;
	uint32_t block;
	uint32_t era; /* ... or, if 0, all blocks from `block` on do not exist any more. */
};

struct world {
	uint64_t nr_metadata_blocks;
	uint32_t nr_blocks; /* data blocks, now */
	uint8_t *metadata;
	struct io_log log;
	struct block_io *memory, *recorded;
	struct failure failure;
	struct block_io *io; /* of the metadata: recorded, and fails as `failure` says */
	struct world_event *events;
	size_t nr_events, room;
	uint32_t must[ERAS_MAX_BLOCKS]; /* the era that each block has by now */
};

void world_init(struct world *world, uint64_t nr_metadata_blocks, uint32_t nr_blocks);
void world_free(struct world *world);

/* Data blocks [begin, end) are written to the origin, marked in era. */
void world_write(struct world *world, uint32_t begin, uint32_t end, uint32_t era);
void world_resize(struct world *world, uint32_t nr_blocks);

/*
 * What the metadata in an image say must be sound, and no block must be of an earlier era than it was
 * in the world when its log had nr records. nr must not decrease from call to call; begin with 0.
 */
struct world_check {
	struct world *world;
	size_t next_event;
	uint32_t must[ERAS_MAX_BLOCKS];
	struct eras eras;
};
void world_check(void *check, uint8_t *image, size_t nr);

/* The metadata as they are now: sound, and exactly what must be. */
void world_expect_exact(struct world *world);

#endif
