/* SPDX-License-Identifier: MIT */
/* Surveys damaged metadata: walks all trees, and compares them with the space map. */
#include "era/survey.h"
#include "era/bitmap.h"
#include "era/finding.h"
#include "era/forgotten.h"
#include "era/numbers.h"
#include "era/outdated.h"
#include "era/trees.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <stdlib.h>

/*
 * Eras that may have begun without leaving a trace, where the superblock is lost and more with it: more
 * than a device sees that begins one every minute for thirty years.
 */
#define UNSEEN_ERAS (1u << 24)

struct surveyor {
	struct numbers numbers;
	struct survey *survey;
	struct metadata *metadata;
	/* What lies below damage was not counted. */
	uint64_t nr_lost;     /* nodes of what is live; */
	bool only_tree_lost;  /* all of them belong to the writeset tree */
	struct losses losses; /* the first of them */
	bool snapshot_lost;
	bool map_lost,
		map_doubtful; /* not all of the space map can be read; it is not all in order */
	bool exact_lost;      /* its tree of counts above two cannot; no matter if there are none */
	uint64_t nr_more, nr_less; /* blocks that are counted as used more, less than they are */
	uint64_t nr_forgotten;	   /* of the former, that are not used at all; */
	uint64_t nr_orphans;	   /* that are counted once more */
	struct forgotten forgotten;
	bool *less; /* of each metadata block */
	struct astray astray;
	bool another;	  /* superblock than the first: the number of data blocks is settled */
	bool in_place;	  /* it is the device's own, and not one that was made up */
	bool latest_lost; /* perhaps: it is not named, and nothing tells that there is none */
	bool outdated;	/* the superblock: what it names is not the latest, or not there any more */
	bool has_later; /* its trees know of later eras than the superblock */
	bool era_hinted; /* the least current era was given */
};

static void note_lost(struct surveyor *surveyor, const struct finding *finding)
{
	const struct damage *damage = &finding->damage;
	struct losses *losses = &surveyor->losses;

	if (losses->nr < MEND_MAX_LOST)
		losses->nodes[losses->nr++] = (struct lost_node){.structure = finding->structure,
								 .era = finding->era,
								 .number = damage->block,
								 .begin = damage->begin,
								 .end = damage->end};
	surveyor->nr_lost++;
	surveyor->only_tree_lost &= finding->structure == STRUCTURE_WRITESET_TREE;
}

static int note_astray(struct surveyor *surveyor, const struct finding *finding)
{
	return astray_note(&surveyor->astray, surveyor->metadata->io, &surveyor->survey->superblock,
			   finding);
}

static int live_finding(void *context, const struct finding *finding)
{
	struct surveyor *surveyor = context;

	if (finding->damage.loses_references)
		note_lost(surveyor, finding);
	numbers_finding(&surveyor->numbers, &surveyor->survey->superblock, finding);
	return note_astray(surveyor, finding);
}

static void begin_references(struct metadata *metadata)
{
	struct ref_counts *refs = &metadata->refs;

	ref_counts_clear(refs);
	refs->looks_left = refs->nr_blocks;
	ref_counts_add(refs, SUPERBLOCK_BLOCK, false);
	if (metadata->live.metadata_snap < refs->nr_blocks && metadata->live.metadata_snap)
		ref_counts_add(refs, metadata->live.metadata_snap, false);
}

static int walk_live(struct surveyor *surveyor)
{
	struct superblock superblock = surveyor->survey->superblock;
	struct trees_visitor visitor = {
		.sink = &surveyor->numbers.sink, .context = surveyor, .finding = live_finding};

	begin_references(surveyor->metadata);
	numbers_begin(&surveyor->numbers);
	surveyor->only_tree_lost = true;
	surveyor->nr_lost = surveyor->losses.nr = 0;
	superblock.info.current_era = LAST_PLAUSIBLE_ERA;
	return trees_walk(surveyor->metadata, &superblock, false, &visitor);
}

/* The space map's testimony. */

static bool is_among(const struct losses *losses, uint64_t number)
{
	for (unsigned i = 0; i < losses->nr; i++)
		if (losses->nodes[i].number == number)
			return true;
	return false;
}

/* Of what is lost to both it matters only once that it is. */
static int snapshot_finding(void *context, const struct finding *finding)
{
	struct surveyor *surveyor = context;

	surveyor->snapshot_lost |= finding->damage.loses_references &&
				   !is_among(&surveyor->losses, finding->damage.block);
	return note_astray(surveyor, finding);
}

