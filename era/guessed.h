/* SPDX-License-Identifier: MIT */
/*
 * The data blocks of which an era was guessed: how many they are, for a person to read. So it takes
 * little memory: of a large device a bit stands for several data blocks, and what is counted is rounded
 * up.
 */
#ifndef ERA_GUESSED_H
#define ERA_GUESSED_H

#include <stdint.h>

#define GUESSED_MAX_BITS (UINT32_C(1) << 25) /* 4 MiB */

struct guessed {
	uint64_t *words; /* NULL: there are none yet */
	uint32_t nr_blocks;
	unsigned shift; /* a bit stands for 2^shift data blocks */
};

/* No memory is taken before there are any. */
void guessed_init(struct guessed *guessed, uint32_t nr_blocks);
void guessed_destroy(struct guessed *guessed);

/* Of data blocks [begin, end) those that there are. PD_ERR_NO_MEMORY. */
int guessed_add(struct guessed *guessed, uint64_t begin, uint64_t end);

uint64_t guessed_count(const struct guessed *guessed);

#endif
