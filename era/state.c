/* SPDX-License-Identifier: MIT */
/* Makes up states of metadata from what is on a device, and compares them. */
#include "era/state.h"
#include "era/counts.h"
#include "persistent-data/array.h"
#include "persistent-data/bitset.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdlib.h>

#define MAX_DEPTH 12	    /* nodes on the way down to an array block */
#define BLOCKS_PER_LOOK 512 /* going over all counts costs as many looks at blocks */
#define NO_NODE 0x80	    /* flag of a use: by a leaf of an array's tree */

/* Nodes that must have been there for what is counted; of each kind one may stand for many. */
enum need {
	NEED_ERA_NODE = 1,   /* of the era array's tree */
	NEED_BITS_LEAF = 2,  /* of a bitset's tree */
	NEED_TREE_NODE = 4,  /* of the writeset tree */
	NEED_COUNT_NODE = 8, /* of the tree of reference counts */
};

struct maker {
	struct scan *scan;
	struct superblock *sb;
	struct counts counts;
	uint8_t *uses;	/* of each block: what is found, with a flag */
	uint8_t *nodes; /* a block for each depth */
	uint64_t
		nr_damaged; /* blocks in use that hold nothing: the state was consistent once, perhaps */
	bool fades;	    /* the last of these are zeroes, and all is that lies behind */
	/* Why the counts are not what is found. */
	bool impossible; /* nothing that is lost explains it */
	bool unsure;	 /* not all could be looked at: anything may */
	unsigned needs,
		orphans; /* lost nodes would, enum need; named by nodes that are there still */
	uint64_t nr_lost_roots, lost_root; /* that the superblock named; one of them */
	uint64_t nr_lost_nodes;		   /* that may have been nodes, and were named by others */
	uint64_t nr_unknown,
		unknown_root; /* of trees of which all is lost that tells what they are */
};

static bool is_damaged(const struct scan *scan, uint64_t number)
{
	return scan->kinds[number] <= KIND_ZEROES;
}

static enum kind kind_at(const struct scan *scan, uint64_t number)
{
	return number < scan->nr_blocks ? scan->kinds[number] : KIND_UNREADABLE;
}

static uint8_t *node_at(const struct maker *maker, unsigned depth)
{
	return maker->nodes + (size_t)depth * METADATA_BLOCK_SIZE;
}

static unsigned nr_uses(const struct maker *maker, uint64_t number)
{
	return maker->uses[number] & (NO_NODE - 1);
}

static bool use(struct maker *maker, uint64_t number)
{
	if (!number || number >= maker->scan->nr_blocks || nr_uses(maker, number) == NO_NODE - 1)
		return false;
	maker->uses[number]++;
	return true;
}

/* number: of the index block; or of the only bitmap, whose index block is lost. */
static bool read_space_map(struct maker *maker, uint64_t number)
{
	const struct scan *scan = maker->scan;
	const struct counts *counts = &maker->counts;
	struct space_map_root *root = &maker->sb->space_map;
	uint64_t covered;

	counts_read(&maker->counts, maker->scan, number, node_at(maker, 0));
	covered = (uint64_t)counts->nr_bitmaps * SPACE_MAP_BITMAP_COUNTS;
	for (unsigned i = 0; i < counts->nr_bitmaps; i++)
		maker->nr_damaged +=
			use(maker, counts->bitmaps[i]) && is_damaged(scan, counts->bitmaps[i]);
	maker->impossible |= counts->changed;
	root->nr_allocated = counts->nr_allocated;
	if (scan->kinds[number] == KIND_BITMAP)
		return counts->whole;
	root->bitmap_root = number;
	root->nr_blocks = covered < scan->nr_blocks ? covered : scan->nr_blocks;
	maker->impossible |=
		counts->whole && (counts->of[SUPERBLOCK_BLOCK] != 1 || counts->of[number] != 1);
	return counts->whole && !maker->impossible;
}

/* What refers to what. */

static bool use_snapshot(struct maker *maker, uint64_t number)
{
	struct superblock snapshot;
	struct damage damage;

	if (maker->sb->metadata_snap ||
	    !superblock_decode(node_at(maker, 0), number, maker->scan->nr_blocks, true, &snapshot,
			       &damage))
		return false;
	maker->sb->metadata_snap = number;
	return use(maker, snapshot.writeset_tree_root) && use(maker, snapshot.era_array_root);
}

