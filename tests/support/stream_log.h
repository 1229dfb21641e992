/* SPDX-License-Identifier: MIT */
/*
 * A sink that keeps all it is told, and holds the source to the rules of era/stream.h; and a source
 * to play to any sink: a document as text.
 */
#ifndef TESTS_SUPPORT_STREAM_LOG_H
#define TESTS_SUPPORT_STREAM_LOG_H

#include "era/stream.h"

#include <stdbool.h>
#include <stddef.h>

#define STREAM_LOG_WRITESETS 16

struct stream_log_writeset {
	uint32_t era, nr_bits;
	uint64_t *words;
	uint64_t nr_words; /* so far */
};

struct stream_log {
	struct sink sink;
	bool begun, ended, in_writeset;
	struct stream_info info;
	unsigned nr_writesets;
	struct stream_log_writeset writesets[STREAM_LOG_WRITESETS];
	uint32_t *eras;
	uint64_t nr_eras; /* so far */
	int error;	  /* what the sink's functions return */
};

void stream_log_init(struct stream_log *log);
void stream_log_free(struct stream_log *log);

bool stream_log_bit(const struct stream_log *log, unsigned writeset, uint32_t bit);

/* Reads a document into a sink; returns as xml_read() does. */
int play_xml(struct sink *sink, const char *xml);

#endif
