/* SPDX-License-Identifier: MIT */
/* Reads damaged metadata: walks what is left, and fills the gaps. */
#include "era/salvage.h"
#include "era/fold.h"
#include "era/guessed.h"
#include "era/merge.h"
#include "era/survey.h"
#include "era/trees.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <stdlib.h>

#define STRETCH 1024 /* data blocks, or words of a writeset, that are handed on at once */

struct salvage {
	struct sink sink; /* of the walk */
	struct mend mend; /* what metadata are read from */
	struct metadata *metadata;
	struct survey survey;
	/* More than one: nobody knows which is the latest, so that they are merged. */
	unsigned nr_states;
	struct superblock states[FIND_MAX_STATES];
	const struct superblock *state; /* at hand */
	struct sink *next;
	struct fold fold;
	const struct report *report; /* NULL: nobody wants to know */
	uint32_t floor; /* no data block is of an earlier era: lost writesets may have had it */
	uint32_t
		rest_era; /* the same for those from rest_begin on: writesets that are longer than */
	uint64_t rest_begin; /* they are said to be */

	/* The writeset at hand. */
	bool open;
	bool impossible; /* its era */
	uint32_t era, nr_bits;
	uint64_t nr_done; /* words that were handed on */

	struct guessed guessed;
	uint32_t eras[STRETCH];
};

static int guess(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	return guessed_add(&salvage->guessed, begin, end);
}

static uint32_t nr_data_blocks(const struct salvage *salvage)
{
	return salvage->survey.info.nr_blocks;
}

static uint32_t current_era(const struct salvage *salvage)
{
	return salvage->survey.info.current_era;
}

/* Writesets. */

/* More bits than data blocks are of use only to whoever compares; and they must be there at all. */
static uint32_t sane_nr_bits(const struct salvage *salvage, uint32_t nr_bits)
{
	uint64_t most = salvage->metadata->refs.nr_blocks * array_max_entries(sizeof(uint64_t)) *
			BITSET_WORD_BITS;

	if (nr_bits > ERA_MAX_DATA_BLOCKS || nr_bits > most)
		return nr_data_blocks(salvage);
	return nr_bits;
}

/* The next words, as far as there are any. */
static int put_words(struct salvage *salvage, const uint64_t *words, unsigned n)
{
	struct sink *next = salvage->next;
	uint64_t first = salvage->nr_done, end = bitset_nr_words(salvage->nr_bits);
	uint64_t last, mask = bitset_last_mask(salvage->nr_bits);
	int r = PD_OK;

	if (n > end - first)
		n = (unsigned)(end - first);
	salvage->nr_done += n;
	if (!n)
		return PD_OK;
	if (salvage->impossible)
		return survey_add_bits(&salvage->survey, first * 64, words, n);
	last = words[n - 1];
	if (first + n < end || !(last & ~mask))
		return next->ops->writeset_words(next, first, words, n);
	last &= mask;
	if (n > 1)
		r = next->ops->writeset_words(next, first, words, n - 1);
	return r ? r : next->ops->writeset_words(next, first + n - 1, &last, 1);
}

/* The same words all the way, up to `end` or the end that there is. */
static int fill_to(struct salvage *salvage, uint64_t end, uint64_t word)
{
	uint64_t words[STRETCH];
	uint64_t last = bitset_nr_words(salvage->nr_bits);
	int r = PD_OK;

	if (end > last)
		end = last;
	/* What is merged needs no zeroes. */
	if (!word && salvage->nr_states > 1 && salvage->nr_done < end)
		salvage->nr_done = end;
	for (unsigned i = 0; salvage->nr_done < end && i < STRETCH; i++)
		words[i] = word;
	while (!r && salvage->nr_done < end) {
		uint64_t n = end - salvage->nr_done;

		r = put_words(salvage, words, n < STRETCH ? (unsigned)n : STRETCH);
	}
	return r;
}

static int begin_writeset(struct salvage *salvage, uint32_t era, uint32_t nr_bits)
{
	struct sink *next = salvage->next;

	salvage->open = true;
	salvage->era = era;
	salvage->nr_bits = sane_nr_bits(salvage, nr_bits);
	salvage->nr_done = 0;
	return salvage->impossible ? PD_OK : next->ops->writeset_begin(next, era, salvage->nr_bits);
}

