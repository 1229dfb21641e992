/* SPDX-License-Identifier: MIT */
/* A metadata device in memory. */
#include "tests/support/device.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdlib.h>

void device_open(struct device *device, uint64_t nr_blocks)
{
	device->memory = calloc(nr_blocks ? nr_blocks : 1, METADATA_BLOCK_SIZE);
	cr_assert_not_null(device->memory);
	cr_assert_eq(block_io_open_memory(device->memory, nr_blocks, &device->io), PD_OK);
	cr_assert_eq(block_writer_init(&device->writer, device->io), PD_OK);
	cr_assert_eq(ref_counts_init(&device->refs, nr_blocks), PD_OK);
	block_reader_init(&device->reader, device->io, &device->refs);
}

void device_close(struct device *device)
{
	block_reader_destroy(&device->reader);
	ref_counts_destroy(&device->refs);
	block_writer_destroy(&device->writer);
	block_io_close(device->io);
	free(device->memory);
}

void device_read_back(struct device *device)
{
	cr_assert_eq(block_writer_flush(&device->writer), PD_OK);
	ref_counts_clear(&device->refs);
	ref_counts_begin_pass(&device->refs);
}

uint8_t *device_block(const struct device *device, uint64_t block)
{
	return device->memory + block * METADATA_BLOCK_SIZE;
}
