/* SPDX-License-Identifier: MIT */
/* What metadata in memory say: found sound without any exception, and the era of every data block. */
#ifndef TESTS_SUPPORT_ERAS_H
#define TESTS_SUPPORT_ERAS_H

#include "era/stream.h"
#include "persistent-data/block_io.h"

#include <stdbool.h>

#define ERAS_MAX_BLOCKS 70016

struct eras {
	struct stream_info info;
	uint32_t era[ERAS_MAX_BLOCKS];
	char problem[512]; /* the first one, if there is any */
};

/* false: problem tells why. snapshot: of the metadata snapshot that is held. */
bool eras_read(struct eras *eras, struct block_io *io, bool snapshot);
bool eras_read_memory(struct eras *eras, uint8_t *image, uint64_t nr_blocks, bool snapshot);

#endif
