/* SPDX-License-Identifier: MIT */
/* Runs era_restore on documents: the files of such a test. */
#ifndef TESTS_SUPPORT_RESTORING_H
#define TESTS_SUPPORT_RESTORING_H

#include "tests/support/bounded.h"

#include <stdbool.h>
#include <stddef.h>

#define RESTORING_BLOCKS 64		 /* of the output */
#define RESTORING_MEMORY_KIB (64 * 1024) /* more than era_restore may take, whatever it reads */

struct restoring {
	char directory[32], xml[64], output[64]; /* paths */
};

/* An output full of something that is no metadata, and no document yet. */
void restoring_set_up(struct restoring *files);
void restoring_tear_down(struct restoring *files);

/* Makes the output so again; whether it still is. */
void restoring_fill(const struct restoring *files);
bool restoring_untouched(const struct restoring *files);

void restoring_write(const char *path, const void *bytes, size_t size);

/* 100 MB of pieces, with something before and behind. */
void restoring_write_large(const char *path, const char *begin, const char *piece, const char *end);

struct outcome restoring_run(const char *input, const char *output);

/* A small document of everything. */
#define SMALL                                                                                \
	"<superblock uuid=\"ab\" block_size=\"8\" nr_blocks=\"3\" current_era=\"2\">\n"      \
	"  <writeset era=\"1\" nr_bits=\"3\">\n"                                             \
	"    <bit block=\"0\" value=\"true\"/>\n    <marked block_begin=\"1\" len=\"2\"/>\n" \
	"  </writeset>\n"                                                                    \
	"  <era_array>\n    <era block=\"1\" era=\"2\"/>\n  </era_array>\n"                  \
	"</superblock>"

#endif
