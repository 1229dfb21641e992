/* SPDX-License-Identifier: MIT */
/* The public face of the library. */
#include "era/era.h"
#include "era/changed.h"
#include "era/metadata.h"
#include "era/read.h"

#include <stdlib.h>

struct era {
	const struct report *report;
	struct block_io *io;
	enum era_source source;
	struct metadata *metadata;
	bool has_changed;
	struct changed changed;
};

static int open_metadata(struct era *era)
{
	return metadata_open(era->io, era->source == ERA_METADATA_SNAPSHOT, era->report,
			     &era->metadata);
}

int era_open(int fd, enum era_source source, const struct report *report, struct era **result)
{
	struct era *era = calloc(1, sizeof(*era));
	int r;

	if (!era)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	era->report = report;
	era->source = source;
	r = block_io_open_fd(fd, &era->io);
	if (r)
		report_message(report, "cannot be used as a metadata device: %s", pd_error_text(r));
	else
		r = open_metadata(era);
	if (r)
		era_close(era);
	else
		*result = era;
	return r;
}

static void drop_changed(struct era *era)
{
	if (era->has_changed)
		changed_destroy(&era->changed);
	era->has_changed = false;
}

void era_close(struct era *era)
{
	if (!era)
		return;
	drop_changed(era);
	metadata_close(era->metadata);
	block_io_close(era->io);
	free(era);
}

void era_numbers(const struct era *era, struct era_numbers *numbers)
{
	const struct stream_info *info = &era->metadata->superblock.info;
	const struct superblock *live = &era->metadata->live;

	*numbers = (struct era_numbers){.data_block_size = info->data_block_size,
					.nr_blocks = info->nr_blocks,
					.current_era = info->current_era,
					.metadata_snap = live->metadata_snap,
					.nr_metadata_blocks = live->space_map.nr_blocks,
					.nr_metadata_blocks_used = live->space_map.nr_allocated};
}

int era_changed_since(struct era *era, uint32_t since)
{
	int r;

	drop_changed(era);
	changed_init(&era->changed, since);
	r = metadata_read(era->metadata, &era->changed.sink, era->report);
	if (r)
		changed_destroy(&era->changed);
	else
		era->has_changed = true;
	return r;
}

bool era_next_changed(const struct era *era, uint32_t *begin, uint32_t *end)
{
	return era->has_changed && changed_next(&era->changed, begin, end);
}