static int walk_snapshot(struct surveyor *surveyor)
{
	struct metadata *metadata = surveyor->metadata;
	struct trees_visitor visitor = {.context = surveyor, .finding = snapshot_finding};
	struct superblock snapshot;
	struct damage damage;
	int r;

	if (!metadata->live.metadata_snap)
		return PD_OK;
	r = metadata_read_snapshot(metadata->io, &metadata->live, &snapshot, &damage);
	surveyor->losses.other_array = r ? 0 : snapshot.era_array_root;
	if (!r)
		return trees_walk(metadata, &snapshot, true, &visitor);
	surveyor->snapshot_lost = true;
	if (r == PD_ERR_NO_MEMORY)
		return r;
	return astray_note_snapshot(&surveyor->astray, metadata->io, metadata->live.metadata_snap);
}

static int map_damage(void *context, const struct damage *damage)
{
	struct surveyor *surveyor = context;
	const struct space_map_root *root = &surveyor->metadata->live.space_map;

	if (damage->block == root->ref_count_root && damage->block != root->bitmap_root)
		surveyor->exact_lost = true;
	else
		surveyor->map_lost = true;
	return astray_note_map(&surveyor->astray, surveyor->metadata->io, root, damage->block);
}

static int map_hint(void *context, const struct damage *damage)
{
	struct surveyor *surveyor = context;

	(void)damage;
	surveyor->map_doubtful = true;
	return PD_OK;
}

static int map_mismatch(void *context, uint64_t block, uint32_t stored, uint32_t counted)
{
	struct surveyor *surveyor = context;

	surveyor->forgotten.blocks[block] = stored && !counted;
	surveyor->losses.orphans[block] = stored == counted + 1;
	surveyor->less[block] = stored < counted;
	surveyor->nr_more += stored > counted;
	surveyor->nr_forgotten += surveyor->forgotten.blocks[block];
	surveyor->nr_orphans += surveyor->losses.orphans[block];
	surveyor->nr_less += stored < counted;
	return PD_OK;
}

static int compare_counts(struct surveyor *surveyor)
{
	struct metadata *metadata = surveyor->metadata;
	struct space_map_visitor visitor = {surveyor, map_damage, map_hint, map_mismatch};
	struct space_map_root root = metadata->live.space_map;

	if (root.nr_blocks > metadata->refs.nr_blocks)
		root.nr_blocks = metadata->refs.nr_blocks;
	return space_map_check(&metadata->reader, &root, &visitor);
}

/*
 * Counts that are too low with none too high: then it is the space map that is wrong. A pointer that
 * went astray leaves what it should lead to behind.
 */
static void judge_pointers(struct surveyor *surveyor, const struct report *report)
{
	struct ref_counts *refs = &surveyor->metadata->refs;

	if (!surveyor->nr_less ||
	    !(surveyor->nr_more || surveyor->nr_lost || surveyor->map_lost || surveyor->exact_lost))
		return;
	for (uint64_t i = SUPERBLOCK_BLOCK + 1; i < refs->nr_blocks; i++)
		if (surveyor->less[i])
			ref_counts_distrust(refs, i);
	report_message(
		report,
		"reference counts: too low for %llu of the blocks in use: these are not trusted",
		(unsigned long long)surveyor->nr_less);
}

/* Of what belongs to a snapshot that is lost nothing matters. */
static bool is_superblock_among(const struct surveyor *surveyor)
{
	const struct metadata *metadata = surveyor->metadata;
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	bool found = false;

	for (uint64_t i = 1; block && !found && i < metadata->refs.nr_blocks; i++)
		found = surveyor->forgotten.blocks[i] &&
			!block_io_read(metadata->io, i, 1, block) &&
			!block_verify(block, BLOCK_SUPERBLOCK, i);
	free(block);
	return found;
}

/* Whether the space map is beyond doubt, so that what it counts and was not met is all that was lost. */
static bool map_tells_losses(const struct surveyor *surveyor)
{
	const struct metadata *metadata = surveyor->metadata;

	return !surveyor->map_lost && !surveyor->map_doubtful && !surveyor->nr_less &&
	       surveyor->nr_more == surveyor->nr_orphans &&
	       metadata->live.space_map.nr_blocks <= metadata->refs.nr_blocks;
}

