/* SPDX-License-Identifier: MIT */
/*
 * What becomes of eras and writesets: the set of changed blocks, and the logical era array, both
 * against a plain loop over random streams in batches of odd sizes; and runs of bits.
 */
#include "era/bitmap.h"
#include "era/changed.h"
#include "era/logical.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "tests/support/stream_log.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAX_BLOCKS 5000
#define FEW_WRITESETS 4
#define MAX_WRITESETS 600
#define ROUNDS 300

/* What a source says. */
struct said {
	struct stream_info info;
	unsigned nr_writesets;
	struct {
		uint32_t era, nr_bits;
		uint64_t words[MAX_BLOCKS / 64 + 10];
	} writesets[MAX_WRITESETS];
	uint32_t eras[MAX_BLOCKS];
};

static unsigned below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

static void make_writeset(struct said *said, unsigned *seed, unsigned i)
{
	uint32_t nr_bits = said->info.nr_blocks;

	if (below(seed, 3) == 0)
		nr_bits = below(seed, MAX_BLOCKS + 200);
	said->writesets[i].era = 10 * i + 1 + below(seed, 10);
	said->writesets[i].nr_bits = nr_bits;
	memset(said->writesets[i].words, 0, sizeof(said->writesets[i].words));
	for (uint32_t bit = below(seed, 200); bit < nr_bits; bit += 1 + below(seed, 300))
		said->writesets[i].words[bit / 64] |= UINT64_C(1) << bit % 64;
}

static void make(struct said *said, unsigned *seed, unsigned most_writesets)
{
	static const uint32_t sizes[] = {0, 1, 63, 64, 65, 1023, 1024, 1025, MAX_BLOCKS};

	said->info = (struct stream_info){.data_block_size = 8, .current_era = 60};
	said->info.nr_blocks = below(seed, 2) ? sizes[below(seed, 9)] : below(seed, MAX_BLOCKS);
	said->nr_writesets = below(seed, most_writesets + 1);
	for (unsigned i = 0; i < said->nr_writesets; i++)
		make_writeset(said, seed, i);
	for (uint32_t i = 0; i < said->info.nr_blocks; i++)
		said->eras[i] = below(seed, 4) ? 0 : below(seed, 60);
}

/* Until a sink returns an error, which comes back. */
static int play(const struct said *said, struct sink *sink, unsigned *seed)
{
	int r = sink->ops->begin(sink, &said->info);

	for (unsigned i = 0; !r && i < said->nr_writesets; i++) {
		uint64_t nr_words = bitset_nr_words(said->writesets[i].nr_bits);

		r = sink->ops->writeset_begin(sink, said->writesets[i].era,
					      said->writesets[i].nr_bits);
		for (uint64_t word = 0, n; !r && word < nr_words; word += n) {
			n = 1 + below(seed, 40);
			n = n < nr_words - word ? n : nr_words - word;
			r = sink->ops->writeset_words(sink, word, said->writesets[i].words + word,
						      (unsigned)n);
		}
		if (!r)
			r = sink->ops->writeset_end(sink);
	}
	for (uint32_t block = 0, n; !r && block < said->info.nr_blocks; block += n) {
		n = 1 + below(seed, 2500);
		n = n < said->info.nr_blocks - block ? n : said->info.nr_blocks - block;
		r = sink->ops->eras(sink, block, said->eras + block, n);
	}
	return r ? r : sink->ops->end(sink);
}

static uint32_t true_era(const struct said *said, uint32_t block)
{
	uint32_t era = said->eras[block];

	for (unsigned i = 0; i < said->nr_writesets; i++)
		if (block < said->writesets[i].nr_bits && said->writesets[i].era > era &&
		    said->writesets[i].words[block / 64] >> block % 64 & 1)
			era = said->writesets[i].era;
	return era;
}

/* Runs many at once are the same as one by one. */
static void expect_runs(const struct changed *changed)
{
	struct changed_runs runs;
	uint32_t begin, end = 0;

	changed_runs_init(&runs, changed);
	while (changed_runs_next(&runs)) {
		cr_assert(runs.nr && runs.nr <= CHANGED_RUNS_MAX);
		for (unsigned i = 0; i < runs.nr; i++) {
			cr_assert(changed_next(changed, &begin, &end));
			cr_assert_eq(runs.edges[2 * i], begin);
			cr_assert_eq(runs.edges[2 * i + 1], end);
		}
	}
	cr_assert(!changed_next(changed, &begin, &end));
}

