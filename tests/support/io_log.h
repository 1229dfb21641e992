/* SPDX-License-Identifier: MIT */
/*
 * Devices that write down what is written to them and flushed, and what a power cut would leave of
 * it. Several devices may share a log, so that the order between them is kept, and several threads
 * may use them.
 */
#ifndef TESTS_SUPPORT_IO_LOG_H
#define TESTS_SUPPORT_IO_LOG_H

#include "persistent-data/block_io.h"

#include <pthread.h>
#include <stddef.h>

#define IO_SECTOR 512 /* bytes that reach a disk wholly or not at all */

struct io_record {
	unsigned device; /* the number under which it was opened */
	uint64_t first;
	uint32_t count; /* metadata blocks; 0: a flush of the device */
	uint8_t *data;
};

struct io_log {
	pthread_mutex_t mutex;
	size_t nr, capacity;
	struct io_record *records;
};

void io_log_init(struct io_log *log);
void io_log_free(struct io_log *log);

/* inner stays the caller's, and must outlive the result, which is like it but for being logged. */
struct block_io *io_log_open(struct io_log *log, unsigned device, struct block_io *inner);

/* Of all records before the nr-th, what was written to a device goes into its image in memory. */
void io_log_replay(const struct io_log *log, size_t nr, unsigned device, uint8_t *image);

/* One record into the image, but only its first sectors, as many as that. */
void io_record_apply(const struct io_record *record, size_t nr_sectors, uint8_t *image);
size_t io_record_sectors(const struct io_record *record);

/* The first record of the flush epoch that the nr-th one belongs to: right behind a flush of the device. */
size_t io_log_epoch(const struct io_log *log, size_t nr, unsigned device);

#endif
