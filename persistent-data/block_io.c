/* SPDX-License-Identifier: MIT */
/* Block devices: the checks that all of them share, and memory as a device. */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool within(const struct block_io *io, uint64_t first, uint32_t count)
{
	if (first <= io->nr_blocks && count <= io->nr_blocks - first)
		return true;
	errno = EINVAL;
	return false;
}

int block_io_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	return within(io, first, count) ? io->ops->read(io, first, count, buffer) : PD_ERR_IO;
}

int block_io_read_now(struct block_io *io, const struct block_read *read)
{
	int r = block_io_read(io, read->first, read->count, read->buffer);

	if (!r && read->salts)
		block_salts(read->buffer, read->count, read->salts);
	return r;
}

void block_io_begin(struct block_io *io, struct block_read *read)
{
	read->begun =
		io->ops->begin && within(io, read->first, read->count) && io->ops->begin(io, read);
}

int block_io_finish(struct block_io *io, struct block_read *read)
{
	if (read->begun)
		return io->ops->finish(io, read);
	return block_io_read_now(io, read);
}

void block_io_rest(struct block_io *io)
{
	if (io->ops->rest)
		io->ops->rest(io);
}

int block_io_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	return within(io, first, count) ? io->ops->write(io, first, count, buffer) : PD_ERR_IO;
}

int block_io_flush(struct block_io *io)
{
	return io->ops->flush(io);
}

void block_io_close(struct block_io *io)
{
	if (io)
		io->ops->close(io);
}

struct memory_io {
	struct block_io io;
	uint8_t *memory;
};

static int memory_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct memory_io *mem = (struct memory_io *)io;

	memcpy(buffer, mem->memory + first * METADATA_BLOCK_SIZE,
	       (size_t)count * METADATA_BLOCK_SIZE);
	return PD_OK;
}

static int memory_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	const struct memory_io *mem = (struct memory_io *)io;

	memcpy(mem->memory + first * METADATA_BLOCK_SIZE, buffer,
	       (size_t)count * METADATA_BLOCK_SIZE);
	return PD_OK;
}

static int memory_flush(struct block_io *io)
{
	(void)io;
	return PD_OK;
}

static void memory_close(struct block_io *io)
{
	free(io);
}

static const struct block_io_ops memory_ops = {memory_read, memory_write, memory_flush,
					       memory_close};

int block_io_open_memory(void *memory, uint64_t nr_blocks, struct block_io **result)
{
	struct memory_io *mem = malloc(sizeof(*mem));

	if (!mem)
		return PD_ERR_NO_MEMORY;
	*mem = (struct memory_io){{&memory_ops, nr_blocks}, memory};
	*result = &mem->io;
	return PD_OK;
}
