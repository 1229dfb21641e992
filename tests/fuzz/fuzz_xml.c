/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: a document for xml_read(). What it accepts must make sound metadata, which are
 * dumped and read again to the same.
 */
#include "era/check.h"
#include "era/measure.h"
#include "era/read.h"
#include "era/write.h"
#include "era/xml_write.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BLOCKS 512 /* that are written */

static int read_document(const uint8_t *data, size_t size, struct sink *sink)
{
	struct source source = {data, size, 0, 0};
	struct text_input input = {source_read, &source};

	return xml_read(&input, sink, NULL);
}

static int drop_text(void *context, const char *text, size_t size)
{
	(void)text;
	*(size_t *)context += size;
	return PD_OK;
}

static void dump(struct metadata *metadata)
{
	size_t size = 0;
	struct text_output output = {drop_text, &size};
	struct sink *xml;

	MUST(!xml_write_open(&output, false, NULL, &xml));
	MUST(!metadata_read(metadata, xml, NULL) && size);
	xml_write_close(xml);
}

static int stop(void *context, const struct finding *finding)
{
	(void)context;
	(void)finding;
	abort();
}

static void write_document(const uint8_t *data, size_t size, uint64_t nr_blocks)
{
	struct check_visitor visitor = {NULL, NULL, stop};
	uint8_t *bytes = calloc(nr_blocks, METADATA_BLOCK_SIZE);
	struct metadata *metadata;
	struct block_io *io;
	struct sink *sink;

	MUST(bytes && !block_io_open_memory(bytes, nr_blocks, &io) &&
	     !metadata_write_open(io, &sink));
	MUST(!read_document(data, size, sink));
	metadata_write_close(sink);
	MUST(!metadata_open(io, false, NULL, &metadata));
	MUST(!metadata_check(metadata, &visitor, NULL));
	dump(metadata);
	metadata_close(metadata);
	block_io_close(io);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct measure measure;
	uint64_t nr_blocks;

	measure_init(&measure);
	if (read_document(data, size, &measure.sink))
		return 0;
	nr_blocks = measure_device(&measure);
	if (nr_blocks <= MAX_BLOCKS)
		write_document(data, size, nr_blocks);
	return 0;
}
