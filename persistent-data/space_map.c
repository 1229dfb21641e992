/* SPDX-License-Identifier: MIT */
/* Checks the space map on disk against the reference counts in memory. */
#include "persistent-data/space_map.h"
#include "persistent-data/btree.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#define INLINE_COUNT_MAX 2 /* higher counts are in the btree */
#define FRESH_EXCESS 2	   /* see check_free() */

struct index_entry {
	uint64_t block;
	uint32_t nr_free;
	uint32_t none_free_before;
};

struct check {
	struct block_reader *reader;
	const struct space_map_root *root;
	const struct space_map_visitor *visitor;
	bool exact_bad; /* the btree of exact counts has damage */
	bool comparing; /* the second walk of the btree: all references are counted by now */
	unsigned nr_bitmaps;
	uint64_t nr_allocated;
	struct index_entry index[SPACE_MAP_MAX_BITMAPS];
};

void space_map_root_decode(const uint8_t *from, struct space_map_root *root)
{
	root->nr_blocks = get_le64(from);
	root->nr_allocated = get_le64(from + 8);
	root->bitmap_root = get_le64(from + 16);
	root->ref_count_root = get_le64(from + 24);
}

void space_map_root_encode(const struct space_map_root *root, uint8_t *to)
{
	put_le64(to, root->nr_blocks);
	put_le64(to + 8, root->nr_allocated);
	put_le64(to + 16, root->bitmap_root);
	put_le64(to + 24, root->ref_count_root);
}

static int tell(const struct check *check, damage_fn how, struct damage *damage, uint64_t begin,
		uint64_t end)
{
	damage->error = damage->error ? damage->error : PD_ERR_CORRUPT;
	damage->begin = begin;
	damage->end = end;
	return how(check->visitor->context, damage);
}

/* The exact counts above two, or damage to their btree. */

static int compare_exact(const struct check *check, uint64_t leaf_block, uint64_t key,
			 uint32_t stored)
{
	struct ref_counts *refs = check->reader->refs;
	struct damage damage = {.block = leaf_block};
	uint32_t counted;

	if (key >= check->root->nr_blocks) {
		damage_is_number(&damage, "counts a block past the end", key,
				 check->root->nr_blocks);
		return tell(check, check->visitor->damage, &damage, 0, 0);
	}
	ref_counts_mark(refs, key);
	counted = ref_counts_get(refs, key);
	if (stored == counted)
		return PD_OK;
	return check->visitor->mismatch(check->visitor->context, key, stored, counted);
}

static int exact_leaf(void *context, const struct btree_leaf *leaf)
{
	const struct check *check = context;
	int r = PD_OK;

	if (!check->comparing)
		return PD_OK;
	for (unsigned i = 0; !r && i < leaf->nr_entries; i++)
		r = compare_exact(check, leaf->block, leaf->keys[i],
				  get_le32(leaf->values + (size_t)i * 4));
	return r;
}

/* Told once; but a block that could be read the first time may fail the second. */
static int exact_lost(void *context, const struct damage *damage)
{
	struct check *check = context;

	if (check->comparing && check->exact_bad)
		return PD_OK;
	check->exact_bad = true;
	return check->visitor->damage(check->visitor->context, damage);
}

static int walk_exact(struct check *check, bool comparing)
{
	struct btree tree = {check->root->ref_count_root, sizeof(uint32_t), check->root->nr_blocks,
			     0, comparing};
	struct btree_visitor visitor = {check, exact_leaf, exact_lost};

	check->comparing = comparing;
	return btree_walk(check->reader, &tree, &visitor);
}

/* The bitmaps. */

static int compare_inline(const struct check *check, uint64_t bitmap_block, uint64_t block,
			  unsigned stored)
{
	const struct ref_counts *refs = check->reader->refs;
	bool exact = ref_counts_marked(refs, block);
	struct damage damage = {.block = bitmap_block};

	if (exact != (stored > INLINE_COUNT_MAX)) {
		damage_is(&damage, exact ? "a count below three has an exact count besides"
					 : "a count of three or more has no exact count");
		return tell(check, check->visitor->damage, &damage, block, block + 1);
	}
	if (exact || stored == ref_counts_get(refs, block))
		return PD_OK;
	return check->visitor->mismatch(check->visitor->context, block, stored,
					ref_counts_get(refs, block));
}

/* Where a search for a free block begins: a free one before that would never be found. */
static int check_search(const struct check *check, unsigned bitmap, unsigned nr_counts,
			unsigned first_free)
{
	uint32_t found = check->index[bitmap].none_free_before;
	uint64_t begin = (uint64_t)bitmap * SPACE_MAP_BITMAP_COUNTS;
	struct damage damage = {.block = check->root->bitmap_root};

	if (found <= first_free || (first_free == nr_counts && found <= SPACE_MAP_BITMAP_COUNTS))
		return PD_OK;
	damage_is_number(&damage, "search for free blocks begins too late", found, first_free);
	return tell(check, check->visitor->hint, &damage, begin, begin + nr_counts);
}

/*
 * The free count of a bitmap. The kernel's differ in two known ways: it counts the blocks that a
 * partial last bitmap lacks as free, and when it formats a device it misses two allocations in the
 * first bitmap, for good.
 */
