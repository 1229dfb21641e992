/* SPDX-License-Identifier: MIT */
/* Raises the least eras of a survey. */
#include "era/raise.h"
#include "persistent-data/error.h"

static int raise_begin(struct sink *sink, const struct stream_info *info)
{
	struct survey *survey = ((struct raise *)sink)->survey;

	if (survey->info.current_era < info->current_era)
		survey->info.current_era = info->current_era;
	return PD_OK;
}

static int raise_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	(void)nr_bits;
	((struct raise *)sink)->era = era;
	return PD_OK;
}

static int raise_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct raise *raise = (struct raise *)sink;

	return survey_add_bits(raise->survey, first_word * 64, words, n, raise->era);
}

static int raise_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct survey *survey = ((struct raise *)sink)->survey;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < n; i++)
		r = survey_add_range(survey, first_block + i, first_block + i + 1, eras[i]);
	return r;
}

static int raise_nothing(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static const struct sink_ops raise_ops = {raise_begin,	 raise_writeset_begin, raise_words,
					  raise_nothing, raise_eras,	       raise_nothing};

void raise_init(struct raise *raise, struct survey *survey)
{
	*raise = (struct raise){{&raise_ops}, survey, 0};
}