/* false: not all of it is known. */
static bool use_pointers(struct maker *maker, uint64_t number)
{
	enum kind kind = maker->scan->kinds[number];
	const uint8_t *node = node_at(maker, 0);
	bool sound = true;

	if (kind != KIND_INTERNAL && kind != KIND_WRITESETS && kind != KIND_POINTERS &&
	    kind != KIND_SUPERBLOCK)
		return true;
	if (!scan_look(maker->scan, number, node_at(maker, 0)))
		return false;
	if (kind == KIND_SUPERBLOCK)
		return use_snapshot(maker, number);
	for (unsigned i = 0; i < kind_nr_entries(node); i++) {
		uint64_t child = kind_pointer(node, kind, i);

		if (!use(maker, child))
			sound = false;
		else if (kind == KIND_POINTERS)
			maker->uses[child] |= NO_NODE;
	}
	return sound;
}

/* A child of a node of which it is known what it is; 0: there is none. */
static uint64_t known_child(const struct maker *maker, const uint8_t *node, enum kind kind)
{
	for (unsigned i = 0; i < kind_nr_entries(node); i++) {
		uint64_t child = kind_pointer(node, kind, i);

		if (child < maker->scan->nr_blocks && maker->scan->kinds[child] > KIND_ZEROES)
			return child;
	}
	return 0;
}

/* What a tree is for, by its leaves and, if it is an array's, by what these lead to. */
static enum kind kind_of_tree(const struct maker *maker, uint64_t root)
{
	enum kind kind = maker->scan->kinds[root];

	for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
		if (kind != KIND_INTERNAL && kind != KIND_POINTERS)
			return kind;
		if (!scan_look(maker->scan, root, node_at(maker, 0)))
			return KIND_UNKNOWN;
		root = known_child(maker, node_at(maker, 0), kind);
		kind = maker->scan->kinds[root];
	}
	return KIND_UNKNOWN;
}

/* Array blocks. */

struct blocks {
	uint64_t nr;	  /* that there should be, ... */
	uint64_t *blocks; /* ... to be listed here; NULL: they are not wanted */
	uint64_t next;	  /* index of the one whose turn it is */
	uint64_t sum;
	uint32_t latest;
	bool gaps;	/* in the indexes, or a block that is not full with one behind it */
	bool full;	/* the one before */
	bool lost;	/* not all of them can be read, */
	bool lost_node; /* nor is it known how many there are */
};

static unsigned value_size(enum kind kind)
{
	return kind == KIND_ERAS ? sizeof(uint32_t) : sizeof(uint64_t);
}

static void take_block(const struct maker *maker, struct blocks *blocks, enum kind kind,
		       uint64_t index, uint64_t number)
{
	const struct scan *scan = maker->scan;

	blocks->gaps |= index != blocks->next || (index && !blocks->full);
	blocks->next = index + 1;
	blocks->full = true;
	if (scan->kinds[number] == kind) {
		blocks->full = scan->lengths[number] == array_max_entries(value_size(kind));
		blocks->sum += scan->sums[number];
		if (scan->latest[number] > blocks->latest)
			blocks->latest = scan->latest[number];
	} else {
		blocks->lost = true;
	}
	if (blocks->blocks && index < blocks->nr)
		blocks->blocks[index] = number;
}

/* It stands for all the array blocks that it led to. */
static void take_lost_node(struct blocks *blocks, uint64_t index, uint64_t number)
{
	blocks->lost = blocks->lost_node = true;
	if (blocks->blocks && index < blocks->nr)
		blocks->blocks[index] = number;
}

