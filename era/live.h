/* SPDX-License-Identifier: MIT */
/*
 * Live metadata: what the era target does to it, one thing at a time, for one thread. The runtime for
 * many threads is map.h.
 *
 * Nothing is on the device before live_commit(). After an error of any function here, live_abort()
 * brings back what was last committed; live_open() and live_commit() see to that themselves.
 *
 * What each operation does is what Linux's drivers/md/dm-era-target.c does, so that either may go on
 * from what the other left.
 */
#ifndef ERA_LIVE_H
#define ERA_LIVE_H

#include "era/superblock.h"
#include "persistent-data/report.h"
#include "persistent-data/transaction.h"

/* How far the digestion of a past writeset has come; it is begun anew after a crash. */
struct live_digest {
	bool active;
	uint32_t era;
	uint32_t nr_blocks; /* data blocks that it has, as far as they still exist */
	uint64_t root;
	uint32_t next; /* data block; all before it are done */
};

struct live_state {
	struct superblock superblock; /* but for its space map, which is the transaction's */
	struct live_digest digest;
};

struct live {
	struct transaction tx;
	struct live_state now, committed;
};

/*
 * Opens metadata, or formats a device that begins with a block of zeroes, makes it nr_blocks data
 * blocks large and begins an era: all as when the kernel's target resumes, and committed. io stays the
 * caller's and must outlive it; nobody else may use it. What is wrong is reported; the errors are those
 * of era_map_open(). Close in any case.
 */
int live_open(struct live *live, struct block_io *io, uint32_t data_block_size, uint32_t nr_blocks,
	      const struct report *report);

/* Frees memory, writes nothing. */
void live_close(struct live *live);

int live_commit(struct live *live);
void live_abort(struct live *live);

/* Data blocks [begin, end), which exist, are written in the current era. */
int live_mark(struct live *live, uint32_t begin, uint32_t end);

/* Ends the current era and begins the next one. PD_ERR_UNSUPPORTED: there are no more eras. */
int live_roll_over(struct live *live);

/* Ends the current era without a new one: nothing can be marked any more. */
int live_archive(struct live *live);

/* PD_ERR_USAGE: one is held already; none is. */
int live_take_snapshot(struct live *live);
int live_drop_snapshot(struct live *live);

/*
 * One bounded step of digesting past writesets, oldest first, into the era array. *idle: nothing was
 * left to do.
 */
int live_digest(struct live *live, bool *idle);

/*
 * For the room that it takes, digests the oldest writeset to its end and commits that. *idle: there
 * was none. Aborts on an error.
 */
int live_make_room(struct live *live, bool *idle);

/*
 * Does what `change` does, as one commit. If there is no room for it, past eras are digested for that,
 * one after the other. Aborts on an error.
 */
int live_change(struct live *live, int (*change)(struct live *live, const void *context),
		const void *context);

/* Whether so little is free that commits should not wait: freed blocks are of use after one only. */
bool live_is_tight(const struct live *live);

#endif
