/* SPDX-License-Identifier: MIT */
/*
 * What was really done to the device of a fixture, from its truth.txt (fixtures/README.md): the era
 * in which each data block was last written.
 */
#ifndef TESTS_SUPPORT_TRUTH_H
#define TESTS_SUPPORT_TRUTH_H

#include <stdbool.h>
#include <stdint.h>

/* The eras of all data blocks at one time. */
struct truth_eras {
	uint32_t nr_blocks, current_era;
	uint32_t *eras;
};

struct truth {
	struct truth_eras now;	/* when the image was taken */
	struct truth_eras snap; /* when the last metadata snapshot was taken; eras NULL: none was */
	uint64_t snap_block;	/* where that was put */
	uint64_t nr_bytes;	/* of the metadata device; 0: as many as the image has */
};

/* false: there is no such file, or a line in it is not understood. */
bool truth_load(struct truth *truth, const char *path);
void truth_free(struct truth *truth);

#endif
