/* SPDX-License-Identifier: MIT */
/* Looks at every block of a device. */
#include "era/scan.h"
#include "era/superblock.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

#define RUN 256		   /* blocks that are read at once */
#define LOOKS_PER_BLOCK 64 /* a state takes one look at each of its nodes */
#define MAX_BEHIND 16	   /* damaged blocks, see end_of_damaged() */

static void see_era(uint32_t *latest, uint64_t era)
{
	if (era > *latest && era < LAST_PLAUSIBLE_ERA)
		*latest = (uint32_t)era;
}

/* The latest that a block has, which is over. */
static void see_over(struct scan *scan, uint64_t era)
{
	see_era(&scan->over, era);
	scan->nr_later += era > scan->later_than && era < LAST_PLAUSIBLE_ERA;
}

static void note(struct scan *scan, uint64_t number, unsigned length, uint64_t sum, uint32_t latest)
{
	if (!scan->kinds)
		return;
	scan->lengths[number] = (uint16_t)length;
	scan->sums[number] = sum;
	scan->latest[number] = latest;
}

static void see_eras(struct scan *scan, uint64_t number, const uint8_t *block)
{
	unsigned n = get_le32(block + ARRAY_NR_ENTRIES);
	uint32_t latest = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t era = get_le32(block + ARRAY_VALUES + (size_t)i * 4);

		sum += era;
		see_era(&latest, era);
	}
	see_over(scan, latest);
	note(scan, number, n, sum, latest);
}

static void see_words(struct scan *scan, uint64_t number, const uint8_t *block)
{
	unsigned n = get_le32(block + ARRAY_NR_ENTRIES);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += (uint64_t)__builtin_popcountll(
			get_le64(block + ARRAY_VALUES + (size_t)i * 8));
	note(scan, number, n, sum, 0);
}

static void see_kind(struct scan *scan, uint64_t number, enum kind kind)
{
	if (scan->kinds)
		scan->kinds[number] = (uint8_t)kind;
}

/* One that cannot be is damaged, whatever its checksum. */
static void see_snapshot(struct scan *scan, uint64_t number, const uint8_t *block)
{
	struct superblock snapshot;
	struct damage damage;

	if (superblock_decode(block, number, scan->nr_blocks, true, &snapshot, &damage))
		see_era(&scan->known, snapshot.info.current_era);
	else
		see_kind(scan, number, KIND_UNKNOWN);
}

static void see_index(struct scan *scan, uint64_t number, const uint8_t *block)
{
	scan->last_index = number;
	for (unsigned i = 0; i < SPACE_MAP_MAX_BITMAPS; i++) {
		uint64_t bitmap = get_le64(block + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE);

		if (bitmap > scan->last_bitmap && bitmap < scan->nr_blocks)
			scan->last_bitmap = bitmap;
	}
}

static enum kind see(struct scan *scan, uint64_t number, const uint8_t *block)
{
	enum kind kind = block_kind(block, number);
	unsigned n;

	see_kind(scan, number, kind);
	switch (kind) {
	case KIND_WRITESETS:
		n = kind_nr_entries(block);
		if (n)
			see_over(scan, kind_key(block, n - 1));
		break;
	case KIND_ERAS:
		see_eras(scan, number, block);
		break;
	case KIND_WORDS:
		see_words(scan, number, block);
		break;
	case KIND_SUPERBLOCK:
		see_snapshot(scan, number, block);
		break;
	case KIND_INDEX:
		see_index(scan, number, block);
		break;
	default:
		break;
	}
	return kind;
}

/* zeroes: how many of them come last, with what came before. */
static void see_run(struct scan *scan, uint64_t first, unsigned n, uint8_t *run, uint64_t *zeroes)
{
	bool whole = !block_io_read(scan->io, first, n, run);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *block = run + (size_t)i * METADATA_BLOCK_SIZE;
		enum kind kind = KIND_UNREADABLE;

		if (whole || !block_io_read(scan->io, first + i, 1, block))
			kind = see(scan, first + i, block);
		else
			see_kind(scan, first + i, kind);
		*zeroes = kind == KIND_ZEROES ? *zeroes + 1 : 0;
	}
}

/* Not block 0, which has been given up. */
static int see_all(struct scan *scan, uint64_t nr_zeroes)
{
	uint8_t *run = aligned_alloc(METADATA_BLOCK_SIZE, (size_t)RUN * METADATA_BLOCK_SIZE);
	uint64_t zeroes = 0, next = 1;

	if (!run)
		return PD_ERR_NO_MEMORY;
	while (next < scan->nr_blocks && zeroes < nr_zeroes) {
		uint64_t left = scan->nr_blocks - next;
		unsigned n = left < RUN ? (unsigned)left : RUN;

		see_run(scan, next, n, run, &zeroes);
		next += n;
	}
	if (next < scan->nr_blocks)
		scan->nr_blocks = next;
	free(run);
	return PD_OK;
}

/*
 * What lies behind the last sound block and is no zeroes may be damaged. If there is much of it, it is
 * what was on the device before, unless it cannot be read, or few blocks lie right behind the sound one.
 */
static uint64_t end_of_damaged(const struct scan *scan)
{
	uint64_t end = scan->sound_end, near = end, far = end, nr = 0;

	while (near < scan->nr_blocks && scan->kinds[near] < KIND_ZEROES)
		near++;
	for (uint64_t i = end; i < scan->nr_blocks; i++) {
		if (scan->kinds[i] == KIND_UNREADABLE)
			end = i + 1;
		if (scan->kinds[i] < KIND_ZEROES) {
			far = i + 1;
			nr++;
		}
	}
	if (nr <= MAX_BEHIND)
		return far;
	return near - scan->sound_end <= MAX_BEHIND && near > end ? near : end;
}

