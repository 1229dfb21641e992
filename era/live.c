/* SPDX-License-Identifier: MIT */
/* Live metadata: what the era target does to it. */
#include "era/live.h"
#include "era/metadata.h"
#include "era/read.h"
#include "era/trees.h"
#include "persistent-data/array_edit.h"
#include "persistent-data/bitset_edit.h"
#include "persistent-data/btree_edit.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERA_SIZE sizeof(uint32_t)
#define WORDS_PER_BLOCK BITSET_WORDS_PER_BLOCK

/* A step of digestion changes so many blocks of the era array at most, fewer where room is short: ... */
#define DIGEST_BLOCKS 8
/* ... one with the nodes above it, and those of the writeset tree, takes no more than this. */
#define DIGEST_ROOM 8

/* The writeset tree's values refer to bitsets. */

static int inc_writeset(struct transaction *tx, const uint8_t *value)
{
	return transaction_inc(tx, get_le64(value + 4));
}

static int dec_writeset(struct transaction *tx, const uint8_t *value)
{
	return bitset_edit_drop(tx, get_le64(value + 4));
}

static const struct btree_values writesets = {WRITESET_VALUE_SIZE, inc_writeset, dec_writeset};

/*
 * Room that is left to what must still be possible when all else fails for want of it: a commit, which
 * writes the index and as many bitmaps as there are; and a step of digestion, which frees blocks.
 */
static uint64_t commit_room(const struct live *live)
{
	return live->tx.map.nr_bitmaps + 1;
}

static void leave_room(struct live *live, uint64_t beyond_commit)
{
	live->tx.map.reserve = commit_room(live) + beyond_commit;
}

/* Blocks that a step of digestion can do without; 0: it must make do with the least. */
static uint64_t digest_spare(const struct live *live)
{
	uint64_t room = commit_room(live) + DIGEST_ROOM;

	return live->tx.map.nr_free > room ? live->tx.map.nr_free - room : 0;
}

/* Each further block may have another node above it. */
static unsigned digest_limit(const struct live *live)
{
	uint64_t further = digest_spare(live) / 2;

	return further < DIGEST_BLOCKS - 1 ? 1 + (unsigned)further : DIGEST_BLOCKS;
}

bool live_is_tight(const struct live *live)
{
	return digest_spare(live) < 2 * DIGEST_BLOCKS + DIGEST_ROOM;
}

/* Commits. */

static void encode(void *context, const struct space_map_root *root, uint8_t *block)
{
	struct live *live = context;

	live->now.superblock.space_map = *root;
	superblock_encode(&live->now.superblock, block);
}

int live_commit(struct live *live)
{
	int r = transaction_commit(&live->tx, encode, live);

	if (r)
		live->now = live->committed;
	else
		live->committed = live->now;
	return r;
}

void live_abort(struct live *live)
{
	transaction_abort(&live->tx);
	live->now = live->committed;
}

/* Eras. */

int live_mark(struct live *live, uint32_t begin, uint32_t end)
{
	leave_room(live, DIGEST_ROOM);
	return bitset_edit_set(&live->tx, &live->now.superblock.writeset_root, begin, end);
}

static int archive(struct live *live)
{
	struct superblock *sb = &live->now.superblock;
	uint8_t value[WRITESET_VALUE_SIZE];
	int r;

	if (!sb->writeset_root)
		return PD_OK;
	put_le32(value, sb->writeset_bits);
	put_le64(value + 4, sb->writeset_root);
	r = btree_edit_insert(&live->tx, &writesets, &sb->writeset_tree_root, sb->info.current_era,
			      value);
	sb->writeset_root = 0;
	sb->writeset_bits = 0;
	return r;
}

int live_archive(struct live *live)
{
	leave_room(live, 0);
	return archive(live);
}

