/* SPDX-License-Identifier: MIT */
/* Walks all trees of one superblock. */
#include "era/trees.h"
#include "persistent-data/bitset.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/sweep.h"
#include "persistent-data/vector.h"

struct walk {
	struct metadata *metadata;
	const struct superblock *superblock;
	uint64_t block; /* where the superblock stands */
	bool snapshot;
	const struct trees_visitor *visitor;
	enum structure structure; /* that is being walked, */
	uint32_t era;		  /* and if it is a writeset, whose */
	struct sink *sink;	  /* that takes its data; NULL: none */
	struct sweep *sweep;	  /* that walks arrays; NULL: they are walked one by one */
};

/* A writeset as the writeset tree or the superblock names it. */
struct writeset {
	uint64_t era; /* too large in damaged metadata */
	uint32_t nr_bits;
	uint64_t root;
	uint64_t parent; /* the block that says so */
	bool parent_shared;
};

static int tell(struct walk *walk, const struct damage *damage, enum affected affected)
{
	struct finding finding = finding_make(walk->structure, damage, affected);

	finding.snapshot = walk->snapshot;
	finding.era = walk->era;
	return walk->visitor->finding(walk->visitor->context, &finding);
}

/* Writesets. */

static int writeset_words(void *context, uint64_t first_word, unsigned n, const uint64_t *words)
{
	struct walk *walk = context;

	return walk->sink ? walk->sink->ops->writeset_words(walk->sink, first_word, words, n)
			  : PD_OK;
}

/* A writeset may have more bits than there are data blocks: those affect nobody. */
static int writeset_lost(void *context, const struct damage *damage)
{
	struct walk *walk = context;
	uint32_t nr_blocks = walk->superblock->info.nr_blocks;
	struct damage clipped = *damage;

	if (clipped.end > nr_blocks)
		clipped.end = nr_blocks;
	return tell(walk, &clipped, AFFECTS_DATA_BLOCKS);
}

/* Arrays that are swept have a tag: a bitset's era, and behind it its number of bits. */

static int sweep_bits(struct walk *walk, const struct writeset *writeset)
{
	struct array words = {.root = writeset->root,
			      .value_size = sizeof(uint64_t),
			      .nr_entries = bitset_nr_words(writeset->nr_bits),
			      .parent = writeset->parent,
			      .parent_shared = writeset->parent_shared};

	return sweep_add(walk->sweep, &words, (uint64_t)walk->era << 32 | writeset->nr_bits);
}

/* A piece of a writeset. */
static int swept_words(struct walk *walk, const struct array *array, uint64_t tag, uint64_t first,
		       unsigned n, const uint8_t *values)
{
	uint64_t copy[METADATA_BLOCK_SIZE / sizeof(uint64_t)];
	const uint64_t *words = see_le64_array(values, n, copy);
	struct sink *sink = walk->sink;
	uint32_t nr_bits = (uint32_t)tag;
	int r;

	if (first + n == array->nr_entries && words[n - 1] & ~bitset_last_mask(nr_bits))
		return PD_ERR_CORRUPT;
	if (!sink)
		return PD_OK;
	r = sink->ops->writeset_begin(sink, (uint32_t)(tag >> 32), nr_bits);
	if (!r)
		r = sink->ops->writeset_words(sink, first, words, n);
	return r ? r : sink->ops->writeset_end(sink);
}

static int walk_bits(struct walk *walk, const struct writeset *writeset)
{
	struct block_reader *reader = &walk->metadata->bitset_reader;
	struct bitset bitset = {writeset->root,		 writeset->nr_bits,    writeset->parent,
				writeset->parent_shared, walk->visitor->begin, walk->visitor->end};
	struct bitset_visitor visitor = {walk, writeset_words, writeset_lost};
	struct sink *sink = walk->sink;
	int r = PD_OK;

	if (walk->sweep)
		return sweep_bits(walk, writeset);
	if (sink)
		r = sink->ops->writeset_begin(sink, walk->era, writeset->nr_bits);
	if (!r)
		r = bitset_walk(reader, &bitset, &visitor);
	return r || !sink ? r : sink->ops->writeset_end(sink);
}

