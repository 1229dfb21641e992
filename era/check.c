/* SPDX-License-Identifier: MIT */
/* Checks metadata: the superblock, all trees, and the space map against all references. */
#include "era/check.h"
#include "era/trees.h"
#include "persistent-data/error.h"

struct check {
	struct metadata *metadata;
	const struct check_visitor *visitor;
	bool references_lost; /* in damaged blocks: some were never seen */
	bool leaks_untold;
};

static int tell(const struct check_visitor *visitor, struct finding finding, enum severity severity)
{
	finding.severity = severity;
	return visitor->finding(visitor->context, &finding);
}

/* The superblock: what the kernel ignores, and opening therefore lets pass. */

int superblock_check(const struct metadata *metadata, const struct check_visitor *visitor)
{
	const struct superblock *sb = &metadata->superblock;
	struct damage damage = {.block = metadata->snapshot ? metadata->live.metadata_snap
							    : SUPERBLOCK_BLOCK,
				.error = PD_ERR_CORRUPT};
	int r = PD_OK;

	if (!superblock_uuid_is_text(&sb->info)) {
		damage_is(&damage, "the uuid has bytes that XML cannot carry");
		r = tell(visitor, finding_make(STRUCTURE_SUPERBLOCK, &damage, AFFECTS_NOTHING),
			 SEVERITY_NON_FATAL);
	}
	if (!r && sb->flags & ~(uint32_t)SUPERBLOCK_FLAG_CLEAN) {
		damage_is_number(&damage, "unknown flags", sb->flags, 0);
		r = tell(visitor, finding_make(STRUCTURE_SUPERBLOCK, &damage, AFFECTS_NOTHING),
			 SEVERITY_NON_FATAL);
	}
	return r;
}

/* The trees. */

static int tree_finding(void *context, const struct finding *finding)
{
	struct check *check = context;

	check->references_lost |= finding->damage.loses_references;
	return tell(check->visitor, *finding, SEVERITY_FATAL);
}

static int check_trees(struct check *check, const struct superblock *superblock, bool snapshot,
		       struct sink *sink)
{
	struct trees_visitor visitor = {.sink = sink, .context = check, .finding = tree_finding};

	return trees_walk(check->metadata, superblock, snapshot, &visitor);
}

/* The trees of the snapshot that offline metadata holds; they may share blocks with the live ones. */
static int check_held_snapshot(struct check *check)
{
	struct metadata *metadata = check->metadata;
	struct superblock snapshot;
	struct damage damage;
	struct finding finding;
	int r = metadata_read_snapshot(metadata->io, &metadata->live, &snapshot, &damage);

	if (!r)
		return check_trees(check, &snapshot, true, NULL);
	if (r == PD_ERR_NO_MEMORY)
		return r;
	finding = finding_make(STRUCTURE_SUPERBLOCK, &damage, AFFECTS_NOTHING);
	finding.snapshot = true;
	finding.damage.loses_references = true;
	return tree_finding(check, &finding);
}

/* The space map, against the references that were counted. */

static int map_finding(struct check *check, const struct damage *damage, enum severity severity)
{
	return tell(check->visitor,
		    finding_make(STRUCTURE_SPACE_MAP, damage, AFFECTS_METADATA_BLOCKS), severity);
}

static int map_damage(void *context, const struct damage *damage)
{
	return map_finding(context, damage, SEVERITY_FATAL);
}

static int map_hint(void *context, const struct damage *damage)
{
	return map_finding(context, damage, SEVERITY_NON_FATAL);
}

static int map_mismatch(void *context, uint64_t block, uint32_t stored, uint32_t counted)
{
	struct check *check = context;
	struct damage damage = {.block = block, .error = PD_ERR_CORRUPT};
	const char *what = "count too low: the block may be overwritten while in use";

	/* Where trees are damaged, references to what lies below were not seen. */
	if (stored > counted && check->references_lost) {
		check->leaks_untold = true;
		return PD_OK;
	}
	if (stored > counted)
		what = counted ? "count too high: the block will never be freed"
			       : "leaked: counted as in use, but nothing refers to it";
	damage_is_number(&damage, what, stored, counted);
	return tell(check->visitor,
		    finding_make(STRUCTURE_REFERENCE_COUNTS, &damage, AFFECTS_NOTHING),
		    stored < counted ? SEVERITY_FATAL : SEVERITY_NON_FATAL);
}