int live_roll_over(struct live *live)
{
	struct superblock *sb = &live->now.superblock;
	int r;

	if (sb->info.current_era == UINT32_MAX)
		return PD_ERR_UNSUPPORTED;
	leave_room(live, DIGEST_ROOM);
	r = archive(live);
	if (!r)
		r = bitset_edit_new(&live->tx, sb->info.nr_blocks, &sb->writeset_root);
	sb->writeset_bits = sb->info.nr_blocks;
	sb->info.current_era++;
	return r;
}

/* Snapshots. */

int live_take_snapshot(struct live *live)
{
	struct superblock *sb = &live->now.superblock;
	uint64_t number;
	uint8_t *block;
	int r;

	if (sb->metadata_snap)
		return PD_ERR_USAGE;
	r = live_roll_over(live);
	if (!r)
		r = transaction_new(&live->tx, BLOCK_SUPERBLOCK, &number, &block);
	if (r)
		return r;
	superblock_encode(sb, block);
	r = transaction_inc(&live->tx, sb->writeset_tree_root);
	if (!r)
		r = transaction_inc(&live->tx, sb->era_array_root);
	sb->metadata_snap = number;
	return r;
}

static int read_snapshot(struct live *live, struct superblock *snapshot)
{
	uint64_t number = live->now.superblock.metadata_snap;
	struct damage damage;
	const uint8_t *block;
	int r = transaction_read(&live->tx, number, BLOCK_SUPERBLOCK, &block);

	if (r)
		return r;
	return superblock_decode(block, number, live->tx.map.nr_blocks, true, snapshot, &damage)
		       ? PD_OK
		       : PD_ERR_CORRUPT;
}

int live_drop_snapshot(struct live *live)
{
	struct superblock *sb = &live->now.superblock;
	struct superblock snapshot;
	int r;

	if (!sb->metadata_snap)
		return PD_ERR_USAGE;
	leave_room(live, 0);
	r = read_snapshot(live, &snapshot);
	if (!r)
		r = btree_edit_drop(&live->tx, &writesets, snapshot.writeset_tree_root);
	if (!r)
		r = array_edit_drop(&live->tx, snapshot.era_array_root);
	if (!r)
		r = transaction_dec(&live->tx, sb->metadata_snap);
	sb->metadata_snap = 0;
	return r;
}

/* Digestion. */

static int find_oldest(struct live *live, bool *found)
{
	struct live_digest *digest = &live->now.digest;
	uint32_t nr_blocks = live->now.superblock.info.nr_blocks;
	uint8_t value[WRITESET_VALUE_SIZE];
	uint64_t era = 0;
	uint32_t nr_bits;
	int r = btree_edit_find(&live->tx, &writesets, live->now.superblock.writeset_tree_root,
				&era, value, found);

	if (r || !*found)
		return r;
	nr_bits = get_le32(value);
	*digest = (struct live_digest){.active = true,
				       .era = (uint32_t)era,
				       .nr_blocks = nr_bits < nr_blocks ? nr_bits : nr_blocks,
				       .root = get_le64(value + 4)};
	return PD_OK;
}

static bool has_bit(const uint64_t *words, unsigned i)
{
	return words[i / 64] >> (i % 64) & 1;
}

static bool any_bit(const uint64_t *words, unsigned begin, unsigned end)
{
	for (unsigned i = begin; i < end; i++)
		if (!words[i / 64])
			i |= 63;
		else if (has_bit(words, i))
			return true;
	return false;
}

/* Of the words' bits [begin, end), those of one block of the era array. */
static int digest_block(struct live *live, const uint64_t *words, unsigned begin, unsigned end)
{
	struct live_digest *digest = &live->now.digest;
	uint8_t *entries;
	unsigned nr;
	int r = array_edit_change(&live->tx, &live->now.superblock.era_array_root, ERA_SIZE,
				  digest->next / ERAS_PER_BLOCK, &entries, &nr);

	if (!r && end - begin > nr)
		r = PD_ERR_CORRUPT;
	for (unsigned i = begin; !r && i < end; i++) {
		uint8_t *entry = entries + (size_t)(i - begin) * ERA_SIZE;

		/* Restored metadata may have a later era there. */
		if (has_bit(words, i) && get_le32(entry) < digest->era)
			put_le32(entry, digest->era);
	}
	return r;
}

