/* SPDX-License-Identifier: MIT */
/*
 * A device of metadata blocks, 4096 bytes each, behind a small table of functions: a file or block
 * device, a piece of memory, and in tests devices that record what is written or that fail.
 *
 * Nothing here caches. Buffers belong to the caller and must be aligned to METADATA_BLOCK_SIZE, because a
 * block device is read past the page cache.
 */
#ifndef PERSISTENT_DATA_BLOCK_IO_H
#define PERSISTENT_DATA_BLOCK_IO_H

#include "persistent-data/error.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define METADATA_BLOCK_SIZE 4096

/*
 * Most blocks that metadata can make use of: a space map has 255 bitmap blocks of 16320 counts
 * (DM_SM_METADATA_MAX_BLOCKS in Linux's dm-space-map-metadata.h).
 */
#define METADATA_MAX_BLOCKS (255u * 16320u)

struct block_io;

/* A read that goes on while its caller does something else. */
struct block_read {
	uint64_t first;
	uint32_t count;
	void *buffer;
	uint32_t *salts; /* block_salts() of what was read, by whoever read it; NULL: not wanted */
	/* The device's own: */
	bool begun;
	struct block_read *next;
	enum { BLOCK_READ_QUEUED, BLOCK_READ_GOING_ON, BLOCK_READ_DONE } state;
	int result, error; /* the latter in terms of errno */
};

struct block_io_ops {
	/* Blocks [first, first + count) lie within the device: the functions below see to that. */
	int (*read)(struct block_io *io, uint64_t first, uint32_t count, void *buffer);
	int (*write)(struct block_io *io, uint64_t first, uint32_t count, const void *buffer);
	int (*flush)(struct block_io *io);
	void (*close)(struct block_io *io);
	/* NULL, both, if the device cannot read ahead. false: block_io_finish() is to read it all. */
	bool (*begin)(struct block_io *io, struct block_read *read);
	int (*finish)(struct block_io *io, struct block_read *read);
	/* NULL if it has no threads. */
	void (*rest)(struct block_io *io);
};

/* More reads than this are never worth being under way at once. */
#define BLOCK_IO_AHEAD_MAX 16

struct block_io {
	const struct block_io_ops *ops;
	uint64_t nr_blocks; /* whole metadata blocks; a shorter rest of the device is ignored */
	unsigned nr_ahead;  /* reads of 512 KiB or so that are worth being under way; 0: none */
};

/*
 * 0, or PD_ERR_IO with errno telling more. A read or write that is not wholly within the device is
 * an I/O error too and touches nothing.
 */
int block_io_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer);
int block_io_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer);

/*
 * Begins a read of read->count blocks from read->first on into read->buffer. Each must be finished,
 * which returns what block_io_read() would have; until then read and buffer are the device's. One
 * thread at a time may begin and finish reads.
 */
void block_io_begin(struct block_io *io, struct block_read *read);
int block_io_finish(struct block_io *io, struct block_read *read);
/* All of it at once, for who has not begun it. */
int block_io_read_now(struct block_io *io, const struct block_read *read);

/*
 * Ends the threads that read ahead; the next read that is begun starts new ones. No read may be under
 * way. For a program that is about to fork: threads do not come along.
 */
void block_io_rest(struct block_io *io);

/* Returns when all that was written is on stable storage. */
int block_io_flush(struct block_io *io);

/* Frees io; what was not flushed may be lost. NULL is fine. */
void block_io_close(struct block_io *io);

/*
 * A regular file or block device that the caller opened; fd stays the caller's and must stay open.
 * On a block device O_DIRECT is switched on for the open file. PD_ERR_UNSUPPORTED: some other kind
 * of file; PD_ERR_IO: its size could not be found. Reads that are begun are done by threads of the
 * device's own, which end when it is closed, or by block_io_rest().
 */
int block_io_open_fd(int fd, struct block_io **result);

/* nr_blocks blocks of memory that the caller owns and that must outlive the result. */
int block_io_open_memory(void *memory, uint64_t nr_blocks, struct block_io **result);

#ifdef __cplusplus
}
#endif

#endif
