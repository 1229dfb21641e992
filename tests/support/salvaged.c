/* SPDX-License-Identifier: MIT */
/* Salvages images in memory. */
#include "tests/support/salvaged.h"
#include "era/check.h"
#include "era/measure.h"
#include "era/salvage.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/support/naive.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BLOCKS 65536 /* that are written */

/* A device that counts what is read. */
struct counted_io {
	struct block_io io;
	struct block_io *inner;
	uint64_t *nr_reads;
};

static int counted_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct counted_io *counted = (struct counted_io *)io;

	*counted->nr_reads += count;
	return block_io_read(counted->inner, first, count, buffer);
}

static void keep_message(void *context, const char *text)
{
	struct salvaged *salvaged = context;
	size_t used = strlen(salvaged->messages);

	snprintf(salvaged->messages + used, sizeof(salvaged->messages) - used, "%s\n", text);
}

static int first_finding(void *context, const struct finding *finding)
{
	struct salvaged *salvaged = context;
	char text[FINDING_TEXT_MAX];

	if (salvaged->problem[0])
		return 0;
	finding_text(finding, text);
	snprintf(salvaged->problem, sizeof(salvaged->problem), "%.190s", text);
	return 0;
}

/* By the library first, then by another's eyes. */
static void read_back(struct salvaged *salvaged, const uint8_t *bytes, struct block_io *io)
{
	struct check_visitor visitor = {NULL, salvaged, first_finding};
	struct report report = {keep_message, salvaged};
	struct naive_image image = {.bytes = bytes, .nr_blocks = io->nr_blocks};
	struct metadata *metadata;
	struct naive naive;

	if (metadata_open(io, false, &report, &metadata)) {
		snprintf(salvaged->problem, sizeof(salvaged->problem), "cannot be opened");
		return;
	}
	cr_assert_eq(metadata_check(metadata, &visitor, &report), 0);
	metadata_close(metadata);
	if (naive_load(&naive, &image, false) && naive_check_counts(&image)) {
		salvaged->nr_blocks = naive.nr_blocks;
		salvaged->current_era = naive.current_era;
		salvaged->eras = naive_block_eras(&naive);
	} else if (!salvaged->problem[0]) {
		snprintf(salvaged->problem, sizeof(salvaged->problem), "%s", image.problem);
	}
	naive_free(&naive);
}

static void write_out(struct salvaged *salvaged, struct salvage *salvage,
		      const struct report *report)
{
	struct measure measure;
	struct sink *sink;
	struct block_io *io;
	uint64_t nr_blocks;
	uint8_t *bytes;

	measure_init(&measure);
	salvaged->result = salvage_read(salvage, &measure.sink, NULL);
	if (salvaged->result)
		return;
	nr_blocks = measure_device(&measure);
	if (nr_blocks > MAX_BLOCKS) {
		salvaged->result = PD_ERR_NO_SPACE;
		return;
	}
	bytes = calloc(nr_blocks, IMAGE_BLOCK);
	cr_assert(bytes && !block_io_open_memory(bytes, nr_blocks, &io) &&
		  !metadata_write_open(io, &sink));
	salvaged->result = salvage_read(salvage, sink, report);
	metadata_write_close(sink);
	if (!salvaged->result)
		read_back(salvaged, bytes, io);
	block_io_close(io);
	free(bytes);
}

void salvaged_make_from(struct salvaged *salvaged, struct block_io *io, uint32_t nr_blocks,
			uint32_t data_block_size)
{
	struct find_hints hints = {nr_blocks, data_block_size, 0};
	static const struct block_io_ops ops = {.read = counted_read};
	struct report report = {keep_message, salvaged};
	struct counted_io counted = {{&ops, io->nr_blocks}, io, &salvaged->nr_reads};
	struct salvage *salvage;

	memset(salvaged, 0, sizeof(*salvaged));
	salvaged->result = salvage_open(&counted.io, &hints, &report, &salvage);
	if (salvaged->result)
		return;
	write_out(salvaged, salvage, &report);
	salvage_close(salvage);
}

void salvaged_make(struct salvaged *salvaged, const struct image *image, uint32_t nr_blocks,
		   uint32_t data_block_size)
{
	struct block_io *io;

	cr_assert_eq(block_io_open_memory(image->bytes, image->nr_blocks, &io), 0);
	salvaged_make_from(salvaged, io, nr_blocks, data_block_size);
	block_io_close(io);
}

void salvaged_free(struct salvaged *salvaged)
{
	free(salvaged->eras);
}

uint32_t *salvaged_truth(const struct image *image, uint32_t *nr_blocks, uint32_t *current_era)
{
	struct naive_image file = {.bytes = image->bytes, .nr_blocks = image->nr_blocks};
	struct naive naive;
	uint32_t *eras;

	cr_assert(naive_load(&naive, &file, false), "%s", file.problem);
	*nr_blocks = naive.nr_blocks;
	*current_era = naive.current_era;
	eras = naive_block_eras(&naive);
	naive_free(&naive);
	return eras;
}
