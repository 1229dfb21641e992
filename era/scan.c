/* SPDX-License-Identifier: MIT */
/* Looks at every block of a device. */
#include "era/scan.h"
#include "era/superblock.h"
#include "persistent-data/array.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

#define RUN 256		   /* blocks that are read at once */
#define LOOKS_PER_BLOCK 64 /* a state takes one look at each of its nodes */
#define LAST_PLAUSIBLE_ERA INT32_MAX
#define MAX_BEHIND 16 /* damaged blocks, see count_damaged() */

static void see_era(uint32_t *latest, uint64_t era)
{
	if (era > *latest && era < LAST_PLAUSIBLE_ERA)
		*latest = (uint32_t)era;
}

static void see_eras(struct scan *scan, uint64_t number, const uint8_t *block)
{
	for (unsigned i = 0; i < get_le32(block + ARRAY_NR_ENTRIES); i++) {
		uint32_t era = get_le32(block + ARRAY_VALUES + (size_t)i * 4);

		scan->sums[number] += era;
		see_era(&scan->latest[number], era);
	}
	see_era(&scan->over, scan->latest[number]);
}

static void see_words(struct scan *scan, uint64_t number, const uint8_t *block)
{
	for (unsigned i = 0; i < get_le32(block + ARRAY_NR_ENTRIES); i++)
		scan->sums[number] += (uint64_t)__builtin_popcountll(
			get_le64(block + ARRAY_VALUES + (size_t)i * 8));
}

static void see_snapshot(struct scan *scan, uint64_t number, const uint8_t *block)
{
	struct superblock snapshot;
	struct damage damage;

	if (superblock_decode(block, number, scan->nr_blocks, true, &snapshot, &damage))
		see_era(&scan->known, snapshot.info.current_era);
}

static void see(struct scan *scan, uint64_t number, const uint8_t *block)
{
	enum kind kind = block_kind(block, number);
	unsigned n;

	scan->kinds[number] = (uint8_t)kind;
	switch (kind) {
	case KIND_WRITESETS:
		n = kind_nr_entries(block);
		if (n)
			see_era(&scan->over, kind_key(block, n - 1));
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
		scan->last_index = number;
		break;
	default:
		break;
	}
}

static void see_run(struct scan *scan, uint64_t first, unsigned n, uint8_t *run)
{
	bool whole = !block_io_read(scan->io, first, n, run);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *block = run + (size_t)i * METADATA_BLOCK_SIZE;

		if (whole || !block_io_read(scan->io, first + i, 1, block))
			see(scan, first + i, block);
		else
			scan->kinds[first + i] = KIND_UNREADABLE;
	}
}

/* Not block 0, which has been given up. */
static int see_all(struct scan *scan)
{
	uint8_t *run = aligned_alloc(METADATA_BLOCK_SIZE, (size_t)RUN * METADATA_BLOCK_SIZE);

	if (!run)
		return PD_ERR_NO_MEMORY;
	for (uint64_t first = 1; first < scan->nr_blocks; first += RUN) {
		uint64_t left = scan->nr_blocks - first;

		see_run(scan, first, left < RUN ? (unsigned)left : RUN, run);
	}
	free(run);
	return PD_OK;
}

/*
 * The kernel takes blocks one after another, and writes all it takes: below the last one that is sound
 * there is none that never was. Right behind it some may be damaged as well; if there are many, then
 * they are what was on the device before, unless they cannot be read.
 */
static void count_damaged(struct scan *scan)
{
	uint64_t end = scan->nr_blocks, last_sound, behind;

	while (end > 1 && scan->kinds[end - 1] <= KIND_ZEROES)
		end--;
	/* A transaction ends with its index block; that one may be nothing but zeroes by now. */
	scan->nr_damaged += end > 1 && scan->kinds[end - 1] != KIND_INDEX;
	last_sound = end - 1;
	for (behind = end; behind < scan->nr_blocks && scan->kinds[behind] < KIND_ZEROES; behind++)
		if (scan->kinds[behind] == KIND_UNREADABLE)
			end = behind + 1;
	if (behind - last_sound - 1 <= MAX_BEHIND)
		end = behind;
	for (uint64_t i = 1; i < end; i++)
		scan->nr_damaged += scan->kinds[i] <= KIND_ZEROES;
}

int scan_make(struct scan *scan, struct block_io *io)
{
	*scan = (struct scan){.io = io};
	scan->nr_blocks = io->nr_blocks < METADATA_MAX_BLOCKS ? io->nr_blocks : METADATA_MAX_BLOCKS;
	scan->looks_left = (scan->nr_blocks + RUN) * LOOKS_PER_BLOCK;
	scan->kinds = calloc(scan->nr_blocks + 1, sizeof(*scan->kinds));
	scan->sums = calloc(scan->nr_blocks + 1, sizeof(*scan->sums));
	scan->latest = calloc(scan->nr_blocks + 1, sizeof(*scan->latest));
	if (!scan->kinds || !scan->sums || !scan->latest || see_all(scan))
		return PD_ERR_NO_MEMORY;
	count_damaged(scan);
	return PD_OK;
}

void scan_destroy(struct scan *scan)
{
	free(scan->kinds);
	free(scan->sums);
	free(scan->latest);
}

bool scan_look(struct scan *scan, uint64_t number, uint8_t *block)
{
	if (!scan->looks_left || number >= scan->nr_blocks)
		return false;
	scan->looks_left--;
	return !block_io_read(scan->io, number, 1, block) &&
	       block_kind(block, number) == scan->kinds[number];
}