/* The array blocks below a node, which are to be of one kind. That trees end has been seen to. */
static void take_blocks(const struct maker *maker, struct blocks *blocks, enum kind kind,
			uint64_t root, unsigned depth)
{
	uint8_t *node = node_at(maker, depth);
	enum kind node_kind = kind_at(maker->scan, root);

	if (depth == MAX_DEPTH - 1 || (node_kind != KIND_INTERNAL && node_kind != KIND_POINTERS) ||
	    !scan_look(maker->scan, root, node)) {
		blocks->lost = true;
		return;
	}
	for (unsigned i = 0; i < kind_nr_entries(node); i++) {
		uint64_t child = kind_pointer(node, node_kind, i);

		if (child >= maker->scan->nr_blocks)
			blocks->lost = true;
		else if (node_kind == KIND_INTERNAL && is_damaged(maker->scan, child))
			take_lost_node(blocks, kind_key(node, i), child);
		else if (node_kind == KIND_INTERNAL)
			take_blocks(maker, blocks, kind, child, depth + 1);
		else
			take_block(maker, blocks, kind, kind_key(node, i), child);
	}
}

/* What the superblock named. */

static void take_root(struct maker *maker, uint64_t *root, uint64_t number, enum need otherwise)
{
	if (*root)
		maker->needs |= otherwise;
	else
		*root = number;
}

/* If a metadata snapshot's superblock is lost, its array is there as well, which is never the later one. */
static void take_array(struct maker *maker, uint64_t number)
{
	uint64_t *root = &maker->sb->era_array_root;
	struct blocks before = {.nr = 0}, here = {.nr = 0};

	if (*root) {
		take_blocks(maker, &before, KIND_ERAS, *root, 0);
		take_blocks(maker, &here, KIND_ERAS, number, 0);
		maker->needs |= NEED_ERA_NODE;
	}
	if (!*root || here.sum > before.sum)
		*root = number;
}

/* A block that is counted once more than it is used: the superblock named it, or a node that is lost. */
static void place_root(struct maker *maker, uint64_t number)
{
	struct superblock *sb = maker->sb;

	if (maker->scan->kinds[number] == KIND_ERAS) {
		maker->orphans |= NEED_ERA_NODE;
		return;
	}
	if (maker->scan->kinds[number] == KIND_WORDS) {
		maker->orphans |= NEED_BITS_LEAF;
		return;
	}
	switch (kind_of_tree(maker, number)) {
	case KIND_WRITESETS:
		take_root(maker, &sb->writeset_tree_root, number, NEED_TREE_NODE);
		break;
	case KIND_ERAS:
		take_array(maker, number);
		break;
	case KIND_WORDS:
		take_root(maker, &sb->writeset_root, number, NEED_TREE_NODE);
		break;
	case KIND_REF_COUNTS:
		take_root(maker, &sb->space_map.ref_count_root, number, NEED_COUNT_NODE);
		break;
	case KIND_SUPERBLOCK:
	case KIND_INDEX:
	case KIND_BITMAP:
		maker->impossible |=
			number != sb->space_map.bitmap_root && number != sb->metadata_snap;
		break;
	default:
		maker->nr_unknown++;
		maker->unknown_root = number;
		break;
	}
}

/* A bitmap whose index block is in use as well makes no state of its own. */
static bool has_index(const struct maker *maker)
{
	for (uint64_t i = 1; i < maker->scan->nr_blocks; i++)
		if (maker->counts.of[i] && maker->scan->kinds[i] == KIND_INDEX)
			return true;
	return false;
}

static void use_all(struct maker *maker)
{
	for (uint64_t i = 1; i < maker->scan->nr_blocks; i++)
		if (maker->counts.of[i])
			maker->unsure |= !use_pointers(maker, i);
}

static void place(struct maker *maker, uint64_t number)
{
	unsigned count = maker->counts.of[number], uses = nr_uses(maker, number);
	bool damaged = is_damaged(maker->scan, number);

	if (count < uses) {
		maker->impossible |= count < COUNT_MAX;
		maker->unsure = true;
	} else if (damaged && count > uses) {
		maker->nr_lost_roots++;
		maker->lost_root = number;
	} else if (damaged && !(maker->uses[number] & NO_NODE)) {
		maker->nr_lost_nodes++;
	}
	maker->nr_damaged += damaged;
	maker->fades |=
		number >= maker->scan->sound_end && maker->scan->kinds[number] == KIND_ZEROES;
	for (; !damaged && count > uses; count--)
		place_root(maker, number);
}

