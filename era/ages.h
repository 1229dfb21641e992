/* SPDX-License-Identifier: MIT */
/*
 * How many data blocks were last written in which era, and where they lie.
 *
 * It is a sink for a stream without writesets, as it comes out of logical.h. Memory: some bytes for each
 * era that there are blocks of, and four for each cell of a grid.
 */
#ifndef ERA_AGES_H
#define ERA_AGES_H

#include "era/stream.h"
#include "persistent-data/report.h"

#include <stdbool.h>

/* The device in cells of as many blocks each. A cell is of the era of its newest block. */
struct ages_grid {
	uint64_t max_cells; /* that are wanted; 0: none */
	uint64_t per_cell;  /* blocks, a power of two */
	uint64_t nr_cells;
	uint32_t *eras; /* of each cell */
};

#define AGES_GRIDS 2

struct age {
	uint32_t era;
	uint32_t nr_blocks;    /* last written in that era */
	uint64_t since_blocks; /* last written in that era or later */
};

struct ages {
	struct sink sink;
	struct stream_info info;
	struct ages_grid grids[AGES_GRIDS];
	uint32_t last_era; /* of the device's last block */
	uint64_t end;	   /* bytes, of the device */
	/* While the eras come in: a hash table, in which 0 blocks mean a free place. After: the list. */
	uint64_t nr, capacity;
	struct age *list; /* newest first; the current era is always in it */
};

/* max_cells: of each grid. destroy is needed in any case. */
void ages_init(struct ages *ages, const uint64_t max_cells[AGES_GRIDS]);
void ages_destroy(struct ages *ages);

/*
 * When the source is done: makes the list. device_size: see device_end(), whose errors are these;
 * or PD_ERR_NO_MEMORY.
 */
int ages_finish(struct ages *ages, uint64_t device_size, const struct report *report);

/* Bytes of blocks, of which the device's last block is one or not. */
uint64_t ages_bytes(const struct ages *ages, uint64_t nr_blocks, bool with_last);

#endif
