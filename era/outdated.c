/* SPDX-License-Identifier: MIT */
/* Judges superblocks that may be of an earlier time. */
#include "era/outdated.h"
#include "era/latest.h"
#include "era/scan.h"
#include "persistent-data/error.h"

/* Whether something is not as it was written, and yet sound. */
static bool is_at_odds(const struct testimony *testimony)
{
	const struct astray *astray = &testimony->astray;
	bool leaks = testimony->nr_more && !testimony->nr_lost && !testimony->snapshot_lost;

	return testimony->nr_less || astray->in_trees || astray->in_map || astray->any || leaks ||
	       testimony->map_doubtful;
}

/*
 * A pointer that is damaged leads to one block that the space map does not count for it. So if the trees
 * name a block as something else than it is, it was put to another use since, unless it is that one. What
 * lies below a node that is damaged, the space map counts and nothing names. Or the superblock is wrong
 * about the device, too.
 */
static bool is_plain(const struct testimony *testimony)
{
	const struct astray *astray = &testimony->astray;

	return astray->apart || (astray->in_trees && testimony->nr_less != 1) ||
	       (astray->in_arrays && !testimony->nr_less && !testimony->nr_more) ||
	       (testimony->cut && is_at_odds(testimony)) || testimony->alien;
}

/* Blocks that know of eras which the superblock does not. */
static int count_later(struct block_io *io, const struct superblock *sb, uint64_t *nr)
{
	/* The era of a writeset that goes on is not over. */
	uint32_t over = sb->info.current_era - (sb->writeset_root && sb->info.current_era);
	struct scan scan;
	int r = scan_make_small(&scan, io, SCAN_FAR_ENOUGH, over);

	*nr = scan.nr_later;
	scan_destroy(&scan);
	return r;
}

/* A superblock of which only the current era is wrong names the latest state that there is. */
static int judge_by_states(struct block_io *io, const struct superblock *sb, bool has_later,
			   bool *outdated)
{
	struct latest_verdict verdict;
	int r = latest_judge(io, sb, &verdict);

	*outdated = verdict.later || (has_later && !verdict.is_latest);
	return r;
}

int outdated_judge(struct block_io *io, const struct superblock *sb,
		   const struct testimony *testimony, bool *outdated)
{
	bool at_odds = is_at_odds(testimony);
	uint64_t nr_later = 0;
	int r = PD_OK;

	*outdated = is_plain(testimony);
	if (*outdated)
		return PD_OK;
	if (at_odds || testimony->cut || testimony->astray.snapshot || testimony->has_later)
		r = count_later(io, sb, &nr_later);
	*outdated = (at_odds || testimony->cut) && nr_later;
	/* A single one may be damaged. */
	if (!r && !*outdated && (testimony->map_lost || nr_later > 1))
		r = judge_by_states(io, sb, nr_later > 1, outdated);
	return r;
}
