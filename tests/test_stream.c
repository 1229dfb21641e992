/* SPDX-License-Identifier: MIT */
/*
 * The stream from end to end in memory: a random model is written as metadata, and what is read back
 * must be the model, or an error.
 */
#include "era/changed.h"
#include "era/measure.h"
#include "era/metadata.h"
#include "era/read.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"

#include <criterion/criterion.h>
#include <stdlib.h>

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

static int read_changed(struct block_io *io)
{
	struct changed changed;
	int r;

	changed_init(&changed, 1);
	r = read_from(io, &changed.sink);
	changed_destroy(&changed);
	return r;
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
