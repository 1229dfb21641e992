/* SPDX-License-Identifier: MIT */
/* Metadata in memory, walked in order and swept: both must come to the same. */
#ifndef TESTS_SUPPORT_SWEPT_H
#define TESTS_SUPPORT_SWEPT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * NULL, or what differs: whether the trees are sound, and if so, the reference counts and what changed
 * since an era. Metadata that cannot be opened are fine.
 */
const char *swept_differs(uint8_t *image, uint64_t nr_blocks, bool snapshot, uint32_t since);

#endif
