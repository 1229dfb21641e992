/* SPDX-License-Identifier: MIT */
/*
 * The era target for many threads.
 *
 * A write asks the current epoch (epochs.h) whether its blocks are marked, and needs nothing else if they
 * are. If not, it waits for whoever marks them in the metadata (struct live).
 *
 * The metadata belong to one thread at a time, in the order in which they asked for a turn. Of writers
 * that wait only the first one asks: when its turn has come it leads, and marks for all who have come by
 * then, with one commit.
 */
#include "era/map.h"
#include "era/epochs.h"
#include "era/live.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_SIZE 512
#define METADATA_BLOCK_SECTORS (METADATA_BLOCK_SIZE / SECTOR_SIZE)
#define DIGEST_STEPS_PER_COMMIT 16

/* Data blocks [begin, end) to be marked, for a writer that waits. */
struct mark {
	uint32_t begin, end;
	int result, error; /* the latter in terms of errno */
	sem_t done;	   /* to each its own: nobody is woken who has to go on waiting */
	struct mark *next;
};

struct era_map {
	struct epochs epochs;
	pthread_mutex_t rollover; /* held from a rollover until its old epoch has ended */

	struct live live; /* belongs to whoever's turn it is */
	uint32_t nr_blocks;
	uint64_t origin_bytes;
	uint64_t block_bytes;

	pthread_mutex_t mutex; /* for what follows */
	uint64_t next_ticket, turn;
	pthread_cond_t turns, digestion;
	struct mark *waiting, **waiting_end;
	struct era_map_status status;
	bool started, stop;
	bool digest;	/* there may be something to digest */
	bool digesting; /* a step is going on */
	bool stalled;	/* it failed, and shall be tried again when something has changed */
	pthread_t digester;
};

/* Turns. The mutex is held when these are called. */

static void take_turn(struct era_map *map)
{
	uint64_t ticket = map->next_ticket++;

	while (map->turn != ticket)
		pthread_cond_wait(&map->turns, &map->mutex);
}

static void note_status(struct era_map *map)
{
	const struct superblock *sb = &map->live.committed.superblock;
	struct era_map_status *status = &map->status;

	status->used = map->live.tx.map.nr_allocated;
	status->total = map->live.tx.map.nr_blocks;
	status->era = sb->info.current_era;
	status->metadata_snap = sb->metadata_snap;
	status->failed = map->live.tx.in_doubt;
}

static void end_turn(struct era_map *map)
{
	note_status(map);
	map->turn++;
	pthread_cond_broadcast(&map->turns);
}

static void give_up_turn(struct era_map *map)
{
	pthread_mutex_lock(&map->mutex);
	end_turn(map);
	pthread_mutex_unlock(&map->mutex);
}

static void want_digestion(struct era_map *map)
{
	map->digest = true;
	map->stalled = false;
	pthread_cond_broadcast(&map->digestion);
}

/* What a change to the metadata came to. */
static void note_result(struct era_map *map, int r)
{
	map->status.error = r;
	if (!r && map->stalled)
		want_digestion(map);
}

/* Marking: the metadata are changed by whoever has the turn. */

static int mark_on_disk(struct live *live, const void *context)
{
	int r = PD_OK;

	for (const struct mark *mark = context; !r && mark; mark = mark->next)
		r = live_mark(live, mark->begin, mark->end);
	return r;
}

/* The epoch cannot end meanwhile: to begin one takes a turn too. */
static int mark_list(struct era_map *map, struct mark *list)
{
	unsigned epoch = epochs_now(&map->epochs);
	bool all_marked = true;
	int r;

	for (struct mark *mark = list; mark; mark = mark->next)
		all_marked &= epochs_is_marked(&map->epochs, epoch, mark->begin, mark->end);
	r = all_marked ? PD_OK : live_change(&map->live, mark_on_disk, list);
	for (struct mark *mark = list; mark; mark = mark->next) {
		mark->result = r;
		mark->error = errno;
		if (!r)
			epochs_set_marked(&map->epochs, epoch, mark->begin, mark->end);
	}
	return r;
}

/* One that asks for too much must not take the others with it. */
static int mark_each(struct era_map *map, struct mark *list)
{
	int result = PD_OK;

	for (struct mark *mark = list, *next; mark; mark = next) {
		int r;

		next = mark->next;
		mark->next = NULL;
		r = mark_list(map, mark);
		mark->next = next;
		result = r ? r : result;
	}
	return result;
}