/* Whether it can tell of anything that is used and not named. */
static bool map_covers_all(const struct surveyor *surveyor)
{
	const struct ref_counts *refs = &surveyor->metadata->refs;
	uint64_t end = surveyor->metadata->live.space_map.nr_blocks;
	bool covers = !surveyor->map_lost && end <= refs->nr_blocks;

	for (uint64_t i = end; covers && i < refs->nr_blocks; i++)
		covers = !ref_counts_get(refs, i);
	return covers;
}

static void report_forgotten(const struct surveyor *surveyor, const struct report *report)
{
	const struct survey *survey = surveyor->survey;

	if (surveyor->forgotten.nr_writesets)
		report_message(report,
			       "writesets: %llu that are in use are named by nothing: their data "
			       "blocks count as written in era %u",
			       (unsigned long long)surveyor->forgotten.nr_writesets,
			       survey->info.current_era);
	if (surveyor->outdated)
		report_message(report,
			       "superblock: of another device or time: all data blocks count as "
			       "written in era %u",
			       survey->info.current_era);
	else if (surveyor->latest_lost)
		report_message(report,
			       "latest writeset: not named, and without the space map it is not "
			       "known that there is none: all data blocks count as written in era "
			       "%u",
			       survey->info.current_era);
	else if (survey->everything)
		report_message(report,
			       "reference counts: metadata blocks in use are named by nothing: all "
			       "data blocks count as written in era %u",
			       survey->info.current_era);
}

static int find_forgotten(struct surveyor *surveyor)
{
	struct survey *survey = surveyor->survey;
	struct forgotten *forgotten = &surveyor->forgotten;
	bool lacks_latest =
		surveyor->in_place && numbers_lack_latest(&surveyor->numbers, &survey->superblock);
	int r = PD_OK;

	survey->writesets_found = false;
	/* What was restored has no snapshot, so that a current writeset may be lost along with it. */
	if (!lacks_latest &&
	    (surveyor->snapshot_lost || (surveyor->nr_more && is_superblock_among(surveyor))))
		return PD_OK;
	surveyor->latest_lost = lacks_latest && !map_covers_all(surveyor);
	survey->everything |= surveyor->latest_lost;
	if (surveyor->nr_more)
		r = forgotten_find(survey, surveyor->metadata, forgotten);
	/* What is no writeset by itself needs no explanation where damaged trees may have named it. */
	survey->everything |= forgotten->rest && !surveyor->nr_lost;
	survey->writesets_found = !forgotten->rest && !forgotten->doubtful &&
				  surveyor->only_tree_lost && !surveyor->another &&
				  surveyor->nr_more == surveyor->nr_forgotten &&
				  map_tells_losses(surveyor);
	numbers_see(&surveyor->numbers, forgotten->era);
	return r;
}

/* Lost nodes. If the space map tells what lay below them, they are as good as there. */

static void report_mended(const struct surveyor *surveyor, const struct lost_node *node,
			  const struct report *report)
{
	struct damage damage = {.block = node->number};
	struct finding finding = finding_make(node->structure, &damage, AFFECTS_NOTHING);
	char text[FINDING_TEXT_MAX];

	if (!node->nr_children)
		return;
	finding.era = node->structure == STRUCTURE_CURRENT_WRITESET
			      ? surveyor->survey->superblock.info.current_era
			      : node->era;
	finding.damage.what = "lost, and put together again from those that it named";
	if (!node->in_order)
		finding.damage.what =
			"lost; the blocks that it named are known, but not their "
			"order: data blocks are of the latest era that any gives them";
	finding_text(&finding, text);
	report_message(report, "%s", text);
}

/* What was never written to takes no memory, and should not. */
static void clear(bool *blocks, uint64_t nr_blocks)
{
	for (uint64_t i = 0; i < nr_blocks; i++)
		if (blocks[i])
			blocks[i] = false;
}

static void forget_counts(struct surveyor *surveyor)
{
	uint64_t nr_blocks = surveyor->metadata->refs.nr_blocks;

	surveyor->snapshot_lost = surveyor->map_lost = surveyor->map_doubtful = false;
	surveyor->exact_lost = false;
	surveyor->nr_more = surveyor->nr_less = surveyor->nr_forgotten = surveyor->nr_orphans = 0;
	clear(surveyor->forgotten.blocks, nr_blocks);
	clear(surveyor->losses.orphans, nr_blocks);
	clear(surveyor->less, nr_blocks);
}

