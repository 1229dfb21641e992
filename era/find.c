/* SPDX-License-Identifier: MIT */
/* Finds what a superblock names, if need be without one. */
#include "era/find.h"
#include "era/state_order.h"
#include "era/successor.h"
#include "persistent-data/array.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ASTRAY 1 /* roots of a superblock that can be damaged themselves */

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

static int find_latest(struct finder *finder, const struct stream_info *info)
{
	struct scan *scan = &finder->scan;
	int error = PD_OK;

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
		finder->followed |= state_has_successor(scan, &finder->states[i],
							finder->consistent, &error);
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

static int finder_make(struct finder *finder, struct block_io *io)
{
	int r = scan_make(&finder->scan, io);

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

static int find_states(struct block_io *io, struct stream_info *info, bool astray,
		       const struct report *report, struct found *found)
{
	struct finder finder = {.astray = astray};
	int r = finder_make(&finder, io);

	if (!r && !astray)
		r = find_latest(&finder, info);
	if (!r)
		take_found(&finder, info, found, report);
	else
		report_message(report, "%s", pd_error_text(r));
	finder_destroy(&finder);
	return r;
}

static int compare_named(struct finder *finder, const struct superblock *sb, bool *later)
{
	struct state named;
	int r = state_make_named(&named, &finder->scan, sb);

	for (unsigned i = 0; !r && i < finder->nr; i++)
		*later |= state_compare(&finder->scan, &named, &finder->states[i]) ==
			  STATE_EARLIER;
	state_destroy(&named);
	return r;
}

int find_later_state(struct block_io *io, const struct superblock *sb, bool *later)
{
	struct finder finder = {.nr = 0};
	int r = finder_make(&finder, io);

	*later = false;
	if (!r)
		r = find_latest(&finder, &sb->info);
	if (!r && finder.nr && knows_latest(&finder))
		r = compare_named(&finder, sb, later);
	finder_destroy(&finder);
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

static bool is_root_of(enum kind kind, enum kind leaf)
{
	return kind == KIND_INTERNAL || kind == leaf;
}

/* Whether a root is sound, and not of what it should be; behind the end of what there is, if so. */
static bool is_astray(struct block_io *io, uint8_t *block, uint64_t root, enum kind leaf)
{
	enum kind kind;

	if (root >= io->nr_blocks || block_io_read(io, root, 1, block))
		return false;
	kind = block_kind(block, root);
	return kind > KIND_ZEROES && !is_root_of(kind, leaf);
}

/*
 * Damage takes a block away, and does not put another one in its place. So a superblock that names what
 * is sound and something else is not of this device or not of this time, unless it is damaged itself.
 */
static bool leads_astray(struct block_io *io, uint8_t *block, const struct superblock *sb)
{
	const struct {
		uint64_t root;
		enum kind leaf;
	} roots[] = {
		{sb->writeset_tree_root, KIND_WRITESETS},
		{sb->era_array_root, KIND_POINTERS},
		{sb->space_map.ref_count_root, KIND_REF_COUNTS},
		{sb->writeset_root, KIND_POINTERS},
		{sb->metadata_snap, KIND_SUPERBLOCK},
		{sb->space_map.bitmap_root, KIND_INDEX},
	};
	unsigned nr_astray = 0;

	for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		nr_astray += roots[i].root && is_astray(io, block, roots[i].root, roots[i].leaf);
	return nr_astray > MAX_ASTRAY;
}

/* What the superblock is good for. */
struct standing {
	bool there;  /* it is sound: what it names can be looked at */
	bool known;  /* and its numbers mean what they should */
	bool astray; /* it is sound, but of another device or time */
};

static int judge_superblock(struct block_io *io, const struct find_hints *hints,
			    const struct report *report, uint8_t *block, struct superblock *sb,
			    struct standing *standing)
{
	struct damage damage;

	if (!superblock_decode(block, SUPERBLOCK_BLOCK, io->nr_blocks, false, sb, &damage))
		report_message(report, "superblock: %s (%llu, expected %llu)", damage.what,
			       (unsigned long long)damage.found,
			       (unsigned long long)damage.expected);
	standing->known = superblock_has_our_version(block);
	standing->astray = leads_astray(io, block, sb);
	standing->there = !standing->astray;
	standing->known &= standing->there;
	if (standing->astray)
		report_message(report, "superblock: names blocks that are something else: it is of "
				       "another device or time");
	return standing->known ? PD_OK : lost(report, hints, PD_ERR_CORRUPT);
}

static int read_superblock(struct block_io *io, const struct find_hints *hints,
			   const struct report *report, uint8_t *block, struct superblock *sb,
			   struct standing *standing)
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
	if (superblock_decode_loosely(block, sb, &damage))
		return judge_superblock(io, hints, report, block, sb, standing);
	mistaken = superblock_mistaken(block);
	report_message(report, "superblock: %s", mistaken ? mistaken : damage.what);
	return lost(report, hints, mistaken ? PD_ERR_UNSUPPORTED : PD_ERR_CORRUPT);
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

static int take_hints(struct superblock *sb, const struct find_hints *hints, bool known,
		      uint64_t nr_metadata_blocks, const struct report *report)
{
	struct stream_info *info = &sb->info;
	struct stream_info sizes = {.nr_blocks = 0, .data_block_size = info->data_block_size};
	struct damage damage = {.what = NULL};
	bool no_size = !known || !superblock_check_sizes(&sizes, &damage);
	bool no_nr_blocks = !known || !can_be_tracked(sb, nr_metadata_blocks) ||
			    (hints->nr_blocks && !info->nr_blocks);
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

/* One that was in use by the time that the hint is from. */
static void take_era(struct superblock *sb, const struct find_hints *hints,
		     const struct report *report)
{
	if (hints->current_era <= sb->info.current_era)
		return;
	report_message(report, "superblock: current era %u, but era %u had begun: taken for that",
		       sb->info.current_era, hints->current_era);
	sb->info.current_era = hints->current_era;
}

/* What is left if the superblock is lost. */
static int find_instead(struct block_io *io, const struct find_hints *hints, bool astray,
			const struct report *report, struct found *found)
{
	struct stream_info *last = &found->superblocks[0].info;
	struct stream_info info = {.nr_blocks = last->nr_blocks,
				   .data_block_size = last->data_block_size,
				   .current_era = hints->current_era};

	/* Of another time it may be right that far. */
	if (astray && last->current_era > info.current_era &&
	    last->current_era < LAST_PLAUSIBLE_ERA)
		info.current_era = last->current_era;
	return find_states(io, &info, astray, report, found);
}

int find_superblock(struct block_io *io, const struct find_hints *hints,
		    const struct report *report, struct found *found)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	struct superblock *sb = &found->superblocks[0];
	struct standing standing = {.there = false};
	int r;

	*found = (struct found){.nr = 1};
	if (!block)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	r = read_superblock(io, hints, report, block, sb, &standing);
	free(block);
	if (!r)
		r = take_hints(sb, hints, standing.known, io->nr_blocks, report);
	if (r)
		return r;
	found->in_place = standing.there;
	found->era_known = standing.there || hints->current_era;
	if (!found->in_place)
		return find_instead(io, hints, standing.astray, report, found);
	take_era(sb, hints, report);
	if (!superblock_uuid_is_text(&sb->info)) {
		memset(sb->info.uuid, 0, ERA_UUID_SIZE);
		report_message(report, "superblock: the uuid is lost");
	}
	if (sb->metadata_snap)
		report_message(report, "metadata snapshot at block %llu: left out",
			       (unsigned long long)sb->metadata_snap);
	return PD_OK;
}
