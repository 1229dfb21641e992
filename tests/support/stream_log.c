/* SPDX-License-Identifier: MIT */
/* A sink that keeps all it is told. */
#include "tests/support/stream_log.h"
#include "era/xml_read.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static int log_begin(struct sink *sink, const struct stream_info *info)
{
	struct stream_log *log = (struct stream_log *)sink;

	cr_assert(!log->begun);
	log->begun = true;
	log->info = *info;
	log->eras = calloc((size_t)info->nr_blocks + 1, sizeof(*log->eras));
	cr_assert_not_null(log->eras);
	return log->error;
}

static int log_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct stream_log *log = (struct stream_log *)sink;
	struct stream_log_writeset *writeset = &log->writesets[log->nr_writesets];

	cr_assert(log->begun && !log->in_writeset && !log->nr_eras);
	cr_assert_lt(log->nr_writesets, STREAM_LOG_WRITESETS);
	cr_assert(!log->nr_writesets || writeset[-1].era < era);
	log->in_writeset = true;
	log->nr_writesets++;
	*writeset = (struct stream_log_writeset){.era = era, .nr_bits = nr_bits};
	writeset->words = calloc(bitset_nr_words(nr_bits) + 1, sizeof(uint64_t));
	cr_assert_not_null(writeset->words);
	return log->error;
}

static int log_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct stream_log *log = (struct stream_log *)sink;
	struct stream_log_writeset *writeset = &log->writesets[log->nr_writesets - 1];
	uint64_t nr_words = bitset_nr_words(writeset->nr_bits);

	cr_assert(log->in_writeset && n && first_word == writeset->nr_words);
	cr_assert_leq(first_word + n, nr_words);
	memcpy(writeset->words + first_word, words, n * sizeof(*words));
	writeset->nr_words += n;
	if (writeset->nr_words == nr_words)
		cr_assert(!(words[n - 1] & ~bitset_last_mask(writeset->nr_bits)));
	return log->error;
}

static int log_writeset_end(struct sink *sink)
{
	struct stream_log *log = (struct stream_log *)sink;
	const struct stream_log_writeset *writeset = &log->writesets[log->nr_writesets - 1];

	cr_assert(log->in_writeset && writeset->nr_words == bitset_nr_words(writeset->nr_bits));
	log->in_writeset = false;
	return log->error;
}

static int log_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct stream_log *log = (struct stream_log *)sink;

	cr_assert(log->begun && !log->in_writeset && n && first_block == log->nr_eras);
	cr_assert_leq((uint64_t)first_block + n, log->info.nr_blocks);
	memcpy(log->eras + first_block, eras, n * sizeof(*eras));
	log->nr_eras += n;
	return log->error;
}

static int log_end(struct sink *sink)
{
	struct stream_log *log = (struct stream_log *)sink;

	cr_assert(log->begun && !log->in_writeset && !log->ended);
	cr_assert_eq(log->nr_eras, log->info.nr_blocks);
	log->ended = true;
	return log->error;
}

void stream_log_init(struct stream_log *log)
{
	static const struct sink_ops ops = {log_begin,	      log_writeset_begin, log_words,
					    log_writeset_end, log_eras,		  log_end};

	memset(log, 0, sizeof(*log));
	log->sink.ops = &ops;
}

void stream_log_free(struct stream_log *log)
{
	for (unsigned i = 0; i < log->nr_writesets; i++)
		free(log->writesets[i].words);
	free(log->eras);
}

bool stream_log_bit(const struct stream_log *log, unsigned writeset, uint32_t bit)
{
	return log->writesets[writeset].words[bit / 64] >> bit % 64 & 1;
}

static int read_string(void *context, char *buffer, size_t size, size_t *nr)
{
	const char **text = context;

	*nr = strnlen(*text, size);
	memcpy(buffer, *text, *nr);
	*text += *nr;
	return PD_OK;
}

int play_xml(struct sink *sink, const char *xml)
{
	struct text_input input = {read_string, &xml};

	return xml_read(&input, sink, NULL);
}
