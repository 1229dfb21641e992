/* SPDX-License-Identifier: MIT */
/* A metadata device in memory, for tests of single modules. */
#ifndef TESTS_SUPPORT_DEVICE_H
#define TESTS_SUPPORT_DEVICE_H

#include "persistent-data/block_reader.h"
#include "persistent-data/block_writer.h"

struct device {
	uint8_t *memory; /* all zero at first */
	struct block_io *io;
	struct block_writer writer;
	struct ref_counts refs;
	struct block_reader reader;
};

/* A failure ends the test. */
void device_open(struct device *device, uint64_t nr_blocks);
void device_close(struct device *device);

/* Flushes what the writer has; forgets what was counted, and begins a pass. */
void device_read_back(struct device *device);

uint8_t *device_block(const struct device *device, uint64_t block);

#endif