static int check_free(const struct check *check, unsigned bitmap, unsigned nr_counts,
		      unsigned nr_free)
{
	uint32_t found = check->index[bitmap].nr_free;
	uint32_t excess = found - nr_free;
	uint32_t absent = SPACE_MAP_BITMAP_COUNTS - nr_counts;
	uint64_t begin = (uint64_t)bitmap * SPACE_MAP_BITMAP_COUNTS;
	struct damage damage = {.block = check->root->bitmap_root};

	if (bitmap == 0 && (excess == FRESH_EXCESS || excess == absent + FRESH_EXCESS))
		excess -= FRESH_EXCESS;
	if (excess == 0 || excess == absent)
		return PD_OK;
	damage_is_number(&damage, "wrong count of free blocks", found, nr_free);
	return tell(check, check->visitor->hint, &damage, begin, begin + nr_counts);
}

static int check_rest(const struct check *check, const uint8_t *counts, unsigned nr_counts,
		      uint64_t bitmap_block)
{
	struct damage damage = {.block = bitmap_block, .what = "counts are set past the end"};

	for (unsigned i = nr_counts; i < SPACE_MAP_BITMAP_COUNTS; i++)
		if (space_map_inline_count(counts, i))
			return tell(check, check->visitor->hint, &damage, check->root->nr_blocks,
				    check->root->nr_blocks);
	return PD_OK;
}

static int check_counts(struct check *check, unsigned bitmap, const uint8_t *counts,
			unsigned nr_counts)
{
	uint64_t begin = (uint64_t)bitmap * SPACE_MAP_BITMAP_COUNTS;
	unsigned first_free = nr_counts;
	unsigned nr_free = 0;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < nr_counts; i++) {
		unsigned stored = space_map_inline_count(counts, i);

		if (!stored && !nr_free++)
			first_free = i;
		r = compare_inline(check, check->index[bitmap].block, begin + i, stored);
	}
	check->nr_allocated += nr_counts - nr_free;
	if (!r)
		r = check_rest(check, counts, nr_counts, check->index[bitmap].block);
	if (!r)
		r = check_search(check, bitmap, nr_counts, first_free);
	return r ? r : check_free(check, bitmap, nr_counts, nr_free);
}

/* Sets *bad if this bitmap's counts are not to be had. */
static int check_bitmap(struct check *check, unsigned bitmap, bool *bad)
{
	uint64_t begin = (uint64_t)bitmap * SPACE_MAP_BITMAP_COUNTS;
	uint64_t left = check->root->nr_blocks - begin;
	unsigned nr_counts =
		left < SPACE_MAP_BITMAP_COUNTS ? (unsigned)left : SPACE_MAP_BITMAP_COUNTS;
	struct damage damage;
	bool shared;
	const uint8_t *data =
		block_batch_get(&check->reader->data[0], bitmap, BLOCK_BITMAP, &shared, &damage);

	if (data)
		return check_counts(check, bitmap, data + BITMAP_COUNTS, nr_counts);
	*bad = true;
	return tell(check, check->visitor->damage, &damage, begin, begin + nr_counts);
}

static int check_bitmaps(struct check *check)
{
	struct damage damage = {.block = 0};
	bool bad = false;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < check->nr_bitmaps; i++)
		r = check_bitmap(check, i, &bad);
	if (r || bad || check->nr_allocated == check->root->nr_allocated)
		return r;
	damage_is_number(&damage, "wrong number of allocated blocks", check->root->nr_allocated,
			 check->nr_allocated);
	return tell(check, check->visitor->hint, &damage, 0, check->root->nr_blocks);
}

static void decode_index(struct check *check, const uint8_t *data, struct block_order *bitmaps)
{
	for (unsigned i = 0; i < check->nr_bitmaps; i++) {
		const uint8_t *entry = data + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE;

		check->index[i] = (struct index_entry){get_le64(entry), get_le32(entry + 8),
						       get_le32(entry + 12)};
		bitmaps[i] = (struct block_order){check->index[i].block, false};
	}
}

/* Reads the index, and by it all the bitmaps at once: they fit the batch for data, and stay there. */
static int read_bitmaps(struct check *check, bool *lost)
{
	struct block_batch *nodes = block_reader_nodes(check->reader, 0);
	struct block_batch *data = block_reader_data(check->reader, 0);
	struct block_order root = {check->root->bitmap_root, false};
	struct block_order bitmaps[SPACE_MAP_MAX_BITMAPS];
	struct damage damage;
	const uint8_t *index;
	bool shared;

	if (!nodes || !data)
		return PD_ERR_NO_MEMORY;
	block_batch_read(check->reader, nodes, &root, 1);
	index = block_batch_get(nodes, 0, BLOCK_INDEX, &shared, &damage);
	if (!index) {
		*lost = true;
		return tell(check, check->visitor->damage, &damage, 0, check->root->nr_blocks);
	}
	decode_index(check, index, bitmaps);
	block_batch_read(check->reader, data, bitmaps, check->nr_bitmaps);
	return PD_OK;
}

int space_map_check(struct block_reader *reader, const struct space_map_root *root,
		    const struct space_map_visitor *visitor)
{
	struct check check = {.reader = reader, .root = root, .visitor = visitor};
	bool lost = false;
	int r;

	check.nr_bitmaps = (unsigned)space_map_nr_bitmaps(root->nr_blocks);
	r = read_bitmaps(&check, &lost);
	if (!r)
		r = walk_exact(&check, false);
	if (r || lost)
		return r;
	ref_counts_begin_pass(reader->refs);
	r = walk_exact(&check, true);
	return r ? r : check_bitmaps(&check);
}