static int end_writeset(struct salvage *salvage)
{
	struct sink *next = salvage->next;
	int r = fill_to(salvage, bitset_nr_words(salvage->nr_bits), 0);

	if (!r && !salvage->impossible)
		r = next->ops->writeset_end(next);
	salvage->open = salvage->impossible = false;
	return r;
}

static int lose_bits(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	int r = guess(salvage, begin, end);

	if (!r)
		r = fill_to(salvage, begin / 64, 0);
	return r ? r : fill_to(salvage, bitset_nr_words(end), UINT64_MAX);
}

/* It is longer than it is said to be. */
static int lose_rest(struct salvage *salvage)
{
	if (salvage->impossible)
		return survey_add_range(&salvage->survey, salvage->nr_bits,
					nr_data_blocks(salvage));
	if (salvage->rest_begin > salvage->nr_bits)
		salvage->rest_begin = salvage->nr_bits;
	if (salvage->rest_era < salvage->era)
		salvage->rest_era = salvage->era;
	return guess(salvage, salvage->nr_bits, nr_data_blocks(salvage));
}

static int salvage_begin(struct sink *sink, const struct stream_info *info)
{
	(void)sink;
	(void)info;
	return PD_OK;
}

static int salvage_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct salvage *salvage = (struct salvage *)sink;
	const struct superblock *sb = salvage->state;

	/* Nothing is written in era 0: the first resume begins the next one. */
	if (!salvage->impossible && !era && current_era(salvage)) {
		salvage->impossible = true;
		report_message(salvage->report, "writeset of era 0: cannot be; counts as of era %u",
			       current_era(salvage));
	}
	/* The writeset that goes on does so in the current era, whichever that is. */
	if (!salvage->impossible && sb->writeset_root && era == sb->info.current_era)
		era = current_era(salvage);
	return begin_writeset(salvage, era, nr_bits);
}

static int salvage_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct salvage *salvage = (struct salvage *)sink;
	int r = fill_to(salvage, first_word, 0);

	return r ? r : put_words(salvage, words, n);
}

static int salvage_writeset_end(struct sink *sink)
{
	return end_writeset((struct salvage *)sink);
}

/* What the tree says of a writeset cannot be, so there is none open yet. */
static int impossible_writeset(struct salvage *salvage, const struct finding *finding)
{
	const struct superblock *sb = salvage->state;
	int r;

	salvage->impossible = finding->era > sb->info.current_era ||
			      (sb->writeset_root && finding->era == sb->info.current_era);
	/* Nothing but its era is known of one that is impossibly large, and it will not be walked. */
	if (!finding->damage.loses_references)
		return PD_OK;
	r = begin_writeset(salvage, finding->era, nr_data_blocks(salvage));
	if (!r)
		r = lose_bits(salvage, 0, salvage->nr_bits);
	return r ? r : end_writeset(salvage);
}

static int writeset_finding(struct salvage *salvage, const struct finding *finding)
{
	const struct damage *damage = &finding->damage;
	int r = PD_OK;

	if (!salvage->open)
		return impossible_writeset(salvage, finding);
	if (damage->begin < damage->end)
		r = lose_bits(salvage, damage->begin, damage->end);
	/* The current one has a bit for each data block: if it says less, its end may be lost as well. */
	if (!r &&
	    (damage->real_end > salvage->nr_bits ||
	     (finding->structure == STRUCTURE_CURRENT_WRITESET && damage->end >= salvage->nr_bits)))
		r = lose_rest(salvage);
	return r;
}

/* Leaves of the writeset tree are lost: which eras can they have held? */
static void tree_finding(struct salvage *salvage, const struct damage *damage)
{
	uint64_t end = damage->end > damage->real_end ? damage->end : damage->real_end;
	uint32_t era = current_era(salvage);

	if (salvage->survey.writesets_found)
		return;
	if (damage->begin && damage->begin < damage->end && end <= era)
		era = (uint32_t)end - 1;
	if (salvage->floor < era)
		salvage->floor = era;
}

/* The era array. */

static uint32_t least_era(const struct salvage *salvage, uint32_t block)
{
	if (survey_is_current(&salvage->survey, block))
		return current_era(salvage);
	return block >= salvage->rest_begin && salvage->rest_era > salvage->floor
		       ? salvage->rest_era
		       : salvage->floor;
}

