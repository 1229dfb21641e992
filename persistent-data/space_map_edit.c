/* SPDX-License-Identifier: MIT */
/* The space map of metadata that is edited in place. */
#include "persistent-data/space_map_edit.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>
#include <string.h>

#define EACH UINT64_C(0x0101010101010101) /* each byte 1 */

static bool get_bit(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void set_bit(uint64_t *bits, uint64_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static void clear_bit(uint64_t *bits, uint64_t i)
{
	bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

int space_map_edit_init(struct space_map_edit *map, uint64_t nr_blocks)
{
	size_t nr_words;

	if (nr_blocks > METADATA_MAX_BLOCKS)
		nr_blocks = METADATA_MAX_BLOCKS;
	nr_words = (size_t)nr_blocks / 64 + 1;
	*map = (struct space_map_edit){
		.nr_blocks = nr_blocks,
		.nr_words = nr_words,
		.nr_free = nr_blocks,
		.nr_bitmaps = (unsigned)space_map_nr_bitmaps(nr_blocks),
		/* calloc: pages of a large device that is hardly used cost no memory. */
		.counts = calloc(nr_words, 64 * sizeof(*map->counts)),
		.taken = calloc(nr_words, sizeof(*map->taken)),
		.fresh = calloc(nr_words, sizeof(*map->fresh)),
	};
	memset(map->dirty, 1, map->nr_bitmaps);
	if (!map->counts || !map->taken || !map->fresh)
		return PD_ERR_NO_MEMORY;
	for (uint64_t i = nr_blocks; i < nr_words * 64; i++)
		set_bit(map->taken, i);
	return PD_OK;
}

void space_map_edit_destroy(struct space_map_edit *map)
{
	free(map->counts);
	free(map->taken);
	free(map->fresh);
	free(map->changes);
	*map = (struct space_map_edit){.nr_blocks = 0};
}

static void take_over(struct space_map_edit *map, uint64_t block, unsigned count)
{
	map->counts[block] = (uint8_t)count;
	set_bit(map->taken, block);
	map->nr_allocated++;
	map->nr_free--;
}

static int read_index(struct space_map_edit *map, struct block_io *io, uint8_t *block)
{
	struct space_map_places *places = &map->committed;

	if (block_io_read(io, places->index_block, 1, block))
		return PD_ERR_IO;
	if (block_verify(block, BLOCK_INDEX, places->index_block))
		return PD_ERR_CORRUPT;
	for (unsigned i = 0; i < map->nr_bitmaps; i++) {
		const uint8_t *entry = block + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE;

		places->bitmaps[i] = (struct space_map_index){get_le64(entry), get_le32(entry + 8),
							      get_le32(entry + 12)};
		if (!space_map_edit_count(map, places->bitmaps[i].block))
			return PD_ERR_CORRUPT;
	}
	map->places = *places;
	return PD_OK;
}

int space_map_edit_load(struct space_map_edit *map, struct block_io *io,
			const struct space_map_root *root, const struct ref_counts *refs)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	int r;

	if (!block)
		return PD_ERR_NO_MEMORY;
	for (uint64_t i = 0; i < map->nr_blocks; i++) {
		unsigned count = ref_counts_get(refs, i);

		if (count)
			take_over(map, i, count);
	}
	memset(map->dirty, 0, map->nr_bitmaps);
	map->committed.index_block = root->bitmap_root;
	r = read_index(map, io, block);
	free(block);
	return r;
}

unsigned space_map_edit_count(const struct space_map_edit *map, uint64_t block)
{
	return block < map->nr_blocks ? map->counts[block] : 0;
}

bool space_map_edit_is_fresh(const struct space_map_edit *map, uint64_t block)
{
	return block < map->nr_blocks && get_bit(map->fresh, block);
}

/* Changes. */

static int set_count(struct space_map_edit *map, uint64_t block, unsigned count)
{
	if (map->nr_changes == map->room) {
		size_t room = map->room ? 2 * map->room : 256;
		struct space_map_change *changes =
			realloc(map->changes, room * sizeof(*map->changes));

		if (!changes)
			return PD_ERR_NO_MEMORY;
		map->changes = changes;
		map->room = room;
	}
	map->changes[map->nr_changes++] =
		(struct space_map_change){(uint32_t)block, map->counts[block]};
	map->nr_allocated += !map->counts[block];
	map->nr_allocated -= !count;
	map->counts[block] = (uint8_t)count;
	map->dirty[block / SPACE_MAP_BITMAP_COUNTS] = true;
	return PD_OK;
}

static void release(struct space_map_edit *map, uint64_t block)
{
	clear_bit(map->taken, block);
	map->nr_free++;
}

/* The first free block from `from` on; nr_blocks: there is none. */
static uint64_t find_free(const struct space_map_edit *map, uint64_t from)
{
	uint64_t mask = UINT64_MAX << (from % 64);

	for (uint64_t i = from / 64; i < map->nr_words; i++, mask = UINT64_MAX) {
		uint64_t free = ~map->taken[i] & mask;

		if (free)
			return i * 64 + (uint64_t)__builtin_ctzll(free);
	}
	return map->nr_blocks;
}

/* Where eight free blocks or more are side by side, for the first time; 0: nowhere. */
static uint64_t find_run(const struct space_map_edit *map)
{
	uint64_t zero = 0, block;
	size_t i = 0;

	for (; !zero && i < map->nr_words; i++) {
		uint64_t taken = map->taken[i];

		/* Of the lowest byte that is 0, the high bit; of those below it, nothing. */
		zero = (taken - EACH) & ~taken & EACH << 7;
	}
	if (!zero)
		return 0;
	block = (i - 1) * 64 + ((uint64_t)__builtin_ctzll(zero) & ~UINT64_C(7));
	/* None is left out between those in use and those that never were: see era/latest.c. */
	while (block && !get_bit(map->taken, block - 1))
		block--;
	return block;
}

static int allocate_down_to(struct space_map_edit *map, uint64_t reserve, uint64_t *result)
{
	uint64_t block;
	int r;

	if (map->nr_free <= reserve)
		return PD_ERR_NO_SPACE;
	block = find_free(map, map->next ? map->next : find_run(map));
	if (block == map->nr_blocks)
		block = find_free(map, 0);
	r = set_count(map, block, 1);
	if (r)
		return r;
	set_bit(map->taken, block);
	set_bit(map->fresh, block);
	map->nr_free--;
	map->next = block + 1;
	*result = block;
	return PD_OK;
}

int space_map_edit_allocate(struct space_map_edit *map, uint64_t *block)
{
	return allocate_down_to(map, map->reserve, block);
}

int space_map_edit_inc(struct space_map_edit *map, uint64_t block)
{
	unsigned count = space_map_edit_count(map, block);

	if (!count || count == SPACE_MAP_EDIT_MAX_COUNT)
		return PD_ERR_CORRUPT;
	return set_count(map, block, count + 1);
}

int space_map_edit_dec(struct space_map_edit *map, uint64_t block)
{
	unsigned count = space_map_edit_count(map, block);
	int r = count ? set_count(map, block, count - 1) : PD_ERR_CORRUPT;

	if (r || count > 1 || !get_bit(map->fresh, block))
		return r;
	clear_bit(map->fresh, block);
	release(map, block);
	return PD_OK;
}

/* The commit. */

/* Moves a block of the space map to a new place, unless it has one. */
static int place(struct space_map_edit *map, uint64_t *block, bool *moved)
{
	uint64_t old = *block;
	int r;

	if (old && get_bit(map->fresh, old))
		return PD_OK;
	*moved = true;
	r = allocate_down_to(map, 0, block);
	return r || !old ? r : space_map_edit_dec(map, old);
}

int space_map_edit_place(struct space_map_edit *map)
{
	bool moved = true;
	int r = PD_OK;

	/*
	 * Every round but the last moves a block that never moves again. The index block comes last, as
	 * the kernel's does: see era/find.c.
	 */
	while (!r && moved) {
		moved = false;
		for (unsigned i = 0; !r && i < map->nr_bitmaps; i++)
			if (map->dirty[i])
				r = place(map, &map->places.bitmaps[i].block, &moved);
		if (!r)
			r = place(map, &map->places.index_block, &moved);
	}
	return r;
}

/*
 * A bitmap is written with every commit, so it is made of eight counts at a time: here a byte each, there
 * a pair of bits each, the high one first.
 */
static void pack(uint64_t counts, uint8_t to[2])
{
	uint64_t pairs = (counts & EACH) << 1 | (counts >> 1 & EACH);

	pairs = (pairs | pairs >> 6) & UINT64_C(0x000f000f000f000f);
	pairs = (pairs | pairs >> 12) & UINT64_C(0x000000ff000000ff);
	to[0] = (uint8_t)pairs;
	to[1] = (uint8_t)(pairs >> 32);
}

/* A bit for each count that is not zero. */
static uint64_t in_use(uint64_t counts)
{
	return (counts | counts >> 1) & EACH;
}

void space_map_edit_bitmap(struct space_map_edit *map, unsigned i, uint8_t *block)
{
	uint64_t begin = (uint64_t)i * SPACE_MAP_BITMAP_COUNTS;
	uint64_t left = map->nr_blocks - begin;
	unsigned nr = left < SPACE_MAP_BITMAP_COUNTS ? (unsigned)left : SPACE_MAP_BITMAP_COUNTS;
	struct space_map_index *entry = &map->places.bitmaps[i];

	entry->nr_free = nr;
	entry->none_free_before = nr;
	for (unsigned k = 0; k < nr; k += 8) {
		uint64_t counts = get_le64(map->counts + begin + k), used = in_use(counts);

		pack(counts, block + BITMAP_COUNTS + k / 4);
		entry->nr_free -= (unsigned)(used * EACH >> 56); /* the sum of its bytes */
		if (entry->none_free_before == nr && used != EACH)
			entry->none_free_before = k + (unsigned)__builtin_ctzll(~used & EACH) / 8;
	}
	if (entry->none_free_before > nr)
		entry->none_free_before = nr;
}

void space_map_edit_index(const struct space_map_edit *map, uint8_t *block)
{
	for (unsigned i = 0; i < map->nr_bitmaps; i++) {
		uint8_t *entry = block + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE;

		put_le64(entry, map->places.bitmaps[i].block);
		put_le32(entry + 8, map->places.bitmaps[i].nr_free);
		put_le32(entry + 12, map->places.bitmaps[i].none_free_before);
	}
}

/* What changed is part of the last commit now: in use if its count says so. */
static void settle(struct space_map_edit *map)
{
	for (size_t i = 0; i < map->nr_changes; i++) {
		uint64_t block = map->changes[i].block;

		clear_bit(map->fresh, block);
		if (!map->counts[block] && get_bit(map->taken, block))
			release(map, block);
	}
	map->nr_changes = 0;
	map->next = 0;
	memset(map->dirty, 0, sizeof(map->dirty));
}

void space_map_edit_accept(struct space_map_edit *map)
{
	settle(map);
	map->committed = map->places;
}

void space_map_edit_undo(struct space_map_edit *map)
{
	for (size_t i = map->nr_changes; i-- > 0;) {
		uint8_t *count = &map->counts[map->changes[i].block];

		map->nr_allocated += !*count;
		map->nr_allocated -= !map->changes[i].count;
		*count = map->changes[i].count;
	}
	settle(map);
	map->places = map->committed;
}
