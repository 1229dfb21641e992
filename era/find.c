/* SPDX-License-Identifier: MIT */
/* Finds what a superblock names, if need be without one. */
#include "era/find.h"
#include "era/state.h"
#include "persistent-data/array.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct finder {
	struct scan scan;
	unsigned nr; /* states of which none is known to be earlier than another */
	bool too_many;
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

static int find_latest(struct finder *finder, const struct stream_info *info)
{
	struct scan *scan = &finder->scan;
	int error = PD_OK;

	for (uint64_t i = 1; !error && scan->looks_left && i < scan->nr_blocks; i++) {
		struct state state;

		if (!is_space_map(scan, i))
			continue;
		if (state_make(&state, scan, i, info, &error))
			keep_latest(finder, &state);
		else
			state_destroy(&state);
	}
	finder->too_many |= !scan->looks_left;
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
 * those that are known can only be where two blocks or more are damaged that these do not use; or where
 * it cannot be seen, behind blocks that were in use and look like those that never were.
 */
static bool latest_is_damaged(const struct finder *finder)
{
	uint64_t nr_known = 0;
	bool fades = finder->scan.fades;

	for (unsigned i = 0; i < finder->nr; i++) {
		const struct state *state = &finder->states[i];

		if (state->damaged || state->fades || is_cut_short(&finder->scan, state))
			return true;
		if (state->nr_damaged > nr_known)
			nr_known = state->nr_damaged;
		fades &= !state->has_last;
	}
	return finder->nr && (fades || finder->scan.nr_damaged > nr_known + 1);
}

static void take_found(const struct finder *finder, struct stream_info *info, struct found *found,
		       const struct report *report)
{
	found->nr = finder->too_many || latest_is_damaged(finder) ? 0 : finder->nr;
	for (unsigned i = 0; i < found->nr; i++)
		found->superblocks[i] = finder->states[i].superblock;
	info->current_era = least_era(finder, found);
	for (unsigned i = 0; i < found->nr; i++)
		found->superblocks[i].info.current_era = info->current_era;
	report_states(found, report);
	report_message(report,
		       "current era: not known; taken for %u, the least that it can be by all that "
		       "is found",
		       info->current_era);
	if (found->nr)
		return;
	found->superblocks[0] = (struct superblock){.info = *info};
	report_message(report, "%s: all data blocks count as written in era %u",
		       finder->too_many ? "more is found than can be told apart"
		       : finder->nr	? "the latest state is damaged, or may be"
					: "nothing is found that agrees with its space map",
		       info->current_era);
}

static int find_states(struct block_io *io, struct stream_info *info, const struct report *report,
		       struct found *found)
{
	struct finder finder = {.nr = 0};
	int r = scan_make(&finder.scan, io);

	if (!r)
		r = find_latest(&finder, info);
	if (!r)
		take_found(&finder, info, found, report);
	else
		report_message(report, "%s", pd_error_text(r));
	while (finder.nr)
		drop_state(&finder, finder.nr - 1);
	scan_destroy(&finder.scan);
	return r;
}

/* The superblock itself. */

static int lost(const struct report *report, const struct find_hints *hints, int error)
{
	if (hints->nr_blocks && hints->data_block_size)
		return PD_OK;
	return report_error(report, error,
			    "superblock: lost; to go on, the number of data blocks and their size "
			    "must be given");
}

static int read_superblock(struct block_io *io, const struct find_hints *hints,
			   const struct report *report, uint8_t *block, struct superblock *sb,
			   bool *found)
{
	const char *mistaken;
	struct damage damage;

	if (!io->nr_blocks)
		return report_error(report, PD_ERR_UNSUPPORTED,
				    "shorter than one metadata block of %u bytes",
				    METADATA_BLOCK_SIZE);
	if (block_io_read(io, SUPERBLOCK_BLOCK, 1, block)) {
		report_message(report, "superblock: cannot be read: %s", strerror(errno));
		return lost(report, hints, PD_ERR_IO);
	}
	*found = superblock_decode_loosely(block, sb, &damage);
	if (!*found) {
		mistaken = superblock_mistaken(block);
		report_message(report, "superblock: %s", mistaken ? mistaken : damage.what);
		return lost(report, hints, mistaken ? PD_ERR_UNSUPPORTED : PD_ERR_CORRUPT);
	}
	if (!superblock_decode(block, SUPERBLOCK_BLOCK, io->nr_blocks, false, sb, &damage))
		report_message(report, "superblock: %s (%llu, expected %llu)", damage.what,
			       (unsigned long long)damage.found,
			       (unsigned long long)damage.expected);
	return PD_OK;
}

/* A hint stands in for a number that is lost, or cannot be; it overrules none that can. */
static int take_hint(uint32_t *number, uint32_t hint, bool lost_number, const char *what,
		     const struct report *report)
{
	if (!lost_number && hint && hint != *number)
		return report_error(report, PD_ERR_USAGE, "superblock: the %s is %u, not %u", what,
				    *number, hint);
	if (lost_number && !hint)
		return report_error(report, PD_ERR_CORRUPT, "superblock: the %s must be given",
				    what);
	if (lost_number)
		*number = hint;
	return PD_OK;
}

/* A device that was cut off may still track what it could when it was whole. */
static bool can_be_tracked(const struct superblock *sb, uint64_t nr_metadata_blocks)
{
	if (sb->space_map.nr_blocks > nr_metadata_blocks &&
	    sb->space_map.nr_blocks <= METADATA_MAX_BLOCKS)
		nr_metadata_blocks = sb->space_map.nr_blocks;
	return sb->info.nr_blocks <= ERA_MAX_DATA_BLOCKS &&
	       sb->info.nr_blocks <= nr_metadata_blocks * array_max_entries(sizeof(uint32_t));
}

static int take_hints(struct superblock *sb, const struct find_hints *hints, bool found,
		      uint64_t nr_metadata_blocks, const struct report *report)
{
	struct stream_info *info = &sb->info;
	struct stream_info known = {.nr_blocks = 0, .data_block_size = info->data_block_size};
	struct damage damage = {.what = NULL};
	bool no_size = !found || !superblock_check_sizes(&known, &damage);
	bool no_nr_blocks = !found || !can_be_tracked(sb, nr_metadata_blocks);
	int r = take_hint(&info->data_block_size, hints->data_block_size, no_size,
			  "data block size", report);

	if (!r)
		r = take_hint(&info->nr_blocks, hints->nr_blocks, no_nr_blocks,
			      "number of data blocks", report);
	if (!r && !superblock_check_sizes(info, &damage))
		r = report_error(report, PD_ERR_USAGE, "%s (%llu)", damage.what,
				 (unsigned long long)damage.found);
	return r;
}

int find_superblock(struct block_io *io, const struct find_hints *hints,
		    const struct report *report, struct found *found)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	struct superblock *sb = &found->superblocks[0];
	int r;

	*found = (struct found){.nr = 1};
	if (!block)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	r = read_superblock(io, hints, report, block, sb, &found->in_place);
	free(block);
	if (!r)
		r = take_hints(sb, hints, found->in_place, io->nr_blocks, report);
	if (!r && !superblock_uuid_is_text(&sb->info)) {
		memset(sb->info.uuid, 0, ERA_UUID_SIZE);
		report_message(report, "superblock: the uuid is lost");
	}
	if (!r && found->in_place && sb->metadata_snap)
		report_message(report, "metadata snapshot at block %llu: left out",
			       (unsigned long long)sb->metadata_snap);
	if (!r && !found->in_place)
		r = find_states(io,
				&(struct stream_info){.nr_blocks = sb->info.nr_blocks,
						      .data_block_size = sb->info.data_block_size},
				report, found);
	return r;
}
