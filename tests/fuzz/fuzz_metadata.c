/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: an image of metadata, for all that reads metadata. Apart from what sanitizers find,
 * it is an error if what is salvaged is unsound, or lists less than what passes as sound; and so it is
 * of what the runtime leaves when it has gone on from it; and if a sweep differs from a walk.
 */
#include "era/changed.h"
#include "era/check.h"
#include "era/live.h"
#include "era/measure.h"
#include "era/read.h"
#include "era/salvage.h"
#include "era/trees.h"
#include "era/write.h"
#include "persistent-data/checksum.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BLOCKS 256		   /* of an image */
#define MAX_DATA_BLOCKS (1u << 20) /* beyond that it only gets slow */
#define SINCE 3

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static int count(void *context, const struct finding *finding)
{
	(void)finding;
	++*(unsigned *)context;
	return PD_OK;
}

/* A sweep passes what a walk in order passes, and counts the same references. */
static void compare_sweep(struct metadata *metadata)
{
	const struct superblock *superblock = &metadata->superblock;
	size_t size = metadata->refs.nr_blocks * sizeof(*metadata->refs.counts);
	uint16_t *counts = malloc(size);
	unsigned nr = 0;
	struct trees_visitor visitor = {.context = &nr, .finding = count};
	int r;

	MUST(counts);
	ref_counts_clear(&metadata->refs);
	MUST(trees_walk(metadata, superblock, false, &visitor) == PD_OK);
	memcpy(counts, metadata->refs.counts, size);
	ref_counts_clear(&metadata->refs);
	r = trees_sweep(metadata, superblock, false, NULL);
	MUST((r == PD_OK) == (nr == 0));
	MUST(r || !memcmp(counts, metadata->refs.counts, size));
	free(counts);
}

/* -1: it cannot be opened. */
static int nr_findings(struct block_io *io)
{
	unsigned nr = 0;
	struct check_visitor visitor = {NULL, &nr, count};
	struct metadata *metadata;
	int r;

	if (metadata_open(io, false, NULL, &metadata))
		return -1;
	r = metadata_check(metadata, &visitor, NULL);
	MUST(r == PD_OK);
	compare_sweep(metadata);
	metadata_close(metadata);
	return (int)nr;
}

static bool read_changed(struct block_io *io, bool snapshot, struct changed *changed)
{
	struct metadata *metadata;
	int r;

	changed_init(changed, SINCE);
	if (metadata_open(io, snapshot, NULL, &metadata))
		return false;
	r = metadata->superblock.info.nr_blocks > MAX_DATA_BLOCKS
		    ? PD_ERR_UNSUPPORTED
		    : metadata_read(metadata, &changed->sink, NULL);
	metadata_close(metadata);
	return !r;
}

/* Whether all of a set is in another one. */
static bool contains(const struct changed *all, const struct changed *some)
{
	uint32_t begin, end = 0, all_begin, all_end;

	while (changed_next(some, &begin, &end)) {
		all_end = begin;
		if (!changed_next(all, &all_begin, &all_end) || all_begin > begin || all_end < end)
			return false;
	}
	return true;
}

static void write_salvage(struct salvage *salvage, const struct measure *measure)
{
	uint64_t nr_blocks = measure_device(measure);
	uint8_t *bytes = calloc(nr_blocks, METADATA_BLOCK_SIZE);
	struct block_io *io;
	struct sink *sink;

	MUST(bytes && !block_io_open_memory(bytes, nr_blocks, &io) &&
	     !metadata_write_open(io, &sink));
	MUST(salvage_read(salvage, sink, NULL) == PD_OK);
	metadata_write_close(sink);
	MUST(nr_findings(io) == 0);
	block_io_close(io);
	free(bytes);
}

