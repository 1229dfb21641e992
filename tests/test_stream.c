/* SPDX-License-Identifier: MIT */
/*
 * Sinks and sources of the stream, from end to end in memory: a random model is written as metadata,
 * and read back into each sink.
 */
#include "era/changed.h"
#include "era/check.h"
#include "era/logical.h"
#include "era/measure.h"
#include "era/metadata.h"
#include "era/read.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A model: eras, and writesets as a byte for each bit. */

#define MAX_BLOCKS 70000
#define NR_WRITESETS 3
#define CURRENT_ERA 9

struct model {
	struct stream_info info;
	uint32_t eras[MAX_BLOCKS];
	uint32_t writeset_eras[NR_WRITESETS];
	uint32_t nr_bits[NR_WRITESETS];
	uint64_t words[NR_WRITESETS][MAX_BLOCKS / 64 + 1];
};

static struct model *model_make(uint32_t nr_blocks, unsigned seed)
{
	struct model *model = calloc(1, sizeof(*model));

	cr_assert_not_null(model);
	model->info = (struct stream_info){
		.data_block_size = 128, .nr_blocks = nr_blocks, .current_era = CURRENT_ERA};
	for (uint32_t i = 0; i < nr_blocks; i++)
		model->eras[i] = (uint32_t)rand_r(&seed) % 5;
	for (unsigned w = 0; w < NR_WRITESETS; w++) {
		model->writeset_eras[w] = 3 + 3 * w;
		/* Of a device that grew, or shrank. */
		model->nr_bits[w] = w == 0 ? nr_blocks / 2 : w == 1 ? nr_blocks : nr_blocks + 70;
		for (uint32_t bit = 0; bit < model->nr_bits[w] && bit < MAX_BLOCKS; bit++)
			if (rand_r(&seed) % 7 == 0)
				model->words[w][bit / 64] |= UINT64_C(1) << bit % 64;
	}
	return model;
}

static uint32_t model_era(const struct model *model, uint32_t block)
{
	uint32_t era = model->eras[block];

	for (unsigned w = 0; w < NR_WRITESETS; w++)
		if (block < model->nr_bits[w] && model->words[w][block / 64] >> block % 64 & 1 &&
		    model->writeset_eras[w] > era)
			era = model->writeset_eras[w];
	return era;
}

/* The model as a source, in batches of odd sizes. */
static int model_read(const struct model *model, struct sink *sink)
{
	int r = sink->ops->begin(sink, &model->info);

	for (unsigned w = 0; !r && w < NR_WRITESETS; w++) {
		uint64_t nr_words = (model->nr_bits[w] + 63) / 64;

		r = sink->ops->writeset_begin(sink, model->writeset_eras[w], model->nr_bits[w]);
		for (uint64_t i = 0; !r && i < nr_words; i += 100)
			r = sink->ops->writeset_words(sink, i, model->words[w] + i,
						      nr_words - i < 100 ? (unsigned)(nr_words - i)
									 : 100);
		if (!r)
			r = sink->ops->writeset_end(sink);
	}
	for (uint32_t i = 0; !r && i < model->info.nr_blocks; i += 1234)
		r = sink->ops->eras(sink, i, model->eras + i,
				    model->info.nr_blocks - i < 1234 ? model->info.nr_blocks - i
								     : 1234);
	return r ? r : sink->ops->end(sink);
}

static int write_to(struct block_io *io, const struct model *model)
{
	struct sink *sink;
	int r = metadata_write_open(io, &sink);

	if (r)
		return r;
	r = model_read(model, sink);
	metadata_write_close(sink);
	return r;
}

static uint64_t blocks_needed(const struct model *model)
{
	struct measure measure;

	measure_init(&measure);
	cr_assert_eq(model_read(model, &measure.sink), PD_OK);
	return measure_device(&measure);
}

static int read_from(struct block_io *io, struct sink *sink)
{
	struct metadata *metadata;
	int r = metadata_open(io, false, NULL, &metadata);

	if (r)
		return r;
	r = metadata_read(metadata, sink, NULL);
	metadata_close(metadata);
	return r;
}

static void expect_changed(struct block_io *io, const struct model *model, uint32_t since)
{
	uint32_t nr_blocks = model->info.nr_blocks;
	uint32_t begin, end = 0, block = 0;
	struct changed changed;

	changed_init(&changed, since);
	cr_assert_eq(read_from(io, &changed.sink), PD_OK);
	while (changed_next(&changed, &begin, &end)) {
		for (; block < begin; block++)
			cr_assert_lt(model_era(model, block), since, "block %u", block);
		for (; block < end; block++)
			cr_assert_geq(model_era(model, block), since, "block %u", block);
		cr_assert(end == nr_blocks || model_era(model, end) < since, "not maximal");
	}
	for (; block < nr_blocks; block++)
		cr_assert_lt(model_era(model, block), since, "block %u", block);
	changed_destroy(&changed);
}

static const uint32_t sizes[] = {0, 1, 63, 64, 65, 1018, 1019, 32576, 32577, 69900};

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

Test(stream, changed_blocks_of_every_era)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		struct model *model = model_make(sizes[i], (unsigned)i);
		struct device device;

		device_open(&device, blocks_needed(model));
		cr_assert_eq(write_to(device.io, model), PD_OK);
		for (uint32_t since = 0; since <= CURRENT_ERA + 1; since++)
			expect_changed(device.io, model, since);
		device_close(&device);
		free(model);
	}
}