static int mend_trees(struct surveyor *surveyor, struct mend *mend, const struct report *report)
{
	struct losses *losses = &surveyor->losses;
	int r = walk_snapshot(surveyor);

	if (!r)
		r = compare_counts(surveyor);
	if (!r && !surveyor->snapshot_lost && map_tells_losses(surveyor))
		r = mend_lost(mend, losses);
	for (unsigned i = 0; !r && i < losses->nr; i++)
		report_mended(surveyor, &losses->nodes[i], report);
	forget_counts(surveyor);
	return r ? r : walk_live(surveyor);
}

static int walk_trees(struct surveyor *surveyor, struct mend *mend, const struct report *report)
{
	struct metadata *metadata = surveyor->metadata;
	struct numbers *numbers = &surveyor->numbers;
	int r = walk_live(surveyor);

	if (!r && mend && surveyor->nr_lost && surveyor->nr_lost == surveyor->losses.nr)
		r = mend_trees(surveyor, mend, report);
	/* What else is on the device may be from before it was formatted. */
	surveyor->has_later = numbers_have_later(numbers, &surveyor->survey->superblock);
	if (!r && surveyor->in_place && numbers_doubt_era(numbers, &surveyor->survey->superblock))
		r = numbers_ask_all(numbers, metadata->io, &surveyor->survey->superblock, report);
	if (numbers->unwitnessed)
		surveyor->survey->era_known = surveyor->era_hinted;
	/* Behind the end that it was thought to have, the era array was not looked at. */
	if (!r && !surveyor->another &&
	    numbers_settle_nr_blocks(numbers, &surveyor->survey->superblock,
				     metadata->refs.nr_blocks, report))
		r = walk_live(surveyor);
	if (!r && !surveyor->another)
		numbers_raise_nr_blocks(numbers, &surveyor->survey->superblock.info, report);
	return r;
}

/* With nothing to tell how many there are, none would be taken for none that changed. */
static int expect_data_blocks(const struct surveyor *surveyor, const struct report *report)
{
	const struct stream_info *info = &surveyor->survey->superblock.info;

	if (info->nr_blocks || !info->current_era || !surveyor->numbers.array_lost)
		return PD_OK;
	return report_error(report, PD_ERR_CORRUPT,
			    "superblock: the number of data blocks must be given");
}

/*
 * Whether there may have been later eras than those that left a trace, where no superblock tells. A
 * writeset tree that has any has the latest. If that was without a write, and is digested, there is none.
 */
static bool misses_eras(const struct surveyor *surveyor)
{
	const struct survey *survey = surveyor->survey;
	const struct numbers *numbers = &surveyor->numbers;

	return !survey->era_known && (numbers->damaged || !numbers->tree_era || surveyor->outdated);
}

static void settle_current_era(struct surveyor *surveyor, const struct report *report)
{
	struct survey *survey = surveyor->survey;

	numbers_settle_current_era(&surveyor->numbers, &survey->superblock, &survey->info, report);
	if (!misses_eras(surveyor))
		return;
	survey->era_known = true;
	if (survey->info.current_era < LAST_PLAUSIBLE_ERA)
		survey->info.current_era += UNSEEN_ERAS;
	report_message(report, "current era: what told it may be lost: taken for %u",
		       survey->info.current_era);
}

static int judge_superblock(struct surveyor *surveyor)
{
	const struct metadata *metadata = surveyor->metadata;
	const struct superblock *sb = &surveyor->survey->superblock;
	struct testimony testimony = {.astray = surveyor->astray,
				      .nr_lost = surveyor->nr_lost,
				      .nr_more = surveyor->nr_more,
				      .nr_less = surveyor->nr_less,
				      .snapshot_lost = surveyor->snapshot_lost,
				      .map_lost = surveyor->map_lost,
				      .map_doubtful = surveyor->map_doubtful,
				      .cut = sb->space_map.nr_blocks > metadata->refs.nr_blocks,
				      .has_later = surveyor->has_later,
				      .alien = surveyor->numbers.alien};

	return outdated_judge(metadata->io, sb, &testimony, &surveyor->outdated);
}

