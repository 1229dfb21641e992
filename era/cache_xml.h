/* SPDX-License-Identifier: MIT */
/*
 * Reads what cache_dump prints of a dm-cache's metadata: which block of the origin each block of the
 * cache holds. Hints and discards are passed over.
 */
#ifndef ERA_CACHE_XML_H
#define ERA_CACHE_XML_H

#include "era/xml_read.h"
#include "persistent-data/report.h"

#include <stdbool.h>

struct cache_info {
	uint32_t block_size;	  /* sectors, not 0 */
	uint32_t nr_cache_blocks; /* cache blocks */
};

/* Return 0, or an error, which ends the reading; of PD_ERR_CORRUPT *problem tells why. */
struct cache_visitor {
	void *context;
	int (*begin)(void *context, const struct cache_info *info, const char **problem);
	int (*mapping)(void *context, uint32_t cache_block, uint64_t origin_block, bool dirty,
		       const char **problem);
};

/*
 * Every mapping of a complete document, each cache block below nr_cache_blocks. What is wrong with it
 * is reported with line and column: PD_ERR_CORRUPT. Otherwise what the input or the visitor returned,
 * or PD_ERR_NO_MEMORY.
 */
int cache_xml_read(const struct text_input *input, const struct cache_visitor *visitor,
		   const struct report *report);

#endif
