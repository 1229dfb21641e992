/* SPDX-License-Identifier: MIT */
/* Finds the latest of all states that are left on a device. */
#include "era/latest.h"
#include "era/state_order.h"
#include "era/successor.h"
#include "persistent-data/error.h"

#include <stdlib.h>

struct finder {
	struct scan scan;
	bool astray; /* a superblock shows that something is there which it does not know */
	unsigned nr; /* states of which none is known to be earlier than another */
	bool too_many;
	bool followed;	  /* one of them, by a state that is not consistent */
	bool *consistent; /* by the index block, or bitmap, of each state */
	struct state states[FIND_MAX_STATES];
};

static void drop_state(struct finder *finder, unsigned i)
{
	state_destroy(&finder->states[i]);
	finder->states[i] = finder->states[--finder->nr];
}

/* Keeps a state unless it is earlier than one that is kept, instead of those that are earlier. */
static void keep_latest(struct finder *finder, struct state *state)
{
	for (unsigned i = 0; i < finder->nr;) {
		switch (state_compare(&finder->scan, state, &finder->states[i])) {
		case STATE_EARLIER:
		case STATE_SAME:
			state_destroy(state);
			return;
		case STATE_LATER:
			drop_state(finder, i);
			break;
		case STATE_UNKNOWN:
			i++;
			break;
		}
	}
	if (finder->nr == FIND_MAX_STATES) {
		finder->too_many = true;
		state_destroy(state);
		return;
	}
	finder->states[finder->nr++] = *state;
}

/* A bitmap alone does where there is no other one: its index block may be lost. */
static bool is_space_map(const struct scan *scan, uint64_t i)
{
	return scan->kinds[i] == KIND_INDEX ||
	       (scan->kinds[i] == KIND_BITMAP && scan->nr_blocks <= SPACE_MAP_BITMAP_COUNTS);
}

static bool has_trees_of(const struct state *state, const struct superblock *sb)
{
	return state->superblock.writeset_tree_root == sb->writeset_tree_root &&
	       state->superblock.era_array_root == sb->era_array_root &&
	       state->superblock.writeset_root == sb->writeset_root;
}

static int find_latest(struct finder *finder, const struct stream_info *info)
{
	struct scan *scan = &finder->scan;
	int error = PD_OK;

	scan_note_size(scan, info->nr_blocks);
	for (uint64_t i = 1; !error && scan->looks_left && i < scan->nr_blocks; i++) {
		struct state state;

		if (!is_space_map(scan, i))
			continue;
		finder->consistent[i] = state_make(&state, scan, i, info, &error);
		if (finder->consistent[i])
			keep_latest(finder, &state);
		else
			state_destroy(&state);
	}
	finder->too_many |= !scan->looks_left;
	for (unsigned i = 0; !error && i < finder->nr; i++)
		finder->followed |=
			state_has_successor(scan, &finder->states[i], finder->consistent, &error);
	return error;
}

/* No state tells its current era. A writeset that goes on is of a later one than any that is over. */
static uint32_t least_era(const struct finder *finder, const struct found *found)
{
	uint32_t era = finder->scan.over;
	bool goes_on = !found->nr;

	for (unsigned i = 0; i < found->nr; i++)
		goes_on |= found->superblocks[i].writeset_root != 0;
	era += goes_on;
	return era > finder->scan.known ? era : finder->scan.known;
}

static void report_states(const struct found *found, const struct report *report)
{
	for (unsigned i = 0; i < found->nr; i++) {
		const struct superblock *sb = &found->superblocks[i];

		report_message(report,
			       "found: writeset tree at block %llu, era array at %llu, current "
			       "writeset at %llu, space map at %llu, which agree with each other",
			       (unsigned long long)sb->writeset_tree_root,
			       (unsigned long long)sb->era_array_root,
			       (unsigned long long)sb->writeset_root,
			       (unsigned long long)sb->space_map.bitmap_root);
	}
	if (found->nr > 1)
		report_message(report,
			       "found: %u states; which is the latest cannot be told, so "
			       "they are taken together",
			       found->nr);
}

/*
 * What a device had behind its end is lost, if it had anything there. Blocks are taken one after another:
 * if the last one that is left was never used, nor were those behind it. A device that is not known to
 * have been longer may have been: a transaction ends with its index block, so that of the latest state is
 * the last of all then, until the kernel has begun again at the device's beginning. An index block that is
 * lost may look like one that was never used.
 */
