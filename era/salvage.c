/* SPDX-License-Identifier: MIT */
/* Reads damaged metadata: walks what is left, and fills the gaps. */
#include "era/salvage.h"
#include "era/fold.h"
#include "era/raise.h"
#include "era/trees.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <stdlib.h>
#include <string.h>

#define STRETCH 1024 /* data blocks, or words of a writeset, that are handed on at once */

struct salvage {
	struct sink sink; /* of the walk */
	struct metadata *metadata;
	struct survey survey;
	struct sink *next;
	struct fold fold;
	const struct report *report;
	uint32_t floor; /* no data block is of an earlier era: lost writesets may have had it */

	/* The writeset at hand: as it was said to be, and what it comes to. */
	bool open;
	bool impossible; /* its era */
	uint32_t era, nr_bits;
	uint64_t nr_words; /* that there is room for */
	uint64_t *words;

	uint64_t *guessed; /* data blocks of which an era was guessed, a bit each, */
	bool has_guessed;  /* if there are any */
	uint32_t eras[STRETCH];
};

static void set_range(uint64_t *words, uint64_t begin, uint64_t end)
{
	for (; begin < end && begin % 64; begin++)
		words[begin / 64] |= UINT64_C(1) << begin % 64;
	for (; end - begin >= 64 && begin < end; begin += 64)
		words[begin / 64] = UINT64_MAX;
	for (; begin < end; begin++)
		words[begin / 64] |= UINT64_C(1) << begin % 64;
}

static void guess(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	salvage->has_guessed = true;
	set_range(salvage->guessed, begin, end);
}

static uint32_t nr_data_blocks(const struct salvage *salvage)
{
	return salvage->survey.info.nr_blocks;
}

static uint32_t current_era(const struct salvage *salvage)
{
	return salvage->survey.info.current_era;
}

/* Writesets. One is kept as a whole, since it may turn out longer than it is said to be. */

static int make_room(struct salvage *salvage, uint32_t nr_bits)
{
	uint32_t most = nr_bits > nr_data_blocks(salvage) ? nr_bits : nr_data_blocks(salvage);
	uint64_t nr_words = bitset_nr_words(most);

	if (nr_words > salvage->nr_words || !salvage->words) {
		free(salvage->words);
		salvage->nr_words = nr_words;
		salvage->words = calloc(nr_words + 1, sizeof(*salvage->words));
		return salvage->words ? PD_OK : PD_ERR_NO_MEMORY;
	}
	memset(salvage->words, 0, salvage->nr_words * sizeof(*salvage->words));
	return PD_OK;
}

/* More bits than data blocks are of use only to whoever compares; and they must be there at all. */
static uint32_t sane_nr_bits(const struct salvage *salvage, uint32_t nr_bits)
{
	uint64_t most = salvage->metadata->refs.nr_blocks * array_max_entries(sizeof(uint64_t)) *
			BITSET_WORD_BITS;

	if (nr_bits > ERA_MAX_DATA_BLOCKS || nr_bits > most)
		return nr_data_blocks(salvage);
	return nr_bits;
}

static int begin_writeset(struct salvage *salvage, uint32_t era, uint32_t nr_bits)
{
	salvage->open = true;
	salvage->era = era;
	salvage->nr_bits = sane_nr_bits(salvage, nr_bits);
	return make_room(salvage, salvage->nr_bits);
}

static void lose_bits(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	set_range(salvage->words, begin, end);
	guess(salvage, begin, end);
}

/* The writeset may be longer than it is said to be. */
static void lose_rest(struct salvage *salvage, uint64_t begin)
{
	lose_bits(salvage, begin, nr_data_blocks(salvage));
	if (salvage->nr_bits < nr_data_blocks(salvage))
		salvage->nr_bits = nr_data_blocks(salvage);
}

static int hand_on_words(struct salvage *salvage)
{
	struct sink *next = salvage->next;
	uint64_t nr_words = bitset_nr_words(salvage->nr_bits);
	int r = next->ops->writeset_begin(next, salvage->era, salvage->nr_bits);

	if (nr_words)
		salvage->words[nr_words - 1] &= bitset_last_mask(salvage->nr_bits);
	for (uint64_t i = 0; !r && i < nr_words; i += STRETCH)
		r = next->ops->writeset_words(next, i, salvage->words + i,
					      nr_words - i < STRETCH ? (unsigned)(nr_words - i)
								     : STRETCH);
	return r ? r : next->ops->writeset_end(next);
}

static int end_writeset(struct salvage *salvage)
{
	uint64_t nr_words = bitset_nr_words(salvage->nr_bits);

	salvage->open = false;
	if (!salvage->impossible)
		return hand_on_words(salvage);
	salvage->impossible = false;
	return survey_add_bits(&salvage->survey, 0, salvage->words, nr_words, current_era(salvage));
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
	const struct superblock *sb = &salvage->survey.superblock;

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

	for (unsigned i = 0; i < n && first_word + i < salvage->nr_words; i++)
		salvage->words[first_word + i] |= words[i];
	return PD_OK;
}

static int salvage_writeset_end(struct sink *sink)
{
	return end_writeset((struct salvage *)sink);
}

/* What the tree says of a writeset cannot be, so there is none open yet. */
static int impossible_writeset(struct salvage *salvage, const struct finding *finding)
{
	const struct superblock *sb = &salvage->survey.superblock;
	int r;

	salvage->impossible = finding->era > sb->info.current_era ||
			      (sb->writeset_root && finding->era == sb->info.current_era);
	/* Nothing but its era is known of one that is impossibly large, and it will not be walked. */
	if (!finding->damage.loses_references)
		return PD_OK;
	r = begin_writeset(salvage, finding->era, nr_data_blocks(salvage));
	if (r)
		return r;
	lose_rest(salvage, 0);
	return end_writeset(salvage);
}

