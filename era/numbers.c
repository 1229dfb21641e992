/* SPDX-License-Identifier: MIT */
/* Finds out which numbers a superblock should have. */
#include "era/numbers.h"
#include "persistent-data/array.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"

#include <stdlib.h>

void numbers_see(struct numbers *numbers, uint64_t era)
{
	if (era > numbers->over && era < LAST_PLAUSIBLE_ERA)
		numbers->over = (uint32_t)era;
}

/* The walk. */

static int probe_begin(struct sink *sink, const struct stream_info *info)
{
	(void)sink;
	(void)info;
	return PD_OK;
}

/* The current writeset comes last, under the era that it was said to be. */
static int probe_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct numbers *numbers = (struct numbers *)sink;

	numbers_see(numbers, era);
	if (era < LAST_PLAUSIBLE_ERA) {
		numbers->tree_bits = nr_bits;
		numbers->tree_era = era;
	}
	if (era == LAST_PLAUSIBLE_ERA)
		numbers->current_bits = nr_bits;
	return PD_OK;
}

static int probe_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	(void)sink;
	(void)first_word;
	(void)words;
	(void)n;
	return PD_OK;
}

static int probe_end(struct sink *sink)
{
	(void)sink;
	return PD_OK;
}

static int probe_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct numbers *numbers = (struct numbers *)sink;

	(void)first_block;
	numbers->has_eras = true;
	for (unsigned i = 0; i < n; i++)
		numbers_see(numbers, eras[i]);
	return PD_OK;
}

static const struct sink_ops probe_ops = {probe_begin, probe_writeset_begin, probe_words,
					  probe_end,   probe_eras,	     probe_end};

void numbers_init(struct numbers *numbers)
{
	*numbers = (struct numbers){.sink = {&probe_ops}};
}

void numbers_begin(struct numbers *numbers)
{
	*numbers = (struct numbers){.sink = {&probe_ops},
				    .over = numbers->over,
				    .begun = numbers->begun,
				    .unwitnessed = numbers->unwitnessed,
				    .least = numbers->least,
				    .least_may_end = numbers->least_may_end,
				    .alien = numbers->alien,
				    .ends_right = true};
}

static void array_finding(struct numbers *numbers, uint64_t nr_blocks, const struct damage *damage)
{
	if (damage->real_end > numbers->array_end) {
		numbers->array_end = damage->real_end;
		numbers->array_may_end = damage->ends_earlier;
	}
	if (damage->end < nr_blocks)
		return;
	numbers->ends_right = false;
	numbers->array_lost |= damage->loses_references && !damage->begin;
}

/* It is told of up to the number of data blocks, which may be less than it has. */
static void current_finding(struct numbers *numbers, uint64_t nr_blocks,
			    const struct damage *damage)
{
	if (damage->real_end > numbers->bits_end && !damage->ends_earlier)
		numbers->bits_end = damage->real_end;
	if (damage->real_end || damage->end >= numbers->current_bits || damage->end >= nr_blocks)
		numbers->current_bits = 0;
}

void numbers_finding(struct numbers *numbers, const struct superblock *sb,
		     const struct finding *finding)
{
	const struct damage *damage = &finding->damage;

	numbers->damaged = true;
	switch (finding->structure) {
	case STRUCTURE_WRITESET_TREE:
		numbers->tree_damaged = true;
		numbers->tree_lost |=
			damage->loses_references && damage->block == sb->writeset_tree_root;
		break;
	case STRUCTURE_CURRENT_WRITESET:
		current_finding(numbers, sb->info.nr_blocks, damage);
		break;
	case STRUCTURE_ERA_ARRAY:
		array_finding(numbers, sb->info.nr_blocks, damage);
		break;
	default:
		break;
	}
}

bool numbers_have_later(const struct numbers *numbers, const struct superblock *sb)
{
	/* The era of a writeset that goes on is not over. */
	return numbers->over + (uint64_t)(sb->writeset_root != 0) > sb->info.current_era;
}

bool numbers_doubt_era(const struct numbers *numbers, const struct superblock *sb)
{
	return numbers->damaged || numbers_have_later(numbers, sb);
}