/* By what else there is, it can be one thing only. */
static void place_rest(struct maker *maker)
{
	struct superblock *sb = maker->sb;
	struct space_map_root *map = &sb->space_map;
	uint64_t nr_missing = (uint64_t)!map->bitmap_root + !map->ref_count_root;

	if (maker->nr_unknown == 1)
		take_root(maker, sb->era_array_root ? &sb->writeset_root : &sb->era_array_root,
			  maker->unknown_root, NEED_TREE_NODE);
	maker->unsure |= maker->nr_unknown > 1;
	if (!sb->writeset_tree_root)
		maker->needs |= NEED_TREE_NODE;
	if (!sb->era_array_root)
		maker->needs |= NEED_ERA_NODE;
	maker->impossible |= maker->nr_lost_roots < nr_missing;
	/* Those of the space map can be done without. */
	if (maker->needs || maker->nr_lost_roots != nr_missing)
		return;
	maker->nr_lost_roots = 0;
	if (!map->bitmap_root)
		map->bitmap_root = maker->lost_root;
	else if (!map->ref_count_root)
		map->ref_count_root = maker->lost_root;
}

static void find_roots(struct maker *maker, uint64_t number)
{
	if (!read_space_map(maker, number)) {
		maker->unsure = true;
		return;
	}
	use_all(maker);
	for (uint64_t i = 1; i < maker->scan->nr_blocks; i++)
		if (maker->counts.of[i] || maker->uses[i])
			place(maker, i);
	maker->impossible |= !maker->sb->space_map.bitmap_root && has_index(maker);
	place_rest(maker);
}

/* Whether all roots are known; what is lost below them shows when the trees are walked. */
static bool knows_roots(const struct maker *maker)
{
	return !maker->impossible && !maker->unsure && !maker->needs && !maker->nr_lost_roots &&
	       (unsigned)__builtin_popcount(maker->orphans) <= maker->nr_lost_nodes;
}

/* Whether a state of which not all roots are known can have been consistent once. */
static bool is_explained(const struct maker *maker)
{
	unsigned needs = maker->needs | maker->orphans;
	uint64_t nr_needed = (uint64_t)__builtin_popcount(needs);

	/* A metadata snapshot's superblock named two of these. */
	if (needs & NEED_ERA_NODE && needs & NEED_TREE_NODE && !maker->sb->metadata_snap)
		nr_needed--;
	return maker->nr_damaged && !maker->impossible &&
	       (maker->unsure || nr_needed <= maker->nr_lost_nodes + maker->nr_lost_roots);
}

/* What the state says. */