static int writeset_finding(struct salvage *salvage, const struct finding *finding)
{
	const struct damage *damage = &finding->damage;

	if (!salvage->open)
		return impossible_writeset(salvage, finding);
	if (damage->begin < damage->end)
		lose_bits(salvage, damage->begin, damage->end);
	/* The current one has a bit for each data block: if it says less, its end may be lost as well. */
	if (damage->real_end > salvage->nr_bits ||
	    (finding->structure == STRUCTURE_CURRENT_WRITESET && damage->end >= salvage->nr_bits))
		lose_rest(salvage, salvage->nr_bits);
	return PD_OK;
}

/* Leaves of the writeset tree are lost: which eras can they have held? */
static void tree_finding(struct salvage *salvage, const struct damage *damage)
{
	uint64_t end = damage->end > damage->real_end ? damage->end : damage->real_end;
	uint32_t era = current_era(salvage);

	if (damage->begin && damage->begin < damage->end && end <= era)
		era = (uint32_t)end - 1;
	if (salvage->floor < era)
		salvage->floor = era;
}

/* The era array. */

static int hand_on_eras(struct salvage *salvage, uint32_t first, const uint32_t *eras, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t era = eras[i] > salvage->floor ? eras[i] : salvage->floor;
		uint32_t least = survey_least_era(&salvage->survey, first + i);

		if (era < least)
			era = least;
		if (era != eras[i])
			guess(salvage, first + i, first + i + 1);
		salvage->eras[i] = era;
	}
	return salvage->next->ops->eras(salvage->next, first, salvage->eras, n);
}

static int salvage_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct salvage *salvage = (struct salvage *)sink;
	int r = PD_OK;

	if (!salvage->floor && !survey_tells_eras(&salvage->survey))
		return salvage->next->ops->eras(salvage->next, first_block, eras, n);
	for (unsigned i = 0; !r && i < n; i += STRETCH)
		r = hand_on_eras(salvage, first_block + i, eras + i,
				 n - i < STRETCH ? n - i : STRETCH);
	return r;
}

static int lose_eras(struct salvage *salvage, uint64_t begin, uint64_t end)
{
	int r = PD_OK;

	if (begin < end)
		guess(salvage, begin, end);
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
	uint64_t nr_guessed = 0;

	for (uint64_t i = 0; i < bitset_nr_words(nr_blocks); i++)
		nr_guessed += (uint64_t)__builtin_popcountll(salvage->guessed[i]);
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

static int read_trees(struct salvage *salvage)
{
	struct trees_visitor visitor = {&salvage->sink, salvage, salvage_finding};
	struct sink *next = salvage->next;
	int r = next->ops->begin(next, &salvage->survey.info);

	if (!r)
		r = trees_walk(salvage->metadata, &salvage->survey.superblock, false, &visitor);
	fold_finish(&salvage->fold);
	return r ? r : next->ops->end(next);
}

const struct stream_info *salvage_info(const struct salvage *salvage)
{
	return &salvage->survey.info;
}

int salvage_read(struct salvage *salvage, struct sink *sink, const struct report *report)
{
	uint64_t nr_words = bitset_nr_words(nr_data_blocks(salvage));
	int r;

	salvage->next = sink;
	salvage->report = report;
	salvage->floor = salvage->survey.everything ? current_era(salvage) : 0;
	salvage->open = salvage->impossible = false;
	salvage->fold =
		(struct fold){.finding = report_loss, .more = report_more, .context = salvage};
	/* What was never written to takes no memory. */
	if (salvage->has_guessed)
		memset(salvage->guessed, 0, nr_words * sizeof(*salvage->guessed));
	salvage->has_guessed = false;
	salvage->metadata->refs.looks_left = salvage->metadata->refs.nr_blocks;
	r = read_trees(salvage);
	if (!r)
		report_sum(salvage);
	else if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	return r;
}

/* Opening. */

static int make(struct block_io *io, const struct superblock *superblock,
		const struct report *report, struct salvage **result)
{
	struct salvage *salvage = calloc(1, sizeof(*salvage));
	int r = PD_ERR_NO_MEMORY;

	if (!salvage)
		return r;
	salvage->sink.ops = &salvage_ops;
	r = metadata_open_by(io, superblock, NULL, &salvage->metadata);
	if (!r)
		r = survey_make(&salvage->survey, salvage->metadata, report);
	if (!r) {
		salvage->guessed = calloc(bitset_nr_words(nr_data_blocks(salvage)) + 1,
					  sizeof(*salvage->guessed));
		r = salvage->guessed ? PD_OK : PD_ERR_NO_MEMORY;
	}
	if (r)
		salvage_close(salvage);
	else
		*result = salvage;
	return r;
}

/* Takes in what another state of the same metadata says: it may be the later one. */
static int take_in(struct salvage *salvage, const struct superblock *state)
{
	struct salvage *other = NULL;
	struct raise raise;
	int r = make(salvage->metadata->io, state, NULL, &other);

	if (r)
		return r;
	raise_init(&raise, &salvage->survey);
	r = salvage_read(other, &raise.sink, NULL);
	salvage_close(other);
	return r;
}

static int open_states(struct block_io *io, const struct found *found, const struct report *report,
		       struct salvage **result)
{
	struct salvage *salvage = NULL;
	int r = make(io, &found->superblocks[0], report, &salvage);

	if (r)
		return r;
	salvage->survey.everything |= !found->nr;
	for (unsigned i = 1; !r && i < found->nr; i++)
		r = take_in(salvage, &found->superblocks[i]);
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
	r = open_states(io, &found, report, result);
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
	free(salvage->words);
	free(salvage->guessed);
	free(salvage);
}