/* Marks for all who wait by the time when it is this one's turn. Unlocks the mutex. */
static void lead(struct era_map *map)
{
	struct mark *list, *next;
	int r;

	take_turn(map);
	list = map->waiting;
	map->waiting = NULL;
	map->waiting_end = &map->waiting;
	pthread_mutex_unlock(&map->mutex);
	r = mark_list(map, list);
	if (r && list->next)
		r = mark_each(map, list);
	pthread_mutex_lock(&map->mutex);
	note_result(map, r);
	end_turn(map);
	pthread_mutex_unlock(&map->mutex);
	for (; list; list = next) {
		next = list->next; /* a mark is gone as soon as its writer goes on */
		sem_post(&list->done);
	}
}

static int mark(struct era_map *map, uint32_t begin, uint32_t end)
{
	struct mark mark = {.begin = begin, .end = end};
	bool first;

	sem_init(&mark.done, 0, 0);
	pthread_mutex_lock(&map->mutex);
	first = !map->waiting;
	*map->waiting_end = &mark;
	/* Its turn does not end before it has been taken from the list. */
	/* cppcheck-suppress autoVariables */
	map->waiting_end = &mark.next;
	if (first)
		lead(map);
	else
		pthread_mutex_unlock(&map->mutex);
	while (sem_wait(&mark.done))
		; /* a signal came */
	sem_destroy(&mark.done);
	errno = mark.error;
	return mark.result;
}

int era_map_begin_write(struct era_map *map, uint64_t offset, uint64_t length,
			struct era_map_write *write)
{
	uint32_t begin = 0, end = 0;

	if (offset > map->origin_bytes || length > map->origin_bytes - offset)
		return PD_ERR_USAGE;
	if (length) {
		begin = (uint32_t)(offset / map->block_bytes);
		end = (uint32_t)((offset + length - 1) / map->block_bytes) + 1;
	}
	for (;;) {
		int r;

		write->epoch = epochs_enter(&map->epochs);
		if (epochs_is_marked(&map->epochs, write->epoch, begin, end))
			return PD_OK;
		/* No era waits for our commit to begin. If one began before we are back: once more. */
		epochs_leave(&map->epochs, write->epoch);
		r = mark(map, begin, end);
		if (r)
			return r;
	}
}

void era_map_end_write(struct era_map *map, const struct era_map_write *write)
{
	epochs_leave(&map->epochs, write->epoch);
}

/* Messages. */

static int roll_over(struct live *live, const void *context)
{
	(void)context;
	return live_roll_over(live);
}

static int take_snapshot(struct live *live, const void *context)
{
	(void)context;
	return live_take_snapshot(live);
}

static int drop_snapshot(struct live *live, const void *context)
{
	(void)context;
	return live_drop_snapshot(live);
}

/* A refused message is no trouble of the metadata's. */
static int change_in_turn(struct era_map *map,
			  int (*change)(struct live *live, const void *context))
{
	int r;

	pthread_mutex_lock(&map->mutex);
	take_turn(map);
	pthread_mutex_unlock(&map->mutex);
	r = live_change(&map->live, change, NULL);
	pthread_mutex_lock(&map->mutex);
	if (r != PD_ERR_USAGE && r != PD_ERR_UNSUPPORTED)
		note_result(map, r);
	if (!r)
		want_digestion(map);
	pthread_mutex_unlock(&map->mutex);
	return r;
}

static int begin_era(struct era_map *map, int (*change)(struct live *live, const void *context))
{
	unsigned old = 0;
	int r;

	pthread_mutex_lock(&map->rollover);
	r = change_in_turn(map, change);
	if (!r)
		old = epochs_open_next(&map->epochs);
	give_up_turn(map);
	if (!r)
		epochs_end(&map->epochs, old);
	pthread_mutex_unlock(&map->rollover);
	return r;
}

int era_map_checkpoint(struct era_map *map)
{
	return begin_era(map, roll_over);
}

int era_map_take_metadata_snap(struct era_map *map)
{
	return begin_era(map, take_snapshot);
}

int era_map_drop_metadata_snap(struct era_map *map)
{
	int r = change_in_turn(map, drop_snapshot);

	give_up_turn(map);
	return r;
}

/* Digestion. */

/* A step, which the next writer's commit takes along; at times there is a commit without one. */
static int digest_step(struct live *live, unsigned *nr_uncommitted, bool *idle)
{
	int r = live_digest(live, idle);

	if (r) {
		live_abort(live);
		return r;
	}
	*nr_uncommitted += !*idle;
	if (!*nr_uncommitted ||
	    (!*idle && *nr_uncommitted < DIGEST_STEPS_PER_COMMIT && !live_is_tight(live)))
		return PD_OK;
	*nr_uncommitted = 0;
	return live_commit(live);
}

