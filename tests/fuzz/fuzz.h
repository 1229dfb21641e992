/* SPDX-License-Identifier: MIT */
/* What fuzz targets share: a promise that must be kept, and an input that is read in pieces. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "era/xml_read.h"
#include "persistent-data/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ((condition) ? (void)0 : abort())

struct source {
	const uint8_t *data;
	size_t size, at;
	size_t piece; /* the most that a read returns; 0: all that it asks for */
};

/* The read of a text_input, whose context is a source. */
static inline int source_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct source *source = context;
	size_t left = source->size - source->at;

	if (source->piece && size > source->piece)
		size = source->piece;
	*nr = size < left ? size : left;
	memcpy(buffer, source->data + source->at, *nr);
	source->at += *nr;
	return PD_OK;
}

#endif
