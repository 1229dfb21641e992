/* SPDX-License-Identifier: MIT */
/*
 * usage: generate FILE DATA_BLOCKS WRITESETS {random|runs} [scattered]
 *
 * Writes sound metadata of any size, the same for the same arguments. Eras are 1 to 1000, and the
 * writesets' are those behind; in each, one block of 128 is marked. random: each block has an era of
 * its own; runs: of a thousand blocks on average. scattered: metadata blocks lie in any order, as after many
 * eras, and not one behind the other as they were written.
 */
#include "era/measure.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/bench/scatter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_ERA 1000
#define BATCH 4096 /* words or eras */
#define RUN_MEAN 1000
#define MARKED_OF 128 /* of so many data blocks one is marked */

struct shape {
	uint32_t nr_blocks, nr_writesets;
	bool runs;
};

static uint64_t random_state;

/* splitmix64: public domain, by Sebastiano Vigna. */
static uint64_t random_word(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t random_below(uint32_t limit)
{
	return (uint32_t)((random_word() >> 32) * limit >> 32);
}

static uint32_t run_length(const struct shape *shape)
{
	return shape->runs ? 1 + random_below(2 * RUN_MEAN - 1) : 1;
}

static int send_eras(const struct shape *shape, struct sink *sink)
{
	uint32_t eras[BATCH];
	uint32_t era = 0, left = 0;
	int r = PD_OK;

	for (uint32_t first = 0, n; !r && first < shape->nr_blocks; first += n) {
		n = shape->nr_blocks - first < BATCH ? shape->nr_blocks - first : BATCH;
		for (uint32_t i = 0; i < n; i++, left--) {
			if (!left) {
				left = run_length(shape);
				era = 1 + random_below(LAST_ERA);
			}
			eras[i] = era;
		}
		r = sink->ops->eras(sink, first, eras, n);
	}
	return r;
}

static uint64_t some_bits(const struct shape *shape, uint32_t *left, bool *marked)
{
	uint64_t word;

	if (!shape->runs) {
		word = random_word();
		for (unsigned of = 2; of < MARKED_OF; of *= 2)
			word &= random_word();
		return word;
	}
	word = *marked ? UINT64_MAX : 0;
	*left = *left > 64 ? *left - 64 : 0;
	if (!*left) {
		*left = run_length(shape);
		*marked = random_below(MARKED_OF) == 0;
	}
	return word;
}

static int send_words(const struct shape *shape, struct sink *sink)
{
	uint64_t words[BATCH];
	uint64_t nr_words = ((uint64_t)shape->nr_blocks + 63) / 64;
	uint32_t left = 0;
	bool marked = false;
	int r = PD_OK;

	for (uint64_t first = 0, n; !r && first < nr_words; first += n) {
		n = nr_words - first < BATCH ? nr_words - first : BATCH;
		for (uint64_t i = 0; i < n; i++)
			words[i] = some_bits(shape, &left, &marked);
		if (first + n == nr_words && shape->nr_blocks % 64)
			words[n - 1] &= (UINT64_C(1) << (shape->nr_blocks % 64)) - 1;
		r = sink->ops->writeset_words(sink, first, words, (unsigned)n);
	}
	return r;
}

/* The whole stream, or only what says how large it will be. */
static int send(const struct shape *shape, struct sink *sink, bool sizes_only)
{
	struct stream_info info = {.data_block_size = 128,
				   .nr_blocks = shape->nr_blocks,
				   .current_era = LAST_ERA + shape->nr_writesets + 1};
	int r = sink->ops->begin(sink, &info);

	random_state = 1;
	for (uint32_t i = 0; !r && i < shape->nr_writesets; i++) {
		r = sink->ops->writeset_begin(sink, LAST_ERA + 1 + i, shape->nr_blocks);
		if (!r && !sizes_only)
			r = send_words(shape, sink);
		if (!r)
			r = sink->ops->writeset_end(sink);
	}
	if (!r && !sizes_only)
		r = send_eras(shape, sink);
	return r ? r : sink->ops->end(sink);
}

static int write_file(int fd, const struct shape *shape, bool scattered)
{
	struct block_io *io = NULL;
	struct sink *sink = NULL;
	int r = block_io_open_fd(fd, &io);

	if (!r)
		r = metadata_write_open(io, &sink);
	if (!r)
		r = send(shape, sink, false);
	metadata_write_close(sink);
	if (!r && scattered)
		r = scatter(io, random_word);
	block_io_close(io);
	return r;
}

static int generate(const char *path, const struct shape *shape, bool scattered)
{
	struct measure measure;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r;

	measure_init(&measure);
	r = send(shape, &measure.sink, true);
	if (fd < 0 || ftruncate(fd, (off_t)(measure_device(&measure) * METADATA_BLOCK_SIZE)))
		r = PD_ERR_IO;
	if (!r)
		r = write_file(fd, shape, scattered);
	if (r)
		fprintf(stderr, "%s: %s (%s)\n", path, pd_error_text(r), strerror(errno));
	return r || close(fd) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct shape shape;

	if (argc < 5) {
		fprintf(stderr, "usage: %s FILE DATA_BLOCKS WRITESETS {random|runs} [scattered]\n",
			argv[0]);
		return EXIT_FAILURE;
	}
	shape = (struct shape){(uint32_t)strtoul(argv[2], NULL, 10),
			       (uint32_t)strtoul(argv[3], NULL, 10), !strcmp(argv[4], "runs")};
	return generate(argv[1], &shape, argc > 5);
}