static void *digest(void *context)
{
	struct era_map *map = context;
	unsigned nr_uncommitted = 0;
	bool idle;
	int r;

	pthread_mutex_lock(&map->mutex);
	while (!map->stop) {
		if (!map->digest) {
			pthread_cond_wait(&map->digestion, &map->mutex);
			continue;
		}
		take_turn(map);
		/* What asks for it from now on is not lost. */
		map->digest = false;
		map->digesting = true;
		pthread_mutex_unlock(&map->mutex);
		r = digest_step(&map->live, &nr_uncommitted, &idle);
		pthread_mutex_lock(&map->mutex);
		map->stalled = r;
		if (r)
			map->status.error = r;
		map->digest |= !r && !idle;
		map->digesting = false;
		end_turn(map);
		pthread_cond_broadcast(&map->digestion);
	}
	pthread_mutex_unlock(&map->mutex);
	return NULL;
}

void era_map_wait_digested(struct era_map *map)
{
	pthread_mutex_lock(&map->mutex);
	while (map->started && (map->digest || map->digesting))
		pthread_cond_wait(&map->digestion, &map->mutex);
	pthread_mutex_unlock(&map->mutex);
}

/* Status. */

void era_map_status(struct era_map *map, struct era_map_status *status)
{
	pthread_mutex_lock(&map->mutex);
	*status = map->status;
	pthread_mutex_unlock(&map->mutex);
}

void era_map_status_text(const struct era_map_status *status, char text[ERA_MAP_STATUS_MAX])
{
	char snap[24] = "-";
	const char *trouble = "";

	if (status->metadata_snap)
		snprintf(snap, sizeof(snap), "%" PRIu64, status->metadata_snap);
	if (status->failed)
		trouble = " failed";
	else if (status->error)
		trouble = status->error == PD_ERR_NO_SPACE ? " no_space" : " error";
	snprintf(text, ERA_MAP_STATUS_MAX, "%u %" PRIu64 "/%" PRIu64 " %u %s%s",
		 METADATA_BLOCK_SECTORS, status->used, status->total, status->era, snap, trouble);
}

/* Opening and closing. */

static int init(struct era_map *map, uint32_t data_block_size, uint64_t origin_bytes,
		const struct report *report)
{
	uint64_t block_bytes = (uint64_t)data_block_size * SECTOR_SIZE;
	uint64_t nr_blocks = block_bytes ? (origin_bytes + block_bytes - 1) / block_bytes : 0;

	memset(map, 0, sizeof(*map));
	pthread_mutex_init(&map->rollover, NULL);
	pthread_mutex_init(&map->mutex, NULL);
	pthread_cond_init(&map->turns, NULL);
	pthread_cond_init(&map->digestion, NULL);
	map->waiting_end = &map->waiting;
	map->origin_bytes = origin_bytes;
	map->block_bytes = block_bytes;
	if (origin_bytes > UINT64_MAX - block_bytes || nr_blocks > ERA_MAX_DATA_BLOCKS)
		return report_error(report, PD_ERR_USAGE,
				    "more data blocks than the format allows: take larger ones");
	map->nr_blocks = (uint32_t)nr_blocks;
	return epochs_init(&map->epochs, map->nr_blocks);
}

int era_map_open(struct block_io *io, uint32_t data_block_size, uint64_t origin_bytes,
		 const struct report *report, struct era_map **result)
{
	struct era_map *map = aligned_alloc(CACHE_LINE, sizeof(*map));
	int r;

	if (!map)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	r = init(map, data_block_size, origin_bytes, report);
	if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	if (!r)
		r = live_open(&map->live, io, data_block_size, map->nr_blocks, report);
	if (r) {
		era_map_abandon(map);
		return r;
	}
	note_status(map);
	map->digest = true;
	*result = map;
	return PD_OK;
}

int era_map_start(struct era_map *map)
{
	if (pthread_create(&map->digester, NULL, digest, map))
		return PD_ERR_NO_MEMORY;
	map->started = true;
	return PD_OK;
}

static void stop(struct era_map *map)
{
	if (!map->started)
		return;
	pthread_mutex_lock(&map->mutex);
	map->stop = true;
	pthread_cond_broadcast(&map->digestion);
	pthread_mutex_unlock(&map->mutex);
	pthread_join(map->digester, NULL);
	map->started = false;
}

static int archive(struct live *live, const void *context)
{
	(void)context;
	return live_archive(live);
}

int era_map_close(struct era_map *map)
{
	int r;

	if (!map)
		return PD_OK;
	stop(map);
	r = live_change(&map->live, archive, NULL);
	era_map_abandon(map);
	return r;
}

void era_map_abandon(struct era_map *map)
{
	stop(map);
	live_close(&map->live);
	epochs_destroy(&map->epochs);
	pthread_mutex_destroy(&map->rollover);
	pthread_mutex_destroy(&map->mutex);
	pthread_cond_destroy(&map->turns);
	pthread_cond_destroy(&map->digestion);
	free(map);
}
