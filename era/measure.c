/* SPDX-License-Identifier: MIT */
/* How many metadata blocks the stream takes. */
#include "era/measure.h"
#include "era/trees.h"
#include "persistent-data/array_build.h"
#include "persistent-data/bitset.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/space_map_build.h"

static int measure_begin(struct sink *sink, const struct stream_info *info)
{
	struct measure *measure = (struct measure *)sink;

	measure->nr_blocks += array_build_nr_blocks(info->nr_blocks, sizeof(uint32_t));
	return PD_OK;
}

static int measure_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct measure *measure = (struct measure *)sink;

	(void)era;
	measure->nr_writesets++;
	measure->nr_blocks += array_build_nr_blocks(bitset_nr_words(nr_bits), sizeof(uint64_t));
	return measure->nr_blocks > METADATA_MAX_BLOCKS ? PD_ERR_NO_SPACE : PD_OK;
}

static int measure_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	(void)sink;
	(void)first_word;
	(void)words;
	(void)n;
	return PD_OK;
}

static int measure_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	(void)sink;
	(void)first_block;
	(void)eras;
	(void)n;
	return PD_OK;
}

static int measure_nothing(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static const struct sink_ops measure_ops = {measure_begin, measure_writeset_begin,
					    measure_words, measure_nothing,
					    measure_eras,  measure_nothing};

void measure_init(struct measure *measure)
{
	*measure = (struct measure){.sink = {&measure_ops}};
}

uint64_t measure_total(const struct measure *measure, uint64_t device_blocks)
{
	return 1 + measure->nr_blocks +
	       btree_build_nr_nodes(measure->nr_writesets, WRITESET_VALUE_SIZE) +
	       space_map_build_nr_blocks(device_blocks);
}

uint64_t measure_device(const struct measure *measure)
{
	uint64_t device_blocks = measure_total(measure, 0);
	uint64_t total = measure_total(measure, device_blocks);

	/* A larger device needs more bitmaps, which need a larger device: this soon ends. */
	while (total > device_blocks) {
		device_blocks = total;
		total = measure_total(measure, device_blocks);
	}
	return device_blocks;
}
