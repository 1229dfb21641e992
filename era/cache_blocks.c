/* SPDX-License-Identifier: MIT */
/* Blocks of a cache that hold a part of a changed data block. */
#include "era/cache_blocks.h"
#include "era/bitmap.h"
#include "persistent-data/error.h"

#include <stdlib.h>

static int begin(void *context, const struct cache_info *info, const char **problem)
{
	struct cache_blocks *blocks = context;
	size_t nr_words = (size_t)info->nr_cache_blocks / 64 + 1;

	(void)problem;
	blocks->info = *info;
	blocks->mapped = calloc(nr_words, sizeof(*blocks->mapped));
	blocks->stale = calloc(nr_words, sizeof(*blocks->stale));
	return blocks->mapped && blocks->stale ? PD_OK : PD_ERR_NO_MEMORY;
}

/* Whether a data block changed that has a sector in [first, end). */
static bool has_changed(const struct changed *changed, uint64_t first, uint64_t end)
{
	uint32_t size = changed->info.data_block_size;
	uint64_t last = (end - 1) / size;

	return bitmap_find_set(changed->words, changed->info.nr_blocks, first / size) <= last;
}

static int mapping(void *context, uint32_t cache_block, uint64_t origin_block, bool dirty,
		   const char **problem)
{
	struct cache_blocks *blocks = context;
	const struct changed *changed = blocks->changed;
	uint64_t tracked = (uint64_t)changed->info.nr_blocks * changed->info.data_block_size;
	uint64_t bit = UINT64_C(1) << cache_block % 64;
	uint64_t first;

	/* What nobody watched may have changed. */
	*problem = "an origin block past the end of the device that the era metadata track";
	if (origin_block >= tracked / blocks->info.block_size)
		return PD_ERR_CORRUPT;
	*problem = "a cache block that was mapped before";
	if (blocks->mapped[cache_block / 64] & bit)
		return PD_ERR_CORRUPT;
	blocks->mapped[cache_block / 64] |= bit;
	if (dirty && !blocks->nr_dirty++)
		blocks->first_dirty = cache_block;
	first = origin_block * blocks->info.block_size;
	if (has_changed(changed, first, first + blocks->info.block_size))
		blocks->stale[cache_block / 64] |= bit;
	return PD_OK;
}

int cache_blocks_read(struct cache_blocks *blocks, const struct changed *changed,
		      const struct text_input *input, const struct report *report)
{
	struct cache_visitor visitor = {blocks, begin, mapping};
	int r;

	*blocks = (struct cache_blocks){.changed = changed};
	r = cache_xml_read(input, &visitor, report);
	if (!r && blocks->nr_dirty)
		return report_error(report, PD_ERR_BUSY,
				    "%llu mappings are dirty, the first that of cache block %u: "
				    "the cache must be clean",
				    (unsigned long long)blocks->nr_dirty, blocks->first_dirty);
	return r;
}

void cache_blocks_destroy(struct cache_blocks *blocks)
{
	free(blocks->mapped);
	free(blocks->stale);
}

bool cache_blocks_next(const struct cache_blocks *blocks, uint32_t *begin, uint32_t *end)
{
	uint32_t nr = blocks->info.nr_cache_blocks;

	*begin = (uint32_t)bitmap_find_set(blocks->stale, nr, *end);
	if (*begin >= nr)
		return false;
	*end = (uint32_t)bitmap_find_clear(blocks->stale, nr, *begin);
	return true;
}