/*
 * The kernel takes blocks one after another, and writes all it takes: before the last one that was in
 * use there is none that never was.
 */
static void count_damaged(struct scan *scan)
{
	uint64_t end = scan->nr_blocks;

	while (end > 1 && scan->kinds[end - 1] <= KIND_ZEROES)
		end--;
	scan->sound_end = end;
	/* A transaction ends with its index block, or with a bitmap that this one names. */
	scan->fades = end > 1 && end < scan->nr_blocks && scan->kinds[end] == KIND_ZEROES &&
		      scan->kinds[end - 1] != KIND_INDEX && end - 1 != scan->last_bitmap;
	end = end_of_damaged(scan);
	scan->fades |= end > scan->sound_end;
	scan->unfilled = !scan->fades && scan->sound_end < scan->nr_blocks &&
			 scan->kinds[scan->nr_blocks - 1] == KIND_ZEROES;
	scan->last_used = end - 1;
	for (uint64_t i = 1; i < end; i++)
		scan->nr_damaged += scan->kinds[i] <= KIND_ZEROES;
}

int scan_make_small(struct scan *scan, struct block_io *io, uint64_t nr_zeroes, uint32_t later_than)
{
	*scan = (struct scan){.io = io, .later_than = later_than};
	scan->nr_blocks = io->nr_blocks < METADATA_MAX_BLOCKS ? io->nr_blocks : METADATA_MAX_BLOCKS;
	return see_all(scan, nr_zeroes);
}

int scan_make(struct scan *scan, struct block_io *io, uint64_t nr_zeroes)
{
	*scan = (struct scan){.io = io};
	scan->nr_blocks = io->nr_blocks < METADATA_MAX_BLOCKS ? io->nr_blocks : METADATA_MAX_BLOCKS;
	scan->looks_left = (scan->nr_blocks + RUN) * LOOKS_PER_BLOCK;
	scan->kinds = calloc(scan->nr_blocks + 1, sizeof(*scan->kinds));
	scan->sums = calloc(scan->nr_blocks + 1, sizeof(*scan->sums));
	scan->lengths = calloc(scan->nr_blocks + 1, sizeof(*scan->lengths));
	scan->latest = calloc(scan->nr_blocks + 1, sizeof(*scan->latest));
	if (!scan->kinds || !scan->sums || !scan->lengths || !scan->latest ||
	    see_all(scan, nr_zeroes))
		return PD_ERR_NO_MEMORY;
	count_damaged(scan);
	return PD_OK;
}

void scan_destroy(struct scan *scan)
{
	free(scan->kinds);
	free(scan->sums);
	free(scan->lengths);
	free(scan->latest);
}

/* Whether an array of so many values has a block of that length. */
static bool has_block_of(uint64_t nr_values, unsigned value_size, unsigned length)
{
	unsigned most = array_max_entries(value_size);

	return length == most || length == (nr_values + most - 1) % most + 1;
}

void scan_note_size(struct scan *scan, uint64_t nr_data_blocks)
{
	uint64_t nr_words = bitset_nr_words(nr_data_blocks);
	bool by_eras = false;

	for (uint64_t i = 0; i < scan->nr_blocks; i++) {
		unsigned length = scan->lengths[i];

		if (scan->kinds[i] == KIND_WORDS)
			scan->resized |= !has_block_of(nr_words, sizeof(uint64_t), length);
		if (scan->kinds[i] != KIND_ERAS ||
		    has_block_of(nr_data_blocks, sizeof(uint32_t), length))
			continue;
		scan->resized = by_eras = true;
		see_era(&scan->other_latest, scan->latest[i]);
	}
	if (!by_eras)
		scan->other_latest = LAST_PLAUSIBLE_ERA;
}

bool scan_look(struct scan *scan, uint64_t number, uint8_t *block)
{
	if (!scan->looks_left || number >= scan->nr_blocks)
		return false;
	scan->looks_left--;
	return !block_io_read(scan->io, number, 1, block) &&
	       block_kind(block, number) == scan->kinds[number];
}

/* How many eras a leaf of an array's tree leads to the end of; 0: it is none of an era array's. */
static uint64_t end_of_leaf(struct scan *scan, uint64_t number, uint8_t *block, bool *may_end)
{
	unsigned n = 0;
	uint64_t key, last;

	if (scan->kinds[number] == KIND_POINTERS && scan_look(scan, number, block))
		n = kind_nr_entries(block);
	if (!n)
		return 0;
	key = kind_key(block, n - 1);
	last = kind_pointer(block, KIND_POINTERS, n - 1);
	/* Each array block is a block of the device. */
	if (key >= scan->nr_blocks)
		return 0;
	*may_end = last >= scan->nr_blocks || scan->kinds[last] <= KIND_ZEROES;
	if (*may_end)
		return (key + 1) * ERAS_PER_BLOCK;
	return scan->kinds[last] == KIND_ERAS ? key * ERAS_PER_BLOCK + scan->lengths[last] : 0;
}

uint64_t scan_nr_data_blocks(struct scan *scan, uint8_t *block, bool *may_end)
{
	uint64_t most = 0;

	*may_end = false;
	for (uint64_t i = 0; i < scan->nr_blocks; i++) {
		bool may;
		uint64_t end = end_of_leaf(scan, i, block, &may);

		if (end > most) {
			most = end;
			*may_end = may;
		}
	}
	return most;
}