static int find_outdated(struct surveyor *surveyor, const struct report *report)
{
	struct survey *survey = surveyor->survey;
	int r = PD_OK;

	if (surveyor->in_place && !surveyor->outdated)
		r = judge_superblock(surveyor);
	if (r || !surveyor->outdated)
		return r;
	survey->everything = true;
	survey->era_known = surveyor->era_hinted;
	r = numbers_ask_more(&surveyor->numbers, surveyor->metadata->io);
	numbers_raise_nr_blocks(&surveyor->numbers, &survey->info, report);
	survey->superblock.info.nr_blocks = survey->info.nr_blocks;
	return r;
}

static int survey_trees(struct surveyor *surveyor, struct mend *mend, const struct report *report)
{
	struct survey *survey = surveyor->survey;
	int r = walk_trees(surveyor, mend, report);

	if (!r)
		r = expect_data_blocks(surveyor, report);
	if (!surveyor->another)
		survey->info = survey->superblock.info;
	if (!r)
		r = walk_snapshot(surveyor);
	if (!r)
		r = compare_counts(surveyor);
	if (r)
		return r;
	judge_pointers(surveyor, report);
	r = find_outdated(surveyor, report);
	if (!r && !surveyor->outdated)
		r = find_forgotten(surveyor);
	if (r)
		return r;
	settle_current_era(surveyor, report);
	report_forgotten(surveyor, report);
	return PD_OK;
}

static int survey_all(struct surveyor *surveyor, struct mend *mend, const struct report *report)
{
	struct losses *losses = &surveyor->losses;
	uint64_t nr_blocks = surveyor->metadata->refs.nr_blocks;
	int r = PD_ERR_NO_MEMORY;

	numbers_init(&surveyor->numbers);
	surveyor->forgotten.blocks = calloc(nr_blocks, sizeof(*surveyor->forgotten.blocks));
	surveyor->less = calloc(nr_blocks, sizeof(*surveyor->less));
	losses->nr_blocks = nr_blocks;
	losses->forgotten = surveyor->forgotten.blocks;
	losses->orphans = calloc(nr_blocks, sizeof(*losses->orphans));
	losses->reader = &surveyor->metadata->reader;
	if (surveyor->forgotten.blocks && surveyor->less && losses->orphans)
		r = survey_trees(surveyor, mend, report);
	free(surveyor->forgotten.blocks);
	free(losses->orphans);
	free(surveyor->less);
	return r;
}

int survey_make(struct survey *survey, struct metadata *metadata, const struct found *found,
		struct mend *mend, const struct report *report)
{
	struct surveyor surveyor = {.survey = survey,
				    .metadata = metadata,
				    .in_place = found->in_place,
				    .era_hinted = found->era_hinted,
				    .outdated = found->outdated};

	*survey = (struct survey){.superblock = metadata->live,
				  .info = metadata->live.info,
				  .era_known = found->in_place || found->era_hinted};
	return survey_all(&surveyor, mend, report);
}

int survey_add(struct survey *survey, struct metadata *metadata, const struct superblock *other)
{
	struct surveyor surveyor = {.survey = survey, .metadata = metadata, .another = true};

	metadata->live = survey->superblock = *other;
	survey->superblock.info.nr_blocks = survey->info.nr_blocks;
	return survey_all(&surveyor, NULL, NULL);
}

void survey_destroy(struct survey *survey)
{
	free(survey->current);
	survey->current = NULL;
}

/* calloc: of a large device, what nobody writes to costs no memory. */
static bool make_room(struct survey *survey)
{
	if (!survey->current)
		survey->current = calloc(survey->info.nr_blocks / 64 + 1, sizeof(uint64_t));
	return survey->current;
}

int survey_add_bits(struct survey *survey, uint64_t first, const uint64_t *words, uint64_t nr_words)
{
	uint64_t end = bitset_nr_words(survey->info.nr_blocks);

	if (!make_room(survey))
		return PD_ERR_NO_MEMORY;
	for (uint64_t i = 0; i < nr_words && first / 64 + i < end; i++)
		survey->current[first / 64 + i] |= words[i];
	return PD_OK;
}

int survey_add_range(struct survey *survey, uint64_t begin, uint64_t end)
{
	if (!make_room(survey))
		return PD_ERR_NO_MEMORY;
	if (end > survey->info.nr_blocks)
		end = survey->info.nr_blocks;
	bitmap_set(survey->current, begin, end);
	return PD_OK;
}
