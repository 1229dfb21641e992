/* SPDX-License-Identifier: MIT */
/*
 * The sink that says how many metadata blocks the stream takes, by arithmetic alone. It stops the
 * source with PD_ERR_NO_SPACE as soon as there are more than any device can make use of.
 */
#ifndef ERA_MEASURE_H
#define ERA_MEASURE_H

#include "era/stream.h"

struct measure {
	struct sink sink;
	uint64_t nr_writesets;
	uint64_t nr_blocks; /* of the writesets' bitsets, and of the era array */
};

void measure_init(struct measure *measure);

/* Exactly what write.c uses on a device of that many metadata blocks, superblock included. */
uint64_t measure_total(const struct measure *measure, uint64_t device_blocks);

/* The smallest device that holds it. */
uint64_t measure_device(const struct measure *measure);

#endif