/* The last era that is over: none behind it has a writeset in the tree, or is in the era array. */
static uint32_t last_era_over(const struct walk *walk)
{
	const struct superblock *sb = walk->superblock;

	/* The era that a snapshot began has no writeset in it, nor has one that is going on. */
	if (sb->info.current_era && (walk->snapshot || sb->writeset_root))
		return sb->info.current_era - 1;
	return sb->info.current_era;
}

static bool check_writeset(const struct walk *walk, const struct writeset *writeset,
			   struct damage *damage)
{
	damage->loses_references = writeset->nr_bits > ERA_MAX_DATA_BLOCKS;
	if (writeset->era > last_era_over(walk))
		return damage_is_number(damage, "writeset of an era that is not over",
					writeset->era, last_era_over(walk));
	if (damage->loses_references)
		return damage_is_number(damage, "writeset with more bits than the format allows",
					writeset->nr_bits, ERA_MAX_DATA_BLOCKS);
	return true;
}

static int walk_writeset(struct walk *walk, const struct writeset *writeset)
{
	struct damage damage = {.block = writeset->parent,
				.error = PD_ERR_CORRUPT,
				.begin = 0,
				.end = walk->superblock->info.nr_blocks};

	walk->structure = STRUCTURE_WRITESET;
	walk->era = writeset->era < UINT32_MAX ? (uint32_t)writeset->era : UINT32_MAX;
	walk->sink = walk->visitor->sink;
	if (!check_writeset(walk, writeset, &damage)) {
		int r = tell(walk, &damage, AFFECTS_DATA_BLOCKS);

		if (r || damage.loses_references)
			return r;
	}
	return walk_bits(walk, writeset);
}

static int writeset_leaf(void *context, const struct btree_leaf *leaf)
{
	struct walk *walk = context;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < leaf->nr_entries; i++) {
		const uint8_t *value = leaf->values + (size_t)i * WRITESET_VALUE_SIZE;
		struct writeset writeset = {leaf->keys[i], get_le32(value), get_le64(value + 4),
					    leaf->block, leaf->shared};

		r = walk_writeset(walk, &writeset);
	}
	return r;
}

static int writesets_lost(void *context, const struct damage *damage)
{
	struct walk *walk = context;

	walk->structure = STRUCTURE_WRITESET_TREE;
	return tell(walk, damage, AFFECTS_ERAS);
}

static int walk_writeset_tree(struct walk *walk)
{
	struct btree tree = {walk->superblock->writeset_tree_root, WRITESET_VALUE_SIZE,
			     (uint64_t)last_era_over(walk) + 1, walk->block, false};
	struct btree_visitor visitor = {walk, writeset_leaf, writesets_lost};

	return btree_walk(&walk->metadata->reader, &tree, &visitor);
}

static int walk_current_writeset(struct walk *walk)
{
	const struct superblock *sb = walk->superblock;
	struct writeset writeset = {sb->info.current_era, sb->writeset_bits, sb->writeset_root,
				    walk->block, false};

	walk->structure = STRUCTURE_CURRENT_WRITESET;
	walk->era = sb->info.current_era;
	walk->sink = walk->visitor->sink;
	return walk_bits(walk, &writeset);
}

/* The era array. */

/* Values that cannot be, from the i-th on: tells of one run of them, and sets i past it. */
static int tell_impossible(struct walk *walk, uint64_t first, const uint32_t *eras, unsigned n,
			   uint64_t block, unsigned *i)
{
	uint32_t last = last_era_over(walk);
	struct damage damage = {.block = block, .error = PD_ERR_CORRUPT, .begin = first + *i};

	damage_is_number(&damage, "era that is not over", eras[*i], last);
	while (*i < n && eras[*i] > last)
		(*i)++;
	damage.end = first + *i;
	return tell(walk, &damage, AFFECTS_DATA_BLOCKS);
}

