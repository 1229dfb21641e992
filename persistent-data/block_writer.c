/* SPDX-License-Identifier: MIT */
/* Writes fresh blocks one after another. */
#include "persistent-data/block_writer.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_BLOCKS 256 /* 1 MiB */

int block_writer_init(struct block_writer *writer, struct block_io *io)
{
	writer->io = io;
	writer->next = 1;
	writer->nr_buffered = 0;
	writer->buffer =
		aligned_alloc(METADATA_BLOCK_SIZE, (size_t)BUFFER_BLOCKS * METADATA_BLOCK_SIZE);
	return writer->buffer ? PD_OK : PD_ERR_NO_MEMORY;
}

void block_writer_destroy(struct block_writer *writer)
{
	free(writer->buffer);
	writer->buffer = NULL;
}

static int write_buffered(struct block_writer *writer)
{
	unsigned n = writer->nr_buffered;

	writer->nr_buffered = 0;
	return n ? block_io_write(writer->io, writer->next - n, n, writer->buffer) : PD_OK;
}

int block_writer_open(struct block_writer *writer, uint8_t **block)
{
	int r = PD_OK;

	if (writer->next >= writer->io->nr_blocks)
		return PD_ERR_NO_SPACE;
	if (writer->nr_buffered == BUFFER_BLOCKS)
		r = write_buffered(writer);
	*block = writer->buffer + (size_t)writer->nr_buffered * METADATA_BLOCK_SIZE;
	memset(*block, 0, METADATA_BLOCK_SIZE);
	return r;
}

uint64_t block_writer_finish(struct block_writer *writer, enum block_type type)
{
	block_seal(writer->buffer + (size_t)writer->nr_buffered * METADATA_BLOCK_SIZE, type,
		   writer->next);
	writer->nr_buffered++;
	return writer->next++;
}

int block_writer_flush(struct block_writer *writer)
{
	int r = write_buffered(writer);

	return r ? r : block_io_flush(writer->io);
}
