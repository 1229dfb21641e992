/* SPDX-License-Identifier: MIT */
/* Streams that are kept and played again: nothing is lost, nothing cut short passes for whole. */
#include "era/spool.h"
#include "persistent-data/error.h"
#include "tests/support/stream_log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MAX (4 * 1024 * 1024) /* bytes kept */
#define NR_BLOCKS 100000      /* more than a record holds */

/* Where streams are kept. */
struct kept {
	char *bytes;
	size_t size, limit; /* writing fails beyond that */
	size_t read;	    /* so far */
};

static int keep(void *context, const char *text, size_t size)
{
	struct kept *kept = context;

	if (kept->size + size > kept->limit)
		return PD_ERR_IO;
	memcpy(kept->bytes + kept->size, text, size);
	kept->size += size;
	return PD_OK;
}

/* A little at a time, so that records are cut. */
static int read_kept(void *context, char *buffer, size_t size, size_t *nr)
{
	struct kept *kept = context;
	size_t left = kept->size - kept->read;

	*nr = left < size ? left : size;
	*nr = *nr < 4001 ? *nr : 4001;
	memcpy(buffer, kept->bytes + kept->read, *nr);
	kept->read += *nr;
	return PD_OK;
}

static struct kept kept;
static struct stream_log first, second;

static void set_up(void)
{
	kept = (struct kept){.bytes = malloc(MAX), .limit = MAX};
	cr_assert(kept.bytes);
	stream_log_init(&first);
	stream_log_init(&second);
}

static void tear_down(void)
{
	free(kept.bytes);
	stream_log_free(&first);
	stream_log_free(&second);
}

TestSuite(spool, .init = set_up, .fini = tear_down);

/* A whole stream, in batches of odd sizes and one that is larger than any record. */
static int play(struct sink *sink, const uint64_t *words, const uint32_t *eras)
{
	struct stream_info info = {"a name", 128, NR_BLOCKS, 9};
	unsigned nr_words = (NR_BLOCKS + 63) / 64;
	int r = sink->ops->begin(sink, &info);

	for (uint32_t era = 3; !r && era < 6; era++) {
		r = sink->ops->writeset_begin(sink, era, NR_BLOCKS);
		for (unsigned i = 0; !r && i < nr_words; i += 101)
			r = sink->ops->writeset_words(sink, i, words + i,
						      nr_words - i < 101 ? nr_words - i : 101);
		if (!r)
			r = sink->ops->writeset_end(sink);
	}
	if (!r)
		r = sink->ops->eras(sink, 0, eras, 7);
	if (!r)
		r = sink->ops->eras(sink, 7, eras + 7, NR_BLOCKS - 7);
	return r ? r : sink->ops->end(sink);
}

/* Returns what playing did; *error: of keeping. */
static int play_and_keep(int *error)
{
	struct text_output output = {keep, &kept, true};
	uint64_t *words = calloc(NR_BLOCKS / 64 + 1, sizeof(*words));
	uint32_t *eras = calloc(NR_BLOCKS, sizeof(*eras));
	struct sink *sink;
	int r;

	cr_assert(words && eras);
	for (unsigned i = 0; i < NR_BLOCKS / 64; i++)
		words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		eras[i] = i % 10;
	cr_assert_eq(spool_open(&output, &first.sink, &sink), PD_OK);
	r = play(sink, words, eras);
	*error = spool_error(sink);
	spool_close(sink);
	free(words);
	free(eras);
	return r;
}

static int replay(void)
{
	struct text_input input = {read_kept, &kept};

	return spool_replay(&input, &second.sink);
}

static void expect_equal(void)
{
	cr_assert(first.ended && second.ended);
	cr_expect_arr_eq(&first.info, &second.info, sizeof(first.info));
	cr_assert(first.nr_writesets == 3 && second.nr_writesets == 3);
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(second.writesets[i].era, first.writesets[i].era);
		cr_expect_eq(second.writesets[i].nr_bits, first.writesets[i].nr_bits);
		cr_assert_eq(second.writesets[i].nr_words, first.writesets[i].nr_words);
		cr_expect_arr_eq(second.writesets[i].words, first.writesets[i].words,
				 first.writesets[i].nr_words * sizeof(uint64_t));
	}
	cr_assert_eq(first.nr_eras, NR_BLOCKS);
	cr_assert_eq(second.nr_eras, NR_BLOCKS);
	cr_expect_arr_eq(first.eras, second.eras, NR_BLOCKS * sizeof(uint32_t));
}

Test(spool, what_is_kept_is_played)
{
	int error;

	cr_expect_eq(play_and_keep(&error), PD_OK);
	cr_expect_eq(error, PD_OK);
	cr_expect_eq(replay(), PD_OK);
	expect_equal();
}

/* What cannot be kept is told, and no error for whoever has the stream already. */
Test(spool, no_room)
{
	int error;

	kept.limit = 1000;
	cr_expect_eq(play_and_keep(&error), PD_OK);
	cr_expect_eq(error, PD_ERR_IO);
	cr_expect(first.ended);
}

Test(spool, errors_of_the_next_sink_are_passed_on)
{
	int error;

	first.error = PD_ERR_NO_SPACE;
	cr_expect_eq(play_and_keep(&error), PD_ERR_NO_SPACE);
}

Test(spool, a_part_is_not_the_whole)
{
	int error;
	size_t size;

	cr_assert_eq(play_and_keep(&error), PD_OK);
	size = kept.size;
	for (size_t cut = 0; cut < size; cut += cut < 100 || cut > size - 100 ? 1 : 9973) {
		kept.size = cut;
		kept.read = 0;
		stream_log_free(&second);
		stream_log_init(&second);
		cr_expect_eq(replay(), PD_ERR_CORRUPT, "%zu of %zu bytes", cut, size);
		cr_expect(!second.ended);
	}
}

/* Nothing that has changed meanwhile is played. */
Test(spool, what_decays_is_not_played)
{
	int error;

	cr_assert_eq(play_and_keep(&error), PD_OK);
	for (size_t at = 0; at < kept.size; at += at < 200 || at > kept.size - 100 ? 1 : 9973) {
		kept.bytes[at] ^= 1;
		kept.read = 0;
		stream_log_free(&second);
		stream_log_init(&second);
		/* Heads end with a word that means nothing. */
		if (replay() != PD_ERR_CORRUPT)
			expect_equal();
		else
			cr_expect(!second.ended);
		kept.bytes[at] ^= 1;
	}
	memset(kept.bytes, 0, kept.size);
	kept.read = 0;
	stream_log_free(&second);
	stream_log_init(&second);
	cr_expect_eq(replay(), PD_ERR_CORRUPT);
	cr_expect(!second.begun);
}

Test(spool, errors_of_the_sink_it_is_played_to)
{
	int error;

	cr_assert_eq(play_and_keep(&error), PD_OK);
	second.error = PD_ERR_NO_SPACE;
	cr_expect_eq(replay(), PD_ERR_NO_SPACE);
}
