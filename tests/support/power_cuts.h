/* SPDX-License-Identifier: MIT */
/*
 * What the power going at any instant can leave on a device that was recorded (io_log.h): for each
 * prefix of the log all writes before the device's last flush, and of those after it any subset, one
 * of them torn between sectors.
 */
#ifndef TESTS_SUPPORT_POWER_CUTS_H
#define TESTS_SUPPORT_POWER_CUTS_H

#include "tests/support/io_log.h"

struct power_cuts {
	const struct io_log *log;
	unsigned device;
	uint64_t nr_blocks;    /* of the device */
	const uint8_t *before; /* what was on it at first; NULL: zeroes */
	unsigned all_up_to;    /* all subsets of so many writes or fewer; ... */
	unsigned nr_samples;   /* ... so many random ones of more */
	void *context;
	/* image is what may be on the device when the first nr records had been issued */
	void (*check)(void *context, uint8_t *image, size_t nr);
};

/* From the prefix of `from` records on. Returns the number of images checked. */
unsigned long power_cuts_check(const struct power_cuts *cuts, size_t from);

#endif
