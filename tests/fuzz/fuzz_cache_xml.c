/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: a document for cache_xml_read(). However it comes in pieces, the same is read; what
 * was read, written plainly, is read again to the same; and the blocks of the cache that are to be
 * forgotten are those of a plain model.
 */
#include "era/cache_blocks.h"
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_MAPPINGS 1024	    /* there is no room for more of them in an input */
#define MAX_CACHE_BLOCKS (1u << 16) /* of what is compared with the model */
#define NR_BLOCKS 1000		    /* that the era metadata track */
#define BLOCK_SIZE 24		    /* sectors */

struct mapping {
	uint32_t cache_block;
	uint64_t origin_block;
	bool dirty;
};

struct cache {
	struct cache_info info;
	unsigned nr_begun, nr;
	struct mapping mappings[MAX_MAPPINGS];
};

static int begin(void *context, const struct cache_info *info, const char **problem)
{
	struct cache *cache = context;

	(void)problem;
	cache->info = *info;
	cache->nr_begun++;
	return PD_OK;
}

static int mapping(void *context, uint32_t cache_block, uint64_t origin_block, bool dirty,
		   const char **problem)
{
	struct cache *cache = context;

	(void)problem;
	MUST(cache->nr_begun && cache->nr < MAX_MAPPINGS);
	MUST(cache_block < cache->info.nr_cache_blocks);
	cache->mappings[cache->nr++] = (struct mapping){cache_block, origin_block, dirty};
	return PD_OK;
}

static int read_cache(const void *data, size_t size, size_t piece, struct cache *cache)
{
	struct source source = {data, size, 0, piece};
	const struct text_input input = {source_read, &source};
	const struct cache_visitor visitor = {cache, begin, mapping};
	int r;

	cache->nr_begun = cache->nr = 0;
	r = cache_xml_read(&input, &visitor, NULL);
	MUST(r == PD_OK || r == PD_ERR_CORRUPT);
	MUST(r || (cache->nr_begun == 1 && cache->info.block_size));
	return r;
}

static bool same(const struct cache *a, const struct cache *b)
{
	bool is = a->nr == b->nr && a->info.block_size == b->info.block_size &&
		  a->info.nr_cache_blocks == b->info.nr_cache_blocks;

	for (unsigned i = 0; is && i < a->nr; i++)
		is = a->mappings[i].cache_block == b->mappings[i].cache_block &&
		     a->mappings[i].origin_block == b->mappings[i].origin_block &&
		     a->mappings[i].dirty == b->mappings[i].dirty;
	return is;
}

static void write_again(const struct cache *cache)
{
	static struct cache again;
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	MUST(file);
	fprintf(file, "<superblock block_size=\"%u\" nr_cache_blocks=\"%u\"><mappings>",
		cache->info.block_size, cache->info.nr_cache_blocks);
	for (unsigned i = 0; i < cache->nr; i++)
		fprintf(file,
			"<mapping cache_block=\"%u\" origin_block=\"%" PRIu64 "\" dirty=\"%s\"/>",
			cache->mappings[i].cache_block, cache->mappings[i].origin_block,
			cache->mappings[i].dirty ? "true" : "false");
	fputs("</mappings></superblock>", file);
	MUST(!fclose(file));
	MUST(!read_cache(text, size, 0, &again) && same(cache, &again));
	free(text);
}

/* The plain model: a byte for each block of the cache. */

static bool is_mapped_twice(const struct cache *cache)
{
	static uint8_t mapped[MAX_CACHE_BLOCKS];
	bool twice = false;

	memset(mapped, 0, cache->info.nr_cache_blocks);
	for (unsigned i = 0; i < cache->nr; i++)
		twice |= mapped[cache->mappings[i].cache_block]++ != 0;
	return twice;
}

static int expected_error(const struct cache *cache)
{
	bool dirty = false;

	for (unsigned i = 0; i < cache->nr; i++) {
		uint64_t end;

		if (__builtin_add_overflow(cache->mappings[i].origin_block, 1, &end) ||
		    __builtin_mul_overflow(end, cache->info.block_size, &end) ||
		    end > NR_BLOCKS * BLOCK_SIZE)
			return PD_ERR_CORRUPT;
		dirty |= cache->mappings[i].dirty;
	}
	if (is_mapped_twice(cache))
		return PD_ERR_CORRUPT;
	return dirty ? PD_ERR_BUSY : PD_OK;
}

static bool is_changed(const struct changed *changed, uint64_t sector)
{
	uint64_t block = sector / BLOCK_SIZE;

	return changed->words[block / 64] >> block % 64 & 1;
}

static void mark_stale(const struct cache *cache, const struct changed *changed, uint8_t *stale)
{
	memset(stale, 0, cache->info.nr_cache_blocks);
	for (unsigned i = 0; i < cache->nr; i++) {
		uint64_t first = cache->mappings[i].origin_block * cache->info.block_size;

		for (uint64_t sector = first; sector < first + cache->info.block_size; sector++)
			stale[cache->mappings[i].cache_block] |= is_changed(changed, sector);
	}
}

static void compare_blocks(const struct cache *cache, const struct changed *changed,
			   const struct cache_blocks *blocks)
{
	static uint8_t stale[MAX_CACHE_BLOCKS];
	uint32_t from, end = 0, at = 0;

	mark_stale(cache, changed, stale);
	while (cache_blocks_next(blocks, &from, &end)) {
		for (; at < from; at++)
			MUST(!stale[at]);
		for (; at < end; at++)
			MUST(stale[at]);
	}
	for (; at < cache->info.nr_cache_blocks; at++)
		MUST(!stale[at]);
}

static void map_changed(const uint8_t *data, size_t size, const struct cache *cache)
{
	uint64_t words[NR_BLOCKS / 64 + 1];
	const struct changed changed = {
		.info = {.data_block_size = BLOCK_SIZE, .nr_blocks = NR_BLOCKS}, .words = words};
	struct source source = {data, size, 0, 0};
	const struct text_input input = {source_read, &source};
	struct cache_blocks blocks;
	int r;

	for (unsigned i = 0; i <= NR_BLOCKS / 64; i++)
		words[i] = UINT64_C(0x80000f0000100041) >> i;
	r = cache_blocks_read(&blocks, &changed, &input, NULL);
	MUST(r == expected_error(cache));
	if (!r)
		compare_blocks(cache, &changed, &blocks);
	cache_blocks_destroy(&blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cache cache, in_pieces;
	int r = read_cache(data, size, 0, &cache);

	MUST(r == read_cache(data, size, size % 13 + 1, &in_pieces));
	if (r)
		return 0;
	MUST(same(&cache, &in_pieces));
	write_again(&cache);
	if (cache.info.nr_cache_blocks <= MAX_CACHE_BLOCKS)
		map_changed(data, size, &cache);
	return 0;
}