Test(stream, what_is_measured_is_what_is_needed)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		struct model *model = model_make(sizes[i], (unsigned)i);
		uint64_t needed = blocks_needed(model);
		struct device device;

		device_open(&device, needed);
		cr_expect_eq(write_to(device.io, model), PD_OK, "%u blocks", sizes[i]);
		device_close(&device);
		device_open(&device, needed - 1);
		cr_expect_eq(write_to(device.io, model), PD_ERR_NO_SPACE, "%u blocks", sizes[i]);
		device_close(&device);
		free(model);
	}
}

/* The filter. */

struct collect {
	struct sink sink;
	const struct model *model;
	uint32_t next;
	bool ended;
};

static int collect_begin(struct sink *sink, const struct stream_info *info)
{
	(void)sink;
	cr_expect_eq(info->current_era, CURRENT_ERA);
	return PD_OK;
}

static int collect_writeset(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	(void)sink;
	(void)nr_bits;
	cr_assert_fail("a writeset of era %u comes out", era);
	return PD_OK;
}

static int collect_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct collect *collect = (struct collect *)sink;

	cr_assert_eq(first_block, collect->next);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(eras[i], model_era(collect->model, first_block + i), "block %u",
			     first_block + i);
	collect->next += n;
	return PD_OK;
}

static int collect_end(struct sink *sink)
{
	((struct collect *)sink)->ended = true;
	return PD_OK;
}

Test(stream, logical_eras)
{
	static const struct sink_ops ops = {collect_begin, collect_writeset, NULL,
					    NULL,	   collect_eras,     collect_end};

	for (size_t i = 0; i < NR_SIZES; i++) {
		struct model *model = model_make(sizes[i], (unsigned)i);
		struct collect collect = {.sink = {&ops}, .model = model};
		struct sink *logical;

		cr_assert_eq(logical_open(&collect.sink, &logical), PD_OK);
		cr_expect_eq(model_read(model, logical), PD_OK);
		cr_expect(collect.ended && collect.next == sizes[i]);
		logical_close(logical);
		free(model);
	}
}

/* Devices that fail, and power that does. */

static bool opens(struct block_io *io)
{
	struct metadata *metadata;

	if (metadata_open(io, false, NULL, &metadata))
		return false;
	metadata_close(metadata);
	return true;
}

static int read_changed(struct block_io *io)
{
	struct changed changed;
	int r;

	changed_init(&changed, 1);
	r = read_from(io, &changed.sink);
	changed_destroy(&changed);
	return r;
}

Test(stream, every_write_and_flush_failing)
{
	struct model *model = model_make(40000, 1);
	struct device device;
	bool failed = true;

	device_open(&device, blocks_needed(model));
	for (long n = 0; failed; n++) {
		struct failure failure = {.kinds = FAIL_WRITES | FAIL_FLUSHES, .left = n};
		struct block_io *io = failing_io_open(device.io, &failure);
		int r;

		cr_assert_eq(write_to(device.io, model), PD_OK);
		r = write_to(io, model);
		failed = failure_happened(&failure);
		cr_expect_eq(r, failed ? PD_ERR_IO : PD_OK, "failure %ld", n);
		/* Until the old metadata is wiped it is whole; from the last flush on the new is. */
		cr_expect(!opens(device.io) || !read_changed(device.io), "failure %ld", n);
		block_io_close(io);
	}
	device_close(&device);
	free(model);
}

Test(stream, every_read_failing)
{
	struct model *model = model_make(40000, 1);
	struct device device;
	bool failed = true;

	device_open(&device, blocks_needed(model));
	cr_assert_eq(write_to(device.io, model), PD_OK);
	for (long n = 0; failed; n++) {
		struct failure failure = {.kinds = FAIL_READS, .left = n, .for_good = true};
		struct block_io *io = failing_io_open(device.io, &failure);
		int r = read_changed(io);

		failed = failure_happened(&failure);
		cr_expect_eq(r, failed ? PD_ERR_IO : PD_OK, "read %ld: %s", n, pd_error_text(r));
		block_io_close(io);
	}
	device_close(&device);
	free(model);
}

/* The old metadata, the new, or none: what a power cut leaves behind. */
Test(stream, every_power_cut)
{
	struct model *old = model_make(30000, 1), *new = model_make(40000, 2);
	struct io_log log;
	struct device device, after;
	struct block_io *io;

	device_open(&device, blocks_needed(new));
	device_open(&after, blocks_needed(new));
	cr_assert_eq(write_to(device.io, old), PD_OK);
	memcpy(after.memory, device.memory, after.io->nr_blocks * METADATA_BLOCK_SIZE);
	io_log_init(&log);
	io = io_log_open(&log, 0, device.io);
	cr_assert_eq(write_to(io, new), PD_OK);
	for (size_t n = 0; n < log.nr; n++) {
		const struct io_record *record = &log.records[n];

		for (size_t sectors = 1; sectors <= io_record_sectors(record); sectors *= 2) {
			bool last = n + 2 == log.nr;

			io_record_apply(record, sectors, after.memory);
			/* Torn in its zeroes or ones, a superblock is whole from its first sector on. */
			if (opens(after.io))
				expect_changed(after.io, last ? new : old, 1);
			else
				cr_expect(!last, "the new superblock is not valid");
		}
		io_record_apply(record, io_record_sectors(record), after.memory);
	}
	expect_changed(after.io, new, 1);
	block_io_close(io);
	io_log_free(&log);
	device_close(&device);
	device_close(&after);
	free(old);
	free(new);
}
