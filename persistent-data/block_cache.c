/* SPDX-License-Identifier: MIT */
/* Blocks in memory, by number. */
#include "persistent-data/block_cache.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

#define RUN_BLOCKS 64

int block_cache_init(struct block_cache *cache, struct block_io *io)
{
	*cache = (struct block_cache){
		.io = io,
		.buckets = calloc(BLOCK_CACHE_BUCKETS, sizeof(struct cached_block *)),
		.run = aligned_alloc(METADATA_BLOCK_SIZE, RUN_BLOCKS * METADATA_BLOCK_SIZE),
	};
	return cache->buckets && cache->run ? PD_OK : PD_ERR_NO_MEMORY;
}

void block_cache_destroy(struct block_cache *cache)
{
	if (cache->buckets)
		block_cache_empty(cache);
	free(cache->buckets);
	free(cache->run);
	*cache = (struct block_cache){.nr = 0};
}

static struct cached_block **bucket(const struct block_cache *cache, uint64_t number)
{
	return &cache->buckets[number % BLOCK_CACHE_BUCKETS];
}

struct cached_block *block_cache_find(const struct block_cache *cache, uint64_t number)
{
	struct cached_block *block = *bucket(cache, number);

	while (block && block->number != number)
		block = block->next;
	return block;
}

static void free_block(struct cached_block *block)
{
	free(block->data);
	free(block);
}

struct cached_block *block_cache_add(struct block_cache *cache, uint64_t number,
				     enum block_type type)
{
	struct cached_block **head = bucket(cache, number);
	struct cached_block *block = malloc(sizeof(*block));
	uint8_t *data = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);

	if (!block || !data) {
		free(block);
		free(data);
		return NULL;
	}
	block_cache_remove(cache, number);
	memset(data, 0, METADATA_BLOCK_SIZE);
	*block = (struct cached_block){.next = *head, .number = number, .type = type};
	block->data = data;
	*head = block;
	cache->nr++;
	return block;
}

void block_cache_remove(struct block_cache *cache, uint64_t number)
{
	struct cached_block **place = bucket(cache, number);
	struct cached_block *block;

	while (*place && (*place)->number != number)
		place = &(*place)->next;
	block = *place;
	if (!block)
		return;
	*place = block->next;
	free_block(block);
	cache->nr--;
}

void block_cache_empty(struct block_cache *cache)
{
	for (size_t i = 0; i < BLOCK_CACHE_BUCKETS; i++)
		while (cache->buckets[i]) {
			struct cached_block *block = cache->buckets[i];

			cache->buckets[i] = block->next;
			free_block(block);
		}
	cache->nr = 0;
}

static int by_number(const void *a, const void *b)
{
	const struct cached_block *first = *(struct cached_block *const *)a;
	const struct cached_block *second = *(struct cached_block *const *)b;

	return (first->number > second->number) - (first->number < second->number);
}

static size_t collect_dirty(const struct block_cache *cache, struct cached_block **dirty)
{
	size_t nr = 0;

	for (size_t i = 0; i < BLOCK_CACHE_BUCKETS; i++)
		for (struct cached_block *block = cache->buckets[i]; block; block = block->next)
			if (block->dirty)
				dirty[nr++] = block;
	qsort(dirty, nr, sizeof(struct cached_block *), by_number);
	return nr;
}

/* The blocks of dirty[0..] that lie side by side. Sets *nr to how many they are. */
static int write_run(struct block_cache *cache, struct cached_block **dirty, size_t left,
		     size_t *nr)
{
	uint64_t first = dirty[0]->number;
	uint32_t n = 0;

	while (n < left && n < RUN_BLOCKS && dirty[n]->number == first + n) {
		block_seal(dirty[n]->data, dirty[n]->type, dirty[n]->number);
		memcpy(cache->run + (size_t)n * METADATA_BLOCK_SIZE, dirty[n]->data,
		       METADATA_BLOCK_SIZE);
		n++;
	}
	*nr = n;
	return block_io_write(cache->io, first, n, cache->run);
}

int block_cache_write(struct block_cache *cache)
{
	struct cached_block **dirty = malloc((cache->nr + 1) * sizeof(struct cached_block *));
	size_t nr, n;
	int r = PD_OK;

	if (!dirty)
		return PD_ERR_NO_MEMORY;
	nr = collect_dirty(cache, dirty);
	for (size_t i = 0; !r && i < nr; i += n)
		r = write_run(cache, dirty + i, nr - i, &n);
	for (size_t i = 0; !r && i < nr; i++)
		dirty[i]->dirty = false;
	free(dirty);
	return r;
}