int numbers_ask_more(struct numbers *numbers, struct block_io *io)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	struct scan scan;
	int r = scan_make(&scan, io, SCAN_ALL);

	if (!r && !block)
		r = PD_ERR_NO_MEMORY;
	if (!r) {
		numbers_see(numbers, scan.over);
		/* An era goes on that is later than all that are over. */
		numbers->begun = scan.known > scan.over ? scan.known : scan.over + 1;
		numbers->least = scan_nr_data_blocks(&scan, block, &numbers->least_may_end);
	}
	scan_destroy(&scan);
	free(block);
	return r;
}

static int ask_eras(struct numbers *numbers, struct block_io *io)
{
	struct scan scan;
	int r = scan_make_small(&scan, io, SCAN_FAR_ENOUGH, 0);

	if (!r) {
		numbers_see(numbers, scan.over);
		numbers->begun = scan.known;
	}
	scan_destroy(&scan);
	return r;
}

/* Whether something is there that tells a number of data blocks, be it another one. */
static bool is_witnessed(const struct numbers *numbers, const struct superblock *sb)
{
	if (!sb->info.nr_blocks)
		return !numbers->tree_lost;
	return numbers->has_eras || numbers->array_end || numbers->tree_bits ||
	       numbers->current_bits || numbers->bits_end;
}

int numbers_ask_all(struct numbers *numbers, struct block_io *io, const struct superblock *sb,
		    const struct report *report)
{
	numbers->unwitnessed = !is_witnessed(numbers, sb);
	if (!numbers->unwitnessed)
		return ask_eras(numbers, io);
	report_message(report, "superblock: nothing is left of what it names: it may be of another "
			       "device or time");
	return numbers_ask_more(numbers, io);
}

bool numbers_lack_latest(const struct numbers *numbers, const struct superblock *sb)
{
	if (numbers->tree_lost)
		return false;
	if (!sb->writeset_root)
		return numbers->tree_era < sb->info.current_era;
	return numbers->tree_era && numbers->tree_era + 1 < sb->info.current_era;
}

/* The number of data blocks. */

static uint64_t in_whole_words(uint64_t nr_bits)
{
	return (nr_bits + BITSET_WORD_BITS - 1) / BITSET_WORD_BITS * BITSET_WORD_BITS;
}

static uint64_t in_whole_blocks(uint64_t nr_eras)
{
	return (nr_eras + ERAS_PER_BLOCK - 1) / ERAS_PER_BLOCK * ERAS_PER_BLOCK;
}

/*
 * A current writeset of the right length bears witness to the superblock up to the end of its last word,
 * and the latest of the tree to the last bit. A current one that is longer is right itself, unless the
 * array ends in its last word.
 */
static uint64_t by_current(const struct numbers *numbers, uint64_t before)
{
	uint64_t end = numbers->array_end, most = in_whole_words(numbers->current_bits);

	if (end >= numbers->current_bits && end <= most && !numbers->array_may_end)
		return end;
	/* A superblock that contradicts itself is right where the tree agrees with it, if anywhere. */
	if (!end && numbers->current_bits != before && numbers->tree_bits != before &&
	    numbers->tree_bits != numbers->current_bits)
		return most;
	end = numbers->current_bits;
	return numbers->tree_bits > end && numbers->tree_bits <= most ? numbers->tree_bits : end;
}

/* Without it: the era array has an era for each data block, and writesets have a bit. */
static uint64_t by_the_rest(const struct numbers *numbers, uint64_t before, uint64_t said)
{
	uint64_t end = numbers->array_end;
	bool known = end && !numbers->array_may_end;

	if (numbers->tree_bits && numbers->tree_bits == before &&
	    numbers->bits_end < before + BITSET_WORD_BITS)
		return before;
	/* Where the array has lost its end, it is known at least how many array blocks there are. */
	if (!end && numbers->tree_bits > before &&
	    (numbers->array_lost || numbers->tree_bits <= in_whole_blocks(before)))
		end = numbers->tree_bits;
	if (end < before)
		end = before;
	if (numbers->array_may_end && numbers->bits_end > end - ERAS_PER_BLOCK &&
	    numbers->bits_end < end)
		end = numbers->bits_end;
	if (numbers->bits_end >= end + (known ? BITSET_WORD_BITS : 1))
		end = numbers->bits_end;
	/* With neither end in sight there is only what the superblock says of the current one. */
	if (!known && !numbers->bits_end && said > end)
		end = said;
	return end;
}