/* Blocks behind what the space map covers: of a device that was made larger. */
static int check_uncovered(const struct check *check)
{
	const struct ref_counts *refs = &check->metadata->refs;
	struct damage damage = {.error = PD_ERR_CORRUPT};
	int r = PD_OK;

	damage_is(&damage, "in use, but past the end of the space map");
	for (uint64_t i = check->metadata->live.space_map.nr_blocks; !r && i < refs->nr_blocks;
	     i++) {
		damage.block = i;
		if (ref_counts_get(refs, i))
			r = tell(check->visitor,
				 finding_make(STRUCTURE_REFERENCE_COUNTS, &damage, AFFECTS_NOTHING),
				 SEVERITY_FATAL);
	}
	return r;
}

static int check_space_map(struct check *check)
{
	struct metadata *metadata = check->metadata;
	struct space_map_visitor visitor = {check, map_damage, map_hint, map_mismatch};
	int r = space_map_check(&metadata->bitset_reader, &metadata->live.space_map, &visitor);

	return r ? r : check_uncovered(check);
}

/* Counts from the beginning, with the references that no tree holds. */
static void begin_references(struct metadata *metadata)
{
	ref_counts_clear(&metadata->refs);
	ref_counts_add(&metadata->refs, SUPERBLOCK_BLOCK, false);
	if (metadata->live.metadata_snap)
		ref_counts_add(&metadata->refs, metadata->live.metadata_snap, false);
}

/* Whether trees are sound is found fastest in any order; what is wrong with them is told in order. */

static int sweep_trees(const struct check *check)
{
	struct metadata *metadata = check->metadata;
	struct superblock snapshot;
	struct damage damage;
	int r;

	begin_references(metadata);
	r = trees_sweep(metadata, &metadata->superblock, metadata->snapshot, check->visitor->sink);
	if (r || metadata->snapshot || !metadata->live.metadata_snap)
		return r;
	r = metadata_read_snapshot(metadata->io, &metadata->live, &snapshot, &damage);
	return r ? r : trees_sweep(metadata, &snapshot, true, NULL);
}

static int walk_trees(struct check *check)
{
	struct metadata *metadata = check->metadata;
	int r;

	begin_references(metadata);
	r = check_trees(check, &metadata->superblock, metadata->snapshot, check->visitor->sink);
	if (r || metadata->snapshot || !metadata->live.metadata_snap)
		return r;
	return check_held_snapshot(check);
}

static int check_all_trees(struct check *check)
{
	const struct sink *sink = check->visitor->sink;
	int r = PD_ERR_CORRUPT;

	if (!sink || sink->ops->any_order)
		r = sweep_trees(check);
	return r && r != PD_ERR_NO_MEMORY ? walk_trees(check) : r;
}

static int check_offline(struct check *check, const struct report *report)
{
	int r = check_all_trees(check);

	if (!r)
		r = check_space_map(check);
	if (!r && check->leaks_untold)
		report_message(report, "reference counts: leaked blocks cannot be told while trees "
				       "are damaged");
	return r;
}

int metadata_check(struct metadata *metadata, const struct check_visitor *visitor,
		   const struct report *report)
{
	struct check check = {.metadata = metadata, .visitor = visitor};
	struct sink *sink = visitor->sink;
	int r = superblock_check(metadata, visitor);

	if (!r && sink)
		r = sink->ops->begin(sink, &metadata->superblock.info);
	if (r)
		return r;
	if (!metadata->snapshot)
		return check_offline(&check, report);
	r = check_all_trees(&check);
	return r ? r : metadata_still_held(metadata, report);
}