/* Sums of these differ where what they are made of does, but for a chance of one in 2^64. */
static uint64_t mix(uint64_t era, uint64_t root)
{
	uint64_t x = (era << 32 ^ root) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

static void take_writesets(const struct maker *maker, struct state *state, uint64_t root,
			   unsigned depth)
{
	uint8_t *node = node_at(maker, depth);
	enum kind kind = kind_at(maker->scan, root);

	if (depth == MAX_DEPTH / 2 || (kind != KIND_INTERNAL && kind != KIND_WRITESETS) ||
	    !scan_look(maker->scan, root, node)) {
		state->writesets_lost = true;
		return;
	}
	for (unsigned i = 0; i < kind_nr_entries(node); i++) {
		uint64_t child = kind_pointer(node, kind, i);
		struct blocks bits = {.nr = 0};

		if (kind == KIND_INTERNAL) {
			take_writesets(maker, state, child, depth + 1);
			continue;
		}
		take_blocks(maker, &bits, KIND_WORDS, child, depth + 1);
		if (bits.sum || bits.lost)
			state->writesets += mix(kind_key(node, i), child);
	}
}

/* Whether the last array block has the entries that it should, if it can be read. */
static bool has_right_end(const struct maker *maker, const struct state *state, uint32_t nr_blocks)
{
	uint64_t last = state->nr_array_blocks - 1;
	uint64_t number = nr_blocks ? state->array_blocks[last] : 0;

	if (!nr_blocks)
		return true;
	return number && (maker->scan->kinds[number] != KIND_ERAS ||
			  maker->scan->lengths[number] ==
				  nr_blocks - last * array_max_entries(sizeof(uint32_t)));
}

static bool read_state(const struct maker *maker, struct state *state, uint32_t nr_blocks)
{
	const struct superblock *sb = &state->superblock;
	struct blocks eras = {.nr = state->nr_array_blocks, .blocks = state->array_blocks};
	struct blocks bits = {.nr = state->nr_bit_blocks, .blocks = state->bit_blocks};

	if (sb->era_array_root)
		take_blocks(maker, &eras, KIND_ERAS, sb->era_array_root, 0);
	state->latest = eras.latest;
	state->damaged |= eras.gaps && !eras.lost_node;
	/* That of another time: the device was larger or smaller then. */
	if (!state->damaged && !eras.lost_node &&
	    (eras.next != eras.nr || !has_right_end(maker, state, nr_blocks)))
		return false;
	if (sb->writeset_tree_root)
		take_writesets(maker, state, sb->writeset_tree_root, 0);
	if (sb->writeset_root)
		take_blocks(maker, &bits, KIND_WORDS, sb->writeset_root, 0);
	state->writesets_lost |= bits.lost;
	return true;
}

static bool pay(struct scan *scan)
{
	uint64_t cost = scan->nr_blocks / BLOCKS_PER_LOOK + 1;

	scan->looks_left -= cost < scan->looks_left ? cost : scan->looks_left;
	return scan->looks_left;
}

static bool make_state(struct maker *maker, struct state *state, uint64_t number)
{
	find_roots(maker, number);
	state->damaged = !knows_roots(maker);
	/* Otherwise, blocks were put to another use since. */
	if (state->damaged && !is_explained(maker))
		return false;
	state->nr_damaged = maker->nr_damaged;
	state->fades = maker->fades;
	state->has_last = maker->counts.of[maker->scan->last_used];
	state->cut_short = maker->counts.nr_covered > maker->scan->nr_blocks;
	return read_state(maker, state, state->superblock.info.nr_blocks);
}

static int begin(struct maker *maker, struct state *state, struct scan *scan,
		 const struct superblock *sb)
{
	*state = (struct state){.superblock = *sb};
	*maker = (struct maker){.scan = scan, .sb = &state->superblock};
	state->nr_array_blocks = array_nr_blocks(sb->info.nr_blocks, sizeof(uint32_t));
	state->array_blocks = calloc(state->nr_array_blocks + 1, sizeof(*state->array_blocks));
	state->nr_bit_blocks =
		array_nr_blocks(bitset_nr_words(sb->info.nr_blocks), sizeof(uint64_t));
	state->bit_blocks = calloc(state->nr_bit_blocks + 1, sizeof(*state->bit_blocks));
	maker->counts.of = calloc(scan->nr_blocks, sizeof(*maker->counts.of));
	maker->uses = calloc(scan->nr_blocks, sizeof(*maker->uses));
	maker->nodes = aligned_alloc(METADATA_BLOCK_SIZE, (size_t)MAX_DEPTH * METADATA_BLOCK_SIZE);
	return state->array_blocks && state->bit_blocks && maker->counts.of && maker->uses &&
			       maker->nodes
		       ? PD_OK
		       : PD_ERR_NO_MEMORY;
}

static void end(struct maker *maker)
{
	free(maker->counts.of);
	free(maker->uses);
	free(maker->nodes);
}

bool state_make(struct state *state, struct scan *scan, uint64_t number,
		const struct stream_info *info, int *error)
{
	struct superblock sb = {.info = *info, .writeset_bits = info->nr_blocks};
	struct maker maker;
	bool sound = false;
	int r = begin(&maker, state, scan, &sb);

	if (r)
		*error = r;
	else
		sound = pay(scan) && make_state(&maker, state, number);
	end(&maker);
	return sound;
}

int state_make_named(struct state *state, struct scan *scan, const struct superblock *sb)
{
	struct maker maker;
	int r = begin(&maker, state, scan, sb);

	if (!r)
		state->damaged = !read_state(&maker, state, sb->info.nr_blocks);
	end(&maker);
	return r;
}

void state_destroy(struct state *state)
{
	free(state->array_blocks);
	free(state->bit_blocks);
	state->array_blocks = state->bit_blocks = NULL;
}
