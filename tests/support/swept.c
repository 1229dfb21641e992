/* SPDX-License-Identifier: MIT */
/* Walks and sweeps metadata. */
#include "tests/support/swept.h"
#include "era/changed.h"
#include "era/trees.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static int note(void *context, const struct finding *finding)
{
	bool *found = context;

	(void)finding;
	*found = true;
	return PD_OK;
}

static void begin(struct metadata *metadata, struct changed *changed, uint32_t since)
{
	changed_init(changed, since);
	ref_counts_clear(&metadata->refs);
	cr_assert_eq(changed->sink.ops->begin(&changed->sink, &metadata->superblock.info), PD_OK);
}

static bool sound_walked(struct metadata *metadata, struct changed *changed, uint32_t since)
{
	bool found = false;
	struct trees_visitor visitor = {.sink = &changed->sink, .context = &found, .finding = note};

	begin(metadata, changed, since);
	cr_assert_eq(trees_walk(metadata, &metadata->superblock, metadata->snapshot, &visitor),
		     PD_OK);
	return !found;
}

static bool sound_swept(struct metadata *metadata, struct changed *changed, uint32_t since)
{
	int r;

	begin(metadata, changed, since);
	r = trees_sweep(metadata, &metadata->superblock, metadata->snapshot, &changed->sink);
	cr_assert(r == PD_OK || r == PD_ERR_CORRUPT);
	return r == PD_OK;
}

static const char *compare(struct metadata *metadata, const uint16_t *counts,
			   const struct changed *walked, const struct changed *swept)
{
	if (memcmp(counts, metadata->refs.counts, metadata->refs.nr_blocks * sizeof(*counts)) != 0)
		return "reference counts";
	if (memcmp(walked->words, swept->words,
		   bitset_nr_words(walked->info.nr_blocks) * sizeof(*walked->words)) != 0)
		return "what changed";
	return NULL;
}

static const char *walk_and_sweep(struct metadata *metadata, uint32_t since)
{
	size_t size = metadata->refs.nr_blocks * sizeof(uint16_t);
	uint16_t *counts = malloc(size);
	struct changed walked, swept;
	const char *problem = NULL;
	bool sound;

	cr_assert(counts);
	sound = sound_walked(metadata, &walked, since);
	memcpy(counts, metadata->refs.counts, size);
	if (sound_swept(metadata, &swept, since) != sound)
		problem = sound ? "found unsound" : "found sound";
	else if (sound)
		problem = compare(metadata, counts, &walked, &swept);
	free(counts);
	changed_destroy(&walked);
	changed_destroy(&swept);
	return problem;
}

const char *swept_differs(uint8_t *image, uint64_t nr_blocks, bool snapshot, uint32_t since)
{
	struct metadata *metadata;
	const char *problem = NULL;
	struct block_io *io;

	cr_assert_eq(block_io_open_memory(image, nr_blocks, &io), PD_OK);
	if (!metadata_open(io, snapshot, NULL, &metadata)) {
		problem = walk_and_sweep(metadata, since);
		metadata_close(metadata);
	}
	block_io_close(io);
	return problem;
}