static void try_salvage(struct block_io *io, const struct find_hints *hints,
			const struct changed *changed)
{
	struct salvage *salvage;
	struct changed salvaged;
	struct measure measure;

	if (salvage_open(io, hints, NULL, &salvage))
		return;
	measure_init(&measure);
	changed_init(&salvaged, SINCE);
	if (salvage_info(salvage)->nr_blocks <= MAX_DATA_BLOCKS &&
	    !salvage_read(salvage, &measure.sink, NULL) && measure.nr_blocks < 4 * MAX_BLOCKS) {
		write_salvage(salvage, &measure);
		MUST(salvage_read(salvage, &salvaged.sink, NULL) == PD_OK);
		MUST(!changed || contains(&salvaged, changed));
	}
	changed_destroy(&salvaged);
	salvage_close(salvage);
}

static int change(struct live *live)
{
	bool idle = false;
	int r = PD_OK;

	for (int i = 0; !r && !idle && i < 50; i++)
		r = live_digest(live, &idle);
	if (!r && live->now.superblock.info.nr_blocks)
		r = live_mark(live, 0, 1);
	if (!r && live->now.superblock.metadata_snap)
		r = live_drop_snapshot(live);
	return r ? r : live_take_snapshot(live);
}

/* The runtime takes what passes as sound, whatever it is, and leaves it sound with nothing lost. */
static void go_on(const uint8_t *data, uint64_t nr_blocks, const struct changed *before)
{
	size_t size = nr_blocks * METADATA_BLOCK_SIZE;
	uint8_t *bytes = aligned_alloc(METADATA_BLOCK_SIZE, size);
	struct changed after;
	struct block_io *io;
	struct live live;

	MUST(bytes && !block_io_open_memory(memcpy(bytes, data, size), nr_blocks, &io));
	if (!live_open(&live, io, before->info.data_block_size, before->info.nr_blocks, NULL)) {
		if (change(&live))
			live_abort(&live);
		else
			live_commit(&live);
	}
	live_close(&live);
	MUST(read_changed(io, false, &after) && contains(&after, before));
	changed_destroy(&after);
	block_io_close(io);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t nr_blocks = size / METADATA_BLOCK_SIZE;
	struct changed changed, snapshot;
	struct block_io *io;
	bool opens, sound;

	if (!nr_blocks || nr_blocks > MAX_BLOCKS)
		return 0;
	MUST(!block_io_open_memory((void *)(uintptr_t)data, nr_blocks, &io));
	opens = nr_findings(io) >= 0;
	sound = read_changed(io, false, &changed);
	/* A live superblock that is damaged would be waited for, all in vain. */
	changed_init(&snapshot, SINCE);
	if (opens)
		read_changed(io, true, &snapshot);
	try_salvage(io, &(struct find_hints){0}, sound ? &changed : NULL);
	try_salvage(io, &(struct find_hints){8192, 128, 0}, NULL);
	if (sound)
		go_on(data, nr_blocks, &changed);
	changed_destroy(&changed);
	changed_destroy(&snapshot);
	block_io_close(io);
	return 0;
}

/* Changes one block, most often in its first part, and puts its number and checksum right again. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint64_t nr_blocks = size / METADATA_BLOCK_SIZE;
	uint64_t number = nr_blocks ? seed / 16 % nr_blocks : 0;
	uint8_t *block = data + number * METADATA_BLOCK_SIZE;
	size_t part = seed % 4 ? 256 : METADATA_BLOCK_SIZE;
	size_t from = seed % 4 == 2 ? 2048 : 0; /* where values of nodes begin, about */
	enum block_type type;

	if (!nr_blocks || seed % 16 == 15)
		return LLVMFuzzerMutate(data, size, max_size);
	type = block_type_of(block, number);
	LLVMFuzzerMutate(block + from, part < METADATA_BLOCK_SIZE - from ? part : 2048, part / 2);
	if (type < NR_BLOCK_TYPES)
		block_seal(block, type, number);
	return nr_blocks * METADATA_BLOCK_SIZE;
}