/* Nothing is on a device that it has no room for. */
static struct numbers plausible(const struct numbers *numbers, uint64_t most)
{
	struct numbers sane = *numbers;

	/* The era array has named these blocks one by one. */
	if (sane.array_end > ERA_MAX_DATA_BLOCKS) {
		sane.array_end = 0;
		sane.array_may_end = false;
	}
	if (sane.bits_end > most)
		sane.bits_end = 0;
	if (sane.tree_bits > most)
		sane.tree_bits = 0;
	if (sane.current_bits > most)
		sane.current_bits = 0;
	return sane;
}

bool numbers_settle_nr_blocks(struct numbers *numbers, struct superblock *sb,
			      uint64_t nr_metadata_blocks, const struct report *report)
{
	uint64_t room = nr_metadata_blocks * ERAS_PER_BLOCK;
	uint64_t most = room < ERA_MAX_DATA_BLOCKS ? room : ERA_MAX_DATA_BLOCKS;
	struct numbers sane = plausible(numbers, most);
	bool has_current = sb->writeset_root && sb->writeset_bits <= most;
	uint32_t before = sb->info.nr_blocks;
	uint64_t other = sane.current_bits
				 ? by_current(&sane, before)
				 : by_the_rest(&sane, before, has_current ? sb->writeset_bits : 0);
	uint64_t bits = in_whole_words(sb->writeset_bits);

	if (numbers->ends_right || other <= before)
		return false;
	numbers->alien = has_current && sb->writeset_bits == before && sane.array_end > before &&
			 sane.bits_end > in_whole_words(before);
	sb->info.nr_blocks = (uint32_t)other;
	if (other <= (bits > sane.bits_end ? bits : sane.bits_end))
		sb->writeset_bits = sb->info.nr_blocks;
	report_message(report, "superblock: %u data blocks, where the %s has %u: taken for %u",
		       before, other == sane.array_end ? "era array" : "latest writeset",
		       sb->info.nr_blocks, sb->info.nr_blocks);
	return true;
}

void numbers_raise_nr_blocks(const struct numbers *numbers, struct stream_info *info,
			     const struct report *report)
{
	uint64_t enough = numbers->least;

	if (enough && numbers->least_may_end)
		enough -= (enough - 1) % ERAS_PER_BLOCK;
	if (enough <= info->nr_blocks || numbers->least > ERA_MAX_DATA_BLOCKS)
		return;
	report_message(report,
		       "superblock: %u data blocks, where an era array that is left has %u: "
		       "taken for that",
		       info->nr_blocks, (unsigned)numbers->least);
	info->nr_blocks = (uint32_t)numbers->least;
}

/* Where something is of an era that is not over yet, or has not begun, the superblock is wrong. */
void numbers_settle_current_era(const struct numbers *numbers, const struct superblock *sb,
				struct stream_info *info, const struct report *report)
{
	/* A writeset that goes on, or may, is of a later era than all that are over; so may a lost one be. */
	bool goes_on =
		sb->writeset_root || numbers->over > info->current_era || numbers->tree_damaged;
	uint32_t era = numbers->over ? numbers->over + goes_on : 0;
	uint32_t found = numbers->over;
	uint32_t begun = numbers->begun;

	/* Nothing is written in era 0: the first resume begins the next one. */
	if (!begun && (sb->writeset_root || (numbers->damaged && sb->info.nr_blocks)))
		begun = 1;
	if (era < begun)
		era = found = begun;
	if (era <= info->current_era)
		return;
	info->current_era = era;
	report_message(report, "superblock: current era %u, but era %u is found: taken for %u",
		       sb->info.current_era, found, era);
}
