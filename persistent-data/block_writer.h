/* SPDX-License-Identifier: MIT */
/*
 * Writes fresh blocks one after another, from block 1 on, in large runs. Block 0, the superblock, is
 * left to the owner of the metadata, who writes it last.
 */
#ifndef PERSISTENT_DATA_BLOCK_WRITER_H
#define PERSISTENT_DATA_BLOCK_WRITER_H

#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"

struct block_writer {
	struct block_io *io;
	uint64_t next;	      /* the block that comes next */
	uint8_t *buffer;      /* blocks that are finished but not yet written */
	unsigned nr_buffered; /* they end right before next */
};

/* io stays the caller's. PD_ERR_NO_MEMORY. */
int block_writer_init(struct block_writer *writer, struct block_io *io);
void block_writer_destroy(struct block_writer *writer);

/*
 * The next block, for the caller to fill: all zero, and valid until it is finished. Only one is open
 * at a time. PD_ERR_NO_SPACE, or an error of writing the earlier ones.
 */
int block_writer_open(struct block_writer *writer, uint8_t **block);

/* Seals the open block and returns its number. */
uint64_t block_writer_finish(struct block_writer *writer, enum block_type type);

/* Writes what is buffered and flushes the device. */
int block_writer_flush(struct block_writer *writer);

#endif