/* Of one block of the bitset, which stands for 32 of the era array, until enough were changed. */
static int digest_some(struct live *live)
{
	struct live_digest *digest = &live->now.digest;
	uint32_t block = digest->next / BITSET_BITS_PER_BLOCK;
	uint64_t words[WORDS_PER_BLOCK];
	unsigned nr_words, nr_changed = 0, limit = digest_limit(live);
	int r = bitset_edit_read(&live->tx, digest->root, block, words, &nr_words);

	while (!r && digest->next < digest->nr_blocks && nr_changed < limit &&
	       digest->next / BITSET_BITS_PER_BLOCK == block) {
		uint32_t left = digest->nr_blocks - digest->next;
		unsigned n = left < ERAS_PER_BLOCK ? left : ERAS_PER_BLOCK;
		unsigned begin = digest->next % BITSET_BITS_PER_BLOCK;

		if (begin + n > nr_words * 64)
			return PD_ERR_CORRUPT;
		if (any_bit(words, begin, begin + n)) {
			r = digest_block(live, words, begin, begin + n);
			nr_changed++;
		}
		digest->next += n;
	}
	return r;
}

static int finish_writeset(struct live *live)
{
	struct live_digest *digest = &live->now.digest;
	int r = btree_edit_remove(&live->tx, &writesets, &live->now.superblock.writeset_tree_root,
				  digest->era);

	digest->active = false;
	return r ? r : bitset_edit_drop(&live->tx, digest->root);
}

int live_digest(struct live *live, bool *idle)
{
	struct live_digest *digest = &live->now.digest;
	bool found = true;
	int r = transaction_trim(&live->tx);

	leave_room(live, 0);
	if (!r && !digest->active)
		r = find_oldest(live, &found);
	*idle = !found;
	if (r || !found)
		return r;
	if (digest->next < digest->nr_blocks)
		r = digest_some(live);
	return r || digest->next < digest->nr_blocks ? r : finish_writeset(live);
}

int live_make_room(struct live *live, bool *idle)
{
	int r;

	do {
		r = live_digest(live, idle);
		if (r)
			live_abort(live);
		else if (!*idle)
			r = live_commit(live);
	} while (!r && live->now.digest.active);
	return r;
}

int live_change(struct live *live, int (*change)(struct live *live, const void *context),
		const void *context)
{
	bool idle = false;
	int r;

	for (;;) {
		r = change(live, context);
		if (r)
			live_abort(live);
		else
			r = live_commit(live);
		if (r != PD_ERR_NO_SPACE || live_make_room(live, &idle) || idle)
			return r;
	}
}

/* Opening. */

static int format(struct live *live, struct block_io *io, uint32_t data_block_size)
{
	struct superblock *sb = &live->now.superblock;
	int r = transaction_create(&live->tx, io);

	sb->info.data_block_size = data_block_size;
	if (!r)
		r = btree_edit_new(&live->tx, &writesets, &sb->writeset_tree_root);
	if (!r)
		r = array_edit_new(&live->tx, &sb->era_array_root);
	return r ? r : live_commit(live);
}

static const char *reason(int r)
{
	return r == PD_ERR_IO ? strerror(errno) : pd_error_text(r);
}

static int open_sound(struct live *live, struct block_io *io, uint32_t data_block_size,
		      const struct report *report)
{
	struct metadata *metadata;
	uint32_t found;
	int r = metadata_open(io, false, report, &metadata);

	if (r)
		return r;
	found = metadata->live.info.data_block_size;
	if (found != data_block_size)
		r = report_error(report, PD_ERR_USAGE,
				 "the metadata is of data blocks of %u sectors, not %u", found,
				 data_block_size);
	if (!r)
		r = metadata_read(metadata, NULL, report);
	if (!r) {
		r = transaction_open(&live->tx, io, &metadata->live.space_map, &metadata->refs);
		if (r)
			report_error(report, r, "cannot be opened to be changed: %s", reason(r));
	}
	live->now.superblock = metadata->live;
	/* That it was shut down cleanly is true no longer. The kernel writes 0 as well. */
	live->now.superblock.flags = 0;
	live->committed = live->now;
	metadata_close(metadata);
	/* What follows is read a block at a time. */
	block_io_rest(io);
	return r;
}