static bool is_cut_short(const struct scan *scan, const struct state *state)
{
	uint64_t last = scan->nr_blocks - 1;
	uint64_t index = state->superblock.space_map.bitmap_root;

	if (state->cut_short)
		return scan->kinds[last] != KIND_ZEROES;
	return (scan->kinds[last] != KIND_ZEROES || index == last) && scan->last_index <= index;
}

/*
 * Of a damaged space map the other half still shows what state it belonged to. So a later state than
 * those that are known can only be where two blocks or more are damaged that one of these does not use; or
 * where it cannot be seen, behind blocks that were in use and look like those that never were.
 */
static bool latest_is_damaged(const struct finder *finder)
{
	uint64_t nr_known = UINT64_MAX;
	bool fades = finder->scan.fades;

	for (unsigned i = 0; i < finder->nr; i++) {
		const struct state *state = &finder->states[i];

		if (state->damaged || state->fades || is_cut_short(&finder->scan, state))
			return true;
		if (state->nr_damaged < nr_known)
			nr_known = state->nr_damaged;
		fades &= !state->has_last;
	}
	return finder->nr && (fades || finder->scan.nr_damaged > nr_known + 1);
}

static bool knows_latest(const struct finder *finder)
{
	return !finder->astray && !finder->too_many && !finder->followed &&
	       !latest_is_damaged(finder);
}

static void take_found(const struct finder *finder, struct stream_info *info, struct found *found,
		       const struct report *report)
{
	uint32_t era;

	found->nr = knows_latest(finder) ? finder->nr : 0;
	for (unsigned i = 0; i < found->nr; i++)
		found->superblocks[i] = finder->states[i].superblock;
	era = least_era(finder, found);
	if (era > info->current_era)
		info->current_era = era;
	for (unsigned i = 0; i < found->nr; i++)
		found->superblocks[i].info.current_era = info->current_era;
	report_states(found, report);
	report_message(report, "current era: not known; by all that is found at least %u", era);
	if (found->nr)
		return;
	found->superblocks[0] = (struct superblock){.info = *info};
	report_message(report, "%s: all data blocks count as written in the current era",
		       finder->astray	  ? "which state is the latest is not known"
		       : finder->too_many ? "more is found than can be told apart"
		       : finder->nr	  ? "the latest state is damaged, or may be"
					  : "nothing is found that agrees with its space map");
}

static int finder_make(struct finder *finder, struct block_io *io, uint64_t nr_zeroes)
{
	int r = scan_make(&finder->scan, io, nr_zeroes);

	finder->consistent = calloc(finder->scan.nr_blocks + 1, sizeof(*finder->consistent));
	return finder->consistent ? r : PD_ERR_NO_MEMORY;
}

static void finder_destroy(struct finder *finder)
{
	while (finder->nr)
		drop_state(finder, finder->nr - 1);
	free(finder->consistent);
	scan_destroy(&finder->scan);
}

int latest_find(struct block_io *io, struct stream_info *info, bool astray,
		const struct report *report, struct found *found)
{
	struct finder finder = {.astray = astray};
	int r = finder_make(&finder, io, SCAN_ALL);

	if (!r && !astray)
		r = find_latest(&finder, info);
	if (!r)
		take_found(&finder, info, found, report);
	else
		report_message(report, "%s", pd_error_text(r));
	finder_destroy(&finder);
	return r;
}

static int judge_named(struct finder *finder, const struct superblock *sb,
		       struct latest_verdict *verdict)
{
	struct state named;
	int r = state_make_named(&named, &finder->scan, sb);

	for (unsigned i = 0; !r && i < finder->nr; i++)
		verdict->later |=
			state_compare(&finder->scan, &named, &finder->states[i]) == STATE_EARLIER;
	state_destroy(&named);
	verdict->is_latest = finder->nr == 1 && has_trees_of(&finder->states[0], sb);
	return r;
}

int latest_judge(struct block_io *io, const struct superblock *sb, struct latest_verdict *verdict)
{
	struct finder finder = {.astray = false};
	int r = finder_make(&finder, io, SCAN_FAR_ENOUGH);

	*verdict = (struct latest_verdict){.later = false};
	if (!r)
		r = find_latest(&finder, &sb->info);
	if (!r && finder.nr && knows_latest(&finder))
		r = judge_named(&finder, sb, verdict);
	finder_destroy(&finder);
	return r;
}