static int hand_on_eras(struct salvage *salvage, uint32_t first, const uint32_t *eras, unsigned n)
{
	int r = PD_OK;

	for (unsigned i = 0; !r && i < n; i++) {
		uint32_t least = least_era(salvage, first + i);

		salvage->eras[i] = eras[i] > least ? eras[i] : least;
		if (salvage->eras[i] != eras[i])
			r = guess(salvage, first + i, first + i + 1);
	}
	return r ? r : salvage->next->ops->eras(salvage->next, first, salvage->eras, n);
}

static int salvage_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct salvage *salvage = (struct salvage *)sink;
	int r = PD_OK;

	if (!salvage->floor && !salvage->rest_era && !salvage->survey.current)
		return salvage->next->ops->eras(salvage->next, first_block, eras, n);
	for (unsigned i = 0; !r && i < n; i += STRETCH)
		r = hand_on_eras(salvage, first_block + i, eras + i,
				 n - i < STRETCH ? n - i : STRETCH);
	return r;
}

static int lose_eras(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	int r = guess(salvage, begin, end);

	for (unsigned i = 0; i < STRETCH; i++)
		salvage->eras[i] = current_era(salvage);
	for (; !r && begin < end; begin += STRETCH)
		r = salvage->next->ops->eras(salvage->next, (uint32_t)begin, salvage->eras,
					     end - begin < STRETCH ? (unsigned)(end - begin)
								   : STRETCH);
	return r;
}

static int salvage_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static const struct sink_ops salvage_ops = {salvage_begin, salvage_writeset_begin,
					    salvage_words, salvage_writeset_end,
					    salvage_eras,  salvage_end};

/* What is lost. */

static int salvage_finding(void *context, const struct finding *finding)
{
	struct salvage *salvage = context;

	if (salvage->report)
		fold_add(&salvage->fold, finding);
	switch (finding->structure) {
	case STRUCTURE_WRITESET_TREE:
		tree_finding(salvage, &finding->damage);
		return PD_OK;
	case STRUCTURE_WRITESET:
	case STRUCTURE_CURRENT_WRITESET:
		return writeset_finding(salvage, finding);
	default:
		return lose_eras(salvage, finding->damage.begin, finding->damage.end);
	}
}

static void report_loss(void *context, const struct finding *finding)
{
	const struct salvage *salvage = context;
	char text[FINDING_TEXT_MAX];

	finding_text(finding, text);
	report_message(salvage->report, "%s", text);
}

static void report_more(void *context, const struct fold_kind *kind, uint64_t nr_more)
{
	const struct salvage *salvage = context;

	report_message(salvage->report, "%s: %s: %llu more of these",
		       structure_name(kind->structure), kind->what, (unsigned long long)nr_more);
}

static void report_sum(const struct salvage *salvage)
{
	uint32_t nr_blocks = nr_data_blocks(salvage);
	uint64_t nr_guessed = guessed_count(&salvage->guessed);

	if (!salvage->fold.nr_fatal && !nr_guessed)
		return;
	report_message(
		salvage->report,
		"%llu of %u data blocks (%.4g %%) may count as written later than they were, "
		"in era %u at the latest",
		(unsigned long long)nr_guessed, nr_blocks,
		nr_blocks ? 100.0 * (double)nr_guessed / nr_blocks : 0.0, current_era(salvage));
}

/* Reading. */

/* What lies in data blocks [begin, end) of one state; end 0: all of it. */
static int read_state(struct salvage *salvage, unsigned i, uint64_t begin, uint64_t end)
{
	struct trees_visitor visitor = {&salvage->sink, salvage, salvage_finding, begin, end};

	salvage->state = &salvage->states[i];
	salvage->floor = salvage->survey.everything ? current_era(salvage) : 0;
	salvage->rest_era = 0;
	salvage->rest_begin = UINT64_MAX;
	salvage->open = salvage->impossible = false;
	salvage->metadata->refs.looks_left = salvage->metadata->refs.nr_blocks;
	return trees_walk(salvage->metadata, salvage->state, false, &visitor);
}

