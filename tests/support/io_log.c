/* SPDX-License-Identifier: MIT */
/* Devices that write down what is written to them. */
#include "tests/support/io_log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct logged_io {
	struct block_io io;
	struct block_io *inner;
	struct io_log *log;
	unsigned device;
};

void io_log_init(struct io_log *log)
{
	memset(log, 0, sizeof(*log));
	pthread_mutex_init(&log->mutex, NULL);
}

void io_log_free(struct io_log *log)
{
	for (size_t i = 0; i < log->nr; i++)
		free(log->records[i].data);
	free(log->records);
	pthread_mutex_destroy(&log->mutex);
}

static void append(struct io_log *log, struct io_record record)
{
	if (log->nr == log->capacity) {
		log->capacity = log->capacity ? 2 * log->capacity : 64;
		log->records = realloc(log->records, log->capacity * sizeof(*log->records));
		cr_assert_not_null(log->records);
	}
	log->records[log->nr++] = record;
}

static int logged_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	struct logged_io *logged = (struct logged_io *)io;

	return block_io_read(logged->inner, first, count, buffer);
}

/* The lock is held until the device has it: what the log has in order is so on the device. */
static int logged_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	struct logged_io *logged = (struct logged_io *)io;
	size_t size = (size_t)count * METADATA_BLOCK_SIZE;
	struct io_record record = {logged->device, first, count, malloc(size)};
	int r;

	cr_assert_not_null(record.data);
	memcpy(record.data, buffer, size);
	pthread_mutex_lock(&logged->log->mutex);
	append(logged->log, record);
	r = block_io_write(logged->inner, first, count, buffer);
	pthread_mutex_unlock(&logged->log->mutex);
	return r;
}

static int logged_flush(struct block_io *io)
{
	struct logged_io *logged = (struct logged_io *)io;
	int r;

	pthread_mutex_lock(&logged->log->mutex);
	r = block_io_flush(logged->inner);
	if (!r)
		append(logged->log, (struct io_record){logged->device, 0, 0, NULL});
	pthread_mutex_unlock(&logged->log->mutex);
	return r;
}

static void logged_close(struct block_io *io)
{
	free(io);
}

struct block_io *io_log_open(struct io_log *log, unsigned device, struct block_io *inner)
{
	static const struct block_io_ops ops = {logged_read, logged_write, logged_flush,
						logged_close};
	struct logged_io *logged = malloc(sizeof(*logged));

	cr_assert_not_null(logged);
	*logged = (struct logged_io){{&ops, inner->nr_blocks}, inner, log, device};
	return &logged->io;
}

size_t io_record_sectors(const struct io_record *record)
{
	return (size_t)record->count * METADATA_BLOCK_SIZE / IO_SECTOR;
}

void io_record_apply(const struct io_record *record, size_t nr_sectors, uint8_t *image)
{
	if (record->count)
		memcpy(image + record->first * METADATA_BLOCK_SIZE, record->data,
		       nr_sectors * IO_SECTOR);
}

void io_log_replay(const struct io_log *log, size_t nr, unsigned device, uint8_t *image)
{
	for (size_t i = 0; i < nr; i++)
		if (log->records[i].device == device)
			io_record_apply(&log->records[i], io_record_sectors(&log->records[i]),
					image);
}

size_t io_log_epoch(const struct io_log *log, size_t nr, unsigned device)
{
	while (nr && (log->records[nr - 1].device != device || log->records[nr - 1].count))
		nr--;
	return nr;
}