/* Hands on a batch of which some values are impossible, without these. */
static int possible_eras(struct walk *walk, uint64_t first, const uint32_t *eras, unsigned n,
			 uint64_t block)
{
	uint32_t last = last_era_over(walk);
	unsigned i = 0;
	int r = PD_OK;

	while (!r && i < n) {
		unsigned begin = i;

		while (i < n && eras[i] <= last)
			i++;
		if (walk->sink && i > begin)
			r = walk->sink->ops->eras(walk->sink, (uint32_t)(first + begin),
						  eras + begin, i - begin);
		if (!r && i < n)
			r = tell_impossible(walk, first, eras, n, block, &i);
	}
	return r;
}

VECTOR_LOOP static bool any_above(const uint32_t *eras, unsigned n, uint32_t limit)
{
	uint32_t above = 0;

	for (unsigned i = 0; i < n; i++)
		above |= eras[i] > limit;
	return above;
}

static int eras_entries(void *context, uint64_t first, unsigned n, const uint8_t *values,
			uint64_t block)
{
	struct walk *walk = context;
	uint32_t copy[ERAS_PER_BLOCK];
	const uint32_t *eras = see_le32_array(values, n, copy);

	if (any_above(eras, n, last_era_over(walk)))
		return possible_eras(walk, first, eras, n, block);
	return walk->sink ? walk->sink->ops->eras(walk->sink, (uint32_t)first, eras, n) : PD_OK;
}

static int eras_lost(void *context, const struct damage *damage)
{
	return tell(context, damage, AFFECTS_DATA_BLOCKS);
}

static int walk_era_array(struct walk *walk)
{
	struct array array = {.root = walk->superblock->era_array_root,
			      .value_size = sizeof(uint32_t),
			      .nr_entries = walk->superblock->info.nr_blocks,
			      .parent = walk->block,
			      .begin = walk->visitor->begin,
			      .end = walk->visitor->end};
	struct array_visitor visitor = {walk, eras_entries, eras_lost};

	walk->structure = STRUCTURE_ERA_ARRAY;
	walk->sink = walk->visitor->sink;
	if (walk->sweep)
		return sweep_add(walk->sweep, &array, 0);
	return array_walk(&walk->metadata->bitset_reader, &array, &visitor);
}

static int walk_trees(struct walk *walk)
{
	int r;

	walk->block = walk->snapshot ? walk->metadata->live.metadata_snap : SUPERBLOCK_BLOCK;
	ref_counts_begin_pass(&walk->metadata->refs);
	r = walk_writeset_tree(walk);

	/* The current writeset of a snapshot is not held for it: see metadata.h. */
	if (!r && !walk->snapshot && walk->superblock->writeset_root)
		r = walk_current_writeset(walk);
	return r ? r : walk_era_array(walk);
}

int trees_walk(struct metadata *metadata, const struct superblock *superblock, bool snapshot,
	       const struct trees_visitor *visitor)
{
	struct walk walk = {.metadata = metadata,
			    .superblock = superblock,
			    .snapshot = snapshot,
			    .visitor = visitor};

	return walk_trees(&walk);
}

/* Sweeping. */

static int swept_entries(void *context, const struct array *array, uint64_t tag, uint64_t first,
			 unsigned n, const uint8_t *values)
{
	if (array->value_size == sizeof(uint32_t))
		return eras_entries(context, first, n, values, 0);
	return swept_words(context, array, tag, first, n, values);
}

static int give_up(void *context, const struct finding *finding)
{
	(void)context;
	(void)finding;
	return PD_ERR_CORRUPT;
}

int trees_sweep(struct metadata *metadata, const struct superblock *superblock, bool snapshot,
		struct sink *sink)
{
	struct trees_visitor visitor = {.sink = sink, .finding = give_up};
	struct walk walk = {.metadata = metadata,
			    .superblock = superblock,
			    .snapshot = snapshot,
			    .visitor = &visitor,
			    .sink = sink};
	struct sweep_visitor arrays = {&walk, swept_entries};
	int r = sweep_open(&metadata->bitset_reader, &arrays, &walk.sweep);

	if (!r)
		r = walk_trees(&walk);
	if (!r)
		r = sweep_finish(walk.sweep);
	sweep_close(walk.sweep);
	return r;
}
