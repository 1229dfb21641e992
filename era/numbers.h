/* SPDX-License-Identifier: MIT */
/*
 * The numbers of a superblock that may be wrong: of another device or time, or changed. What it names
 * tells how many data blocks there are at least, and in which era they are at least.
 */
#ifndef ERA_NUMBERS_H
#define ERA_NUMBERS_H

#include "era/finding.h"
#include "era/scan.h"
#include "era/stream.h"
#include "era/superblock.h"
#include "persistent-data/block_io.h"
#include "persistent-data/report.h"

struct numbers {
	struct sink sink;   /* of a walk, by LAST_PLAUSIBLE_ERA as the current one */
	uint32_t over;	    /* the latest era that is over, */
	uint32_t begun;	    /* and the latest that is known to have begun */
	bool unwitnessed;   /* nothing is left of what the superblock names; then: */
	uint64_t least;	    /* data blocks, by the longest era array that is found somewhere; */
	bool least_may_end; /* it may end earlier, in its last block */
	bool alien; /* the superblock agrees with itself about the data blocks, and with nothing else */
	/* By the last walk: */
	bool tree_lost, array_lost; /* all of the writeset tree, the era array */
	bool tree_damaged;	    /* some of the writeset tree cannot be read, */
	bool damaged;		    /* or something of whatever */
	bool has_eras;		    /* some of the era array can be read */
	bool ends_right;	    /* the era array, where the superblock says */
	uint64_t array_end;	    /* the data blocks that the era array has, if it has more; */
	bool array_may_end;	    /* earlier than there, in its last block */
	uint32_t tree_bits;	    /* of the latest writeset in the tree, */
	uint32_t tree_era;	    /* and which that is */
	/* Of the current writeset; 0: it does not end where the superblock says, but at bits_end. */
	uint32_t current_bits;
	uint64_t bits_end; /* in whole words */
};

void numbers_init(struct numbers *numbers);

/* Before a walk, and what it finds. */
void numbers_begin(struct numbers *numbers);
void numbers_finding(struct numbers *numbers, const struct superblock *sb,
		     const struct finding *finding);

/* A writeset of that era is found, or an era of the era array. */
void numbers_see(struct numbers *numbers, uint64_t era);

/* Whether something is of a later era than the superblock lets it be. */
bool numbers_have_later(const struct numbers *numbers, const struct superblock *sb);

/*
 * Whether the superblock's current era may be wrong: something is of a later one, or so much is lost that
 * it may have been.
 */
bool numbers_doubt_era(const struct numbers *numbers, const struct superblock *sb);

/*
 * Asks all blocks of the device which eras there were, since some may have left no trace in the trees, or
 * one that is lost; and if nothing is left of what the superblock names, as numbers_ask_more() does.
 */
int numbers_ask_all(struct numbers *numbers, struct block_io *io, const struct superblock *sb,
		    const struct report *report);

/*
 * Where what the superblock names is not the latest, or not there: how many data blocks there are as well,
 * and an era goes on that is later than all that left a trace.
 */
int numbers_ask_more(struct numbers *numbers, struct block_io *io);

/*
 * Whether the superblock does not lead to the writeset of the latest era: the current one, which a clean
 * shutdown leaves in the tree; or the one before, which is digested last. Metadata that no target has
 * used since they were restored may be without them.
 */
bool numbers_lack_latest(const struct numbers *numbers, const struct superblock *sb);

/* Puts the number of data blocks right, on a device of so many metadata blocks; false: it is. */
bool numbers_settle_nr_blocks(struct numbers *numbers, struct superblock *sb,
			      uint64_t nr_metadata_blocks, const struct report *report);

/*
 * Raises it to what was found somewhere by numbers_ask_more(). What an earlier version of the tree named may
 * be another array block now, so that it is too many then, but by less than an array block.
 */
void numbers_raise_nr_blocks(const struct numbers *numbers, struct stream_info *info,
			     const struct report *report);

/* Puts the current era of info right, which sb has. */
void numbers_settle_current_era(const struct numbers *numbers, const struct superblock *sb,
				struct stream_info *info, const struct report *report);

#endif
