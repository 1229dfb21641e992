/* SPDX-License-Identifier: MIT */
/* What metadata in memory say. */
#include "tests/support/eras.h"
#include "era/check.h"
#include "persistent-data/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct collecting {
	struct sink sink;
	struct eras *eras;
	uint32_t era; /* of the writeset at hand */
};

static void raise_era(struct eras *eras, uint64_t block, uint32_t era)
{
	if (block < ERAS_MAX_BLOCKS && eras->era[block] < era)
		eras->era[block] = era;
}

static int collect_begin(struct sink *sink, const struct stream_info *info)
{
	((struct collecting *)sink)->eras->info = *info;
	return info->nr_blocks <= ERAS_MAX_BLOCKS ? PD_OK : PD_ERR_UNSUPPORTED;
}

static int collect_writeset(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	(void)nr_bits;
	((struct collecting *)sink)->era = era;
	return PD_OK;
}

static int collect_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct collecting *collecting = (struct collecting *)sink;

	for (uint64_t i = 0; i < (uint64_t)n * 64; i++)
		if (words[i / 64] >> (i % 64) & 1)
			raise_era(collecting->eras, first_word * 64 + i, collecting->era);
	return PD_OK;
}

static int collect_nothing(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static int collect_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		raise_era(((struct collecting *)sink)->eras, first_block + (uint64_t)i, eras[i]);
	return PD_OK;
}

static int note_finding(void *context, const struct finding *finding)
{
	struct eras *eras = context;
	char text[FINDING_TEXT_MAX];

	finding_text(finding, text);
	if (!*eras->problem)
		snprintf(eras->problem, sizeof(eras->problem), "%s", text);
	return PD_OK;
}

static void note_message(void *context, const char *text)
{
	struct eras *eras = context;

	if (!*eras->problem)
		snprintf(eras->problem, sizeof(eras->problem), "%s", text);
}

bool eras_read(struct eras *eras, struct block_io *io, bool snapshot)
{
	static const struct sink_ops ops = {collect_begin,   collect_writeset, collect_words,
					    collect_nothing, collect_eras,     collect_nothing};
	struct collecting collecting = {{&ops}, eras, 0};
	struct check_visitor visitor = {&collecting.sink, eras, note_finding};
	struct report report = {note_message, eras};
	struct metadata *metadata = NULL;
	int r;

	memset(eras, 0, sizeof(*eras));
	r = metadata_open(io, snapshot, &report, &metadata);
	if (!r)
		r = metadata_check(metadata, &visitor, &report);
	metadata_close(metadata);
	if (r && !*eras->problem)
		snprintf(eras->problem, sizeof(eras->problem), "%s", pd_error_text(r));
	return !*eras->problem;
}

bool eras_read_memory(struct eras *eras, uint8_t *image, uint64_t nr_blocks, bool snapshot)
{
	struct block_io *io;
	bool sound;

	if (block_io_open_memory(image, nr_blocks, &io))
		abort();
	sound = eras_read(eras, io, snapshot);
	block_io_close(io);
	return sound;
}