/* Runs must be maximal, so between two of them there is a block that is not in the set. */
static void expect_set(const struct said *said, const struct changed *changed)
{
	uint32_t begin, end = 0, block = 0;

	while (changed_next(changed, &begin, &end)) {
		cr_assert(begin < end && end <= said->info.nr_blocks);
		cr_assert(!block || begin > block);
		for (; block < begin; block++)
			cr_assert_lt(true_era(said, block), changed->since, "block %u", block);
		for (; block < end; block++)
			cr_assert_geq(true_era(said, block), changed->since, "block %u", block);
	}
	for (; block < said->info.nr_blocks; block++)
		cr_assert_lt(true_era(said, block), changed->since, "block %u", block);
}

Test(changed, against_a_plain_loop)
{
	static const uint32_t eras[] = {0, 1, 5, 21, 31, 40, 59, 60, 61, UINT32_MAX};
	static struct said said;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct changed changed;
		unsigned seed = i;

		make(&said, &seed, FEW_WRITESETS);
		changed_init(&changed, eras[i % 10]);
		cr_assert_eq(play(&said, &changed.sink, &seed), PD_OK);
		expect_set(&said, &changed);
		expect_runs(&changed);
		changed_destroy(&changed);
	}
}

Test(changed, eras_at_the_upper_end)
{
	static struct said said = {
		.info = {.data_block_size = 8, .nr_blocks = 67, .current_era = UINT32_MAX},
		/* Both among the 64 that are compared at once, and behind these. */
		.eras = {0x7fffffff, 0x80000000, UINT32_MAX, [64] = 0x7fffffff, 0x80000000,
			 UINT32_MAX}};
	static const uint32_t since[] = {0x7fffffff, 0x80000000, 0x80000001, UINT32_MAX};

	for (unsigned i = 0; i < 4; i++) {
		struct changed changed;
		unsigned seed = 1;

		changed_init(&changed, since[i]);
		cr_assert_eq(play(&said, &changed.sink, &seed), PD_OK);
		expect_set(&said, &changed);
		changed_destroy(&changed);
	}
}

static void expect_logical(struct said *said, unsigned *seed)
{
	struct stream_log log;
	struct sink *sink;

	stream_log_init(&log);
	cr_assert_eq(logical_open(&log.sink, &sink), PD_OK);
	cr_assert_eq(play(said, sink, seed), PD_OK);
	cr_expect(log.ended && !log.nr_writesets);
	cr_expect(!memcmp(&log.info, &said->info, sizeof(said->info)));
	for (uint32_t block = 0; block < said->info.nr_blocks; block++)
		cr_assert_eq(log.eras[block], true_era(said, block), "block %u", block);
	logical_close(sink);
	stream_log_free(&log);
}

Test(logical, against_a_plain_loop)
{
	static struct said said;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		unsigned seed = i;

		make(&said, &seed, FEW_WRITESETS);
		expect_logical(&said, &seed);
	}
	logical_close(NULL);
}

/* More than a byte counts. */
Test(logical, many_writesets)
{
	static struct said said;

	for (unsigned i = 1; i <= 20; i++) {
		unsigned seed = i;

		make(&said, &seed, MAX_WRITESETS);
		said.nr_writesets = said.nr_writesets < 256 ? 256 : said.nr_writesets;
		for (unsigned k = 0; k < said.nr_writesets; k++)
			make_writeset(&said, &seed, k);
		expect_logical(&said, &seed);
	}
}

Test(logical, hands_errors_back)
{
	static struct said said = {.info = {.data_block_size = 8, .nr_blocks = 3}};
	struct stream_log log;
	struct sink *sink;
	unsigned seed = 1;

	stream_log_init(&log);
	log.error = PD_ERR_CLOSED;
	cr_assert_eq(logical_open(&log.sink, &sink), PD_OK);
	cr_expect_eq(play(&said, sink, &seed), PD_ERR_CLOSED);
	cr_expect(log.begun && !log.ended);
	logical_close(sink);
	stream_log_free(&log);
}

Test(bitmap, against_bit_by_bit)
{
	for (unsigned seed = 1; seed < 200; seed++) {
		unsigned state = seed;
		uint64_t nr_bits = seed % 130 + 1;
		uint64_t words[3];

		for (unsigned i = 0; i < 3; i++)
			words[i] =
				seed % 3 ? (uint64_t)rand_r(&state) << (seed % 40) : -(seed & 1ull);
		for (uint64_t from = 0; from <= nr_bits; from++) {
			uint64_t set = from, clear = from;

			while (set < nr_bits && !(words[set / 64] >> set % 64 & 1))
				set++;
			while (clear < nr_bits && (words[clear / 64] >> clear % 64 & 1))
				clear++;
			cr_assert_eq(bitmap_find_set(words, nr_bits, from), set);
			cr_assert_eq(bitmap_find_clear(words, nr_bits, from), clear);
		}
	}
}
