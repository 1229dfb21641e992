/* SPDX-License-Identifier: MIT */
/*
 * A device of data, an origin or a copy of it, in bytes: behind a small table of functions, as
 * persistent-data/block_io.h has it for metadata. Nothing here caches. Buffers belong to the caller and
 * are to be aligned to DATA_IO_ALIGN.
 */
#ifndef ERA_DATA_IO_H
#define ERA_DATA_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATA_IO_ALIGN 4096

struct data_io;

struct data_io_ops {
	/* [offset, offset + size) lies within the device: the functions below see to that. */
	int (*read)(struct data_io *io, uint64_t offset, size_t size, void *buffer);
	int (*write)(struct data_io *io, uint64_t offset, size_t size, const void *buffer);
	int (*zero)(struct data_io *io, uint64_t offset, uint64_t size);
	int (*flush)(struct data_io *io);
	void (*close)(struct data_io *io);
};

struct data_io {
	const struct data_io_ops *ops;
	uint64_t size; /* bytes */
};

/* 0, or PD_ERR_IO with errno telling more. What is not wholly within the device is an error too. */
int data_io_read(struct data_io *io, uint64_t offset, size_t size, void *buffer);
int data_io_write(struct data_io *io, uint64_t offset, size_t size, const void *buffer);

/* Makes a stretch read as zeroes, without writing them where there is another way. */
int data_io_zero(struct data_io *io, uint64_t offset, uint64_t size);

/* Returns when all that was written is on stable storage. */
int data_io_flush(struct data_io *io);

/* Frees io; what was not flushed may be lost. NULL is fine. */
void data_io_close(struct data_io *io);

/*
 * A regular file or block device that the caller opened; fd stays the caller's and must stay open.
 * On a block device O_DIRECT is switched on for the open file. PD_ERR_UNSUPPORTED: some other kind
 * of file; PD_ERR_IO; PD_ERR_NO_MEMORY.
 */
int data_io_open_fd(int fd, struct data_io **result);

#endif