static int merge_window(struct salvage *salvage, struct merge *merge, struct sink *sink)
{
	int r = PD_OK;

	merge->raised = NULL;
	for (unsigned i = 0; !r && i < salvage->nr_states; i++) {
		r = read_state(salvage, i, merge->first, (uint64_t)merge->first + merge->n);
		merge->raised = &salvage->guessed;
	}
	return r ? r : sink->ops->eras(sink, merge->first, merge->eras, merge->n);
}

/* What comes out has no writesets: of each data block its era is known. */
static int merge_states(struct salvage *salvage, struct merge *merge, struct sink *sink)
{
	const struct report *report = salvage->report;
	uint32_t nr_blocks = nr_data_blocks(salvage);
	int r = PD_OK;

	/* What is lost of the first one is told, and once. */
	salvage->next = &merge->sink;
	merge_begin(merge, 0, 0);
	if (report)
		r = read_state(salvage, 0, 0, 0);
	salvage->report = NULL;
	for (uint32_t first = 0, n; !r && first < nr_blocks; first += n) {
		n = nr_blocks - first < MERGE_WINDOW ? nr_blocks - first : MERGE_WINDOW;
		merge_begin(merge, first, n);
		r = merge_window(salvage, merge, sink);
	}
	salvage->report = report;
	return r;
}

static int read_states(struct salvage *salvage, struct sink *sink)
{
	struct merge merge;
	int r;

	salvage->next = sink;
	if (salvage->nr_states == 1)
		return read_state(salvage, 0, 0, 0);
	r = merge_init(&merge);
	if (!r)
		r = merge_states(salvage, &merge, sink);
	merge_destroy(&merge);
	return r;
}

const struct stream_info *salvage_info(const struct salvage *salvage)
{
	return &salvage->survey.info;
}

int salvage_read(struct salvage *salvage, struct sink *sink, const struct report *report)
{
	int r = sink->ops->begin(sink, &salvage->survey.info);

	salvage->report = report;
	salvage->fold =
		(struct fold){.finding = report_loss, .more = report_more, .context = salvage};
	guessed_destroy(&salvage->guessed);
	if (!r)
		r = mend_guess(&salvage->mend, &salvage->guessed);
	if (!r)
		r = read_states(salvage, sink);
	fold_finish(&salvage->fold);
	if (!r)
		r = sink->ops->end(sink);
	if (!r)
		report_sum(salvage);
	else if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	return r;
}

/* Opening. */

static int survey_states(struct salvage *salvage, const struct found *found,
			 const struct report *report)
{
	struct survey *survey = &salvage->survey;
	/* Of several states, only one may have had such a node there. */
	int r = survey_make(survey, salvage->metadata, found,
			    found->nr == 1 ? &salvage->mend : NULL, report);

	survey->everything |= !found->nr;
	guessed_init(&salvage->guessed, survey->info.nr_blocks);
	salvage->states[0] = survey->superblock;
	for (salvage->nr_states = 1; !r && salvage->nr_states < found->nr; salvage->nr_states++) {
		r = survey_add(survey, salvage->metadata, &found->superblocks[salvage->nr_states]);
		salvage->states[salvage->nr_states] = survey->superblock;
	}
	return r;
}

static int make(struct block_io *io, const struct found *found, const struct report *report,
		struct salvage **result)
{
	struct salvage *salvage = calloc(1, sizeof(*salvage));
	int r;

	if (!salvage)
		return PD_ERR_NO_MEMORY;
	salvage->sink.ops = &salvage_ops;
	mend_init(&salvage->mend, io);
	r = metadata_open_by(&salvage->mend.io, &found->superblocks[0], NULL, &salvage->metadata);
	if (!r)
		r = survey_states(salvage, found, report);
	if (r)
		salvage_close(salvage);
	else
		*result = salvage;
	return r;
}

int salvage_open(struct block_io *io, const struct find_hints *hints, const struct report *report,
		 struct salvage **result)
{
	struct found found;
	int r = find_superblock(io, hints, report, &found);

	if (r)
		return r;
	r = make(io, &found, report, result);
	if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	return r;
}

void salvage_close(struct salvage *salvage)
{
	if (!salvage)
		return;
	survey_destroy(&salvage->survey);
	metadata_close(salvage->metadata);
	mend_destroy(&salvage->mend);
	guessed_destroy(&salvage->guessed);
	free(salvage);
}