static int is_unformatted(struct block_io *io, bool *unformatted)
{
	uint8_t *block = aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
	int r;

	if (!block)
		return PD_ERR_NO_MEMORY;
	r = block_io_read(io, SUPERBLOCK_BLOCK, 1, block);
	*unformatted = !r && !block[0] && !memcmp(block, block + 1, METADATA_BLOCK_SIZE - 1);
	free(block);
	return r;
}

static int resize(struct live *live, uint32_t nr_blocks)
{
	struct superblock *sb = &live->now.superblock;
	int r;

	leave_room(live, DIGEST_ROOM);
	r = array_edit_resize(&live->tx, &sb->era_array_root, ERA_SIZE, sb->info.nr_blocks,
			      nr_blocks);
	sb->info.nr_blocks = nr_blocks;
	return r;
}

/*
 * There must be room for the next era too, or metadata could be opened and written, but never be opened
 * again. It takes what this one took, and may have to copy the writeset tree's root.
 */
static int begin_first_of_two(struct live *live)
{
	const struct space_map_edit *map = &live->tx.map;
	uint64_t before = map->nr_free;
	int r = live_roll_over(live);

	if (!r && map->nr_free < before - map->nr_free + 1 + map->reserve)
		r = PD_ERR_NO_SPACE;
	return r;
}

static int resume(struct live *live, const void *context)
{
	uint32_t before = live->now.superblock.info.nr_blocks;
	const uint32_t *nr_blocks = context;
	int r = resize(live, *nr_blocks);

	if (r)
		return r;
	/* What a snapshot takes is room that will be there. */
	if (*nr_blocks > before && !live->now.superblock.metadata_snap)
		return begin_first_of_two(live);
	return live_roll_over(live);
}

static int check_sizes(uint32_t data_block_size, uint32_t nr_blocks, const struct report *report)
{
	const struct stream_info info = {.data_block_size = data_block_size,
					 .nr_blocks = nr_blocks};
	struct damage damage;

	if (superblock_check_sizes(&info, &damage))
		return PD_OK;
	return report_error(report, PD_ERR_USAGE, "%s: %llu", damage.what,
			    (unsigned long long)damage.found);
}

static int open_or_format(struct live *live, struct block_io *io, uint32_t data_block_size,
			  const struct report *report)
{
	bool unformatted = false;
	int r = io->nr_blocks ? is_unformatted(io, &unformatted) : PD_OK;

	if (r)
		return report_error(report, r, "superblock: cannot be read: %s", reason(r));
	if (!unformatted)
		return open_sound(live, io, data_block_size, report);
	r = format(live, io, data_block_size);
	return r ? report_error(report, r, "cannot be formatted: %s", reason(r)) : r;
}

int live_open(struct live *live, struct block_io *io, uint32_t data_block_size, uint32_t nr_blocks,
	      const struct report *report)
{
	int r = check_sizes(data_block_size, nr_blocks, report);

	memset(live, 0, sizeof(*live));
	if (!r)
		r = open_or_format(live, io, data_block_size, report);
	if (r)
		return r;
	r = live_change(live, resume, &nr_blocks);
	if (r == PD_ERR_UNSUPPORTED)
		return report_error(report, r, "no era is left: the last one is %u", UINT32_MAX);
	return r ? report_error(report, r, "no era can be begun: %s", reason(r)) : r;
}

void live_close(struct live *live)
{
	transaction_close(&live->tx);
}
