/* SPDX-License-Identifier: MIT */
/* Finds what a superblock names, if need be without one. */
#include "era/find.h"
#include "era/astray.h"
#include "era/scan.h"
#include "persistent-data/array.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ASTRAY 1 /* with which the superblock's numbers are still believed */

static int lost(const struct report *report, const struct find_hints *hints, int error)
{
	if (hints->nr_blocks && hints->data_block_size)
		return PD_OK;
	return report_error(report, error,
			    "superblock: lost; to go on, the number of data blocks and their size "
			    "must be given");
}

/*
 * How many blocks a superblock names that are sound and something else. It is not of this device or not of
 * this time, unless one of its pointers was changed.
 */
static unsigned count_astray(struct block_io *io, uint8_t *block, const struct superblock *sb)
{
	const struct {
		uint64_t root;
		unsigned kinds;
	} roots[] = {
		{sb->writeset_tree_root, ASTRAY_ROOT(KIND_WRITESETS)},
		{sb->era_array_root, ASTRAY_ROOT(KIND_POINTERS)},
		{sb->space_map.ref_count_root, ASTRAY_ROOT(KIND_REF_COUNTS)},
		{sb->writeset_root, ASTRAY_ROOT(KIND_POINTERS)},
		{sb->metadata_snap, ASTRAY_KIND(KIND_SUPERBLOCK)},
		{sb->space_map.bitmap_root, ASTRAY_KIND(KIND_INDEX)},
	};
	unsigned nr_astray = 0;

	for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		nr_astray += roots[i].root && astray_is(io, block, roots[i].root, roots[i].kinds);
	return nr_astray;
}

/* What the superblock is good for. */
struct standing {
	bool there;	    /* it is sound: what it names can be looked at */
	bool known;	    /* and its numbers mean what they should */
	unsigned nr_astray; /* roots that lead astray; */
	bool astray;	    /* so many that it cannot be looked at */
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
	standing->nr_astray = count_astray(io, block, sb);
	standing->astray = standing->nr_astray > MAX_ASTRAY;
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
	bool no_nr_blocks = !known || !can_be_tracked(sb, nr_metadata_blocks);
	/* Where the one cannot be, the other may be as wrong. */
	bool no_size = !superblock_check_sizes(&sizes, &damage) ||
		       (no_nr_blocks && (!known || hints->data_block_size));
	int r = take_hint(&info->data_block_size, hints->data_block_size, no_size,
			  "data block size", report);

	no_nr_blocks |= hints->nr_blocks && !info->nr_blocks;
	if (!r)
		r = take_hint(&info->nr_blocks, hints->nr_blocks, no_nr_blocks,
			      "number of data blocks", report);
	if (!r && !superblock_check_sizes(info, &damage))
		r = report_error(report, PD_ERR_USAGE, "%s (%llu)", damage.what,
				 (unsigned long long)damage.found);
	return r;
}

/* One that does not know of an era that had begun is not the latest. */
static void take_era(struct found *found, const struct find_hints *hints,
		     const struct report *report)
{
	struct stream_info *info = &found->superblocks[0].info;

	found->outdated = hints->current_era > info->current_era;
	if (!found->outdated)
		return;
	report_message(report, "superblock: current era %u, but era %u had begun: taken for that",
		       info->current_era, hints->current_era);
	info->current_era = hints->current_era;
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
	return latest_find(io, &info, astray, report, found);
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
	found->era_hinted = hints->current_era;
	if (!found->in_place)
		return find_instead(io, hints, standing.astray, report, found);
	take_era(found, hints, report);
	found->outdated |= standing.nr_astray > 0;
	if (!superblock_uuid_is_text(&sb->info)) {
		memset(sb->info.uuid, 0, ERA_UUID_SIZE);
		report_message(report, "superblock: the uuid is lost");
	}
	if (sb->metadata_snap)
		report_message(report, "metadata snapshot at block %llu: left out",
			       (unsigned long long)sb->metadata_snap);
	return PD_OK;
}
