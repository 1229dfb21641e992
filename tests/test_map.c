/* SPDX-License-Identifier: MIT */
/*
 * The runtime with many threads: writers, checkpoints, snapshots and digestion at once, with metadata
 * and origin recorded in one log. Also built with -fsanitize=thread, by tests/map-threads.sh.
 */
#include "era/map.h"
#include "persistent-data/error.h"
#include "tests/support/eras.h"
#include "tests/support/failing_io.h"
#include "tests/support/io_log.h"
#include "tests/support/power_cuts.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SECTORS 8
#define BLOCK_BYTES 4096
/* The thread sanitizer is there for the threads, not for what they left. */
#ifdef __SANITIZE_THREAD__
#define CUT_SAMPLES 0
#else
#define CUT_SAMPLES 2
#endif
#define METADATA 0
#define ORIGIN 1

struct place {
	uint64_t nr_metadata, nr_origin; /* blocks */
	uint8_t *metadata, *origin;
	struct block_io *metadata_memory, *origin_memory, *metadata_log, *origin_log, *io;
	struct failure failure;
	struct io_log log;
	struct era_map *map;
	unsigned nr_writes; /* for each writer */
	atomic_int stop;
	_Atomic uint32_t newest; /* era that a checkpoint has returned from */
};

static struct place place;

static uint8_t *zeroes(uint64_t nr_blocks)
{
	uint8_t *memory =
		aligned_alloc(METADATA_BLOCK_SIZE, (size_t)nr_blocks * METADATA_BLOCK_SIZE);

	cr_assert_not_null(memory);
	memset(memory, 0, (size_t)nr_blocks * METADATA_BLOCK_SIZE);
	return memory;
}

static void begin(uint64_t nr_metadata, uint64_t nr_origin)
{
	memset(&place, 0, sizeof(place));
	place.nr_metadata = nr_metadata;
	place.nr_origin = nr_origin;
	place.metadata = zeroes(nr_metadata);
	place.origin = zeroes(nr_origin);
	io_log_init(&place.log);
	cr_assert_not(block_io_open_memory(place.metadata, nr_metadata, &place.metadata_memory));
	cr_assert_not(block_io_open_memory(place.origin, nr_origin, &place.origin_memory));
	place.metadata_log = io_log_open(&place.log, METADATA, place.metadata_memory);
	place.origin_log = io_log_open(&place.log, ORIGIN, place.origin_memory);
	atomic_init(&place.failure.left, LONG_MAX);
	place.io = failing_io_open(place.metadata_log, &place.failure);
	cr_assert_not(
		era_map_open(place.io, BLOCK_SECTORS, nr_origin * BLOCK_BYTES, NULL, &place.map));
}

static void end(void)
{
	block_io_close(place.io);
	block_io_close(place.metadata_log);
	block_io_close(place.origin_log);
	block_io_close(place.metadata_memory);
	block_io_close(place.origin_memory);
	io_log_free(&place.log);
	free(place.metadata);
	free(place.origin);
}

static uint32_t era(void)
{
	struct era_map_status status;

	era_map_status(place.map, &status);
	return status.era;
}

/* The origin's blocks get the newest era that was known before the write began. */
static int write_blocks(uint64_t block, uint32_t count)
{
	uint8_t *data = zeroes(count);
	struct era_map_write write;
	uint32_t known = atomic_load(&place.newest);
	int r;

	for (uint32_t i = 0; i < count; i++)
		memcpy(data + (size_t)i * BLOCK_BYTES, &known, sizeof(known));
	r = era_map_begin_write(place.map, block * BLOCK_BYTES, (uint64_t)count * BLOCK_BYTES,
				&write);
	if (!r) {
		cr_assert_not(block_io_write(place.origin_log, block, count, data));
		era_map_end_write(place.map, &write);
	}
	free(data);
	return r;
}

static void *writer(void *context)
{
	unsigned seed = (unsigned)(uintptr_t)context;

	for (unsigned i = 0; i < place.nr_writes; i++) {
		uint32_t count = 1 + (uint32_t)rand_r(&seed) % 4;
		uint64_t block = (uint64_t)rand_r(&seed) % (place.nr_origin - count);

		cr_assert_eq(write_blocks(block, count), PD_OK);
	}
	return NULL;
}

/*
 * Whatever ended before a checkpoint returned is on the origin by then: what this copy lacks was
 * written afterwards, and must be of the new era or later.
 */
static void *checkpointer(void *context)
{
	uint8_t **copies = context;

	for (unsigned i = 0; !atomic_load(&place.stop); i++) {
		cr_assert_eq(era_map_checkpoint(place.map), PD_OK);
		atomic_store(&place.newest, era());
		if (i == 5) {
			pthread_mutex_lock(&place.log.mutex);
			copies[0] = zeroes(place.nr_origin);
			memcpy(copies[0], place.origin, place.nr_origin * BLOCK_BYTES);
			pthread_mutex_unlock(&place.log.mutex);
			copies[1] = (uint8_t *)(uintptr_t)atomic_load(&place.newest);
		}
		usleep(500);
	}
	return NULL;
}

static void *snapshooter(void *context)
{
	(void)context;
	while (!atomic_load(&place.stop)) {
		cr_assert_eq(era_map_take_metadata_snap(place.map), PD_OK);
		usleep(1000);
		cr_assert_eq(era_map_drop_metadata_snap(place.map), PD_OK);
		usleep(300);
	}
	return NULL;
}

#define NR_WRITERS 8

static void run_threads(unsigned nr_writes, uint8_t *copies[2])
{
	pthread_t writers[NR_WRITERS], others[2];

	place.nr_writes = nr_writes;
	cr_assert_eq(era_map_start(place.map), PD_OK);
	atomic_store(&place.newest, era());
	for (uintptr_t i = 0; i < NR_WRITERS; i++)
		cr_assert_not(pthread_create(&writers[i], NULL, writer, (void *)(i + 1)));
	cr_assert_not(pthread_create(&others[0], NULL, checkpointer, copies));
	cr_assert_not(pthread_create(&others[1], NULL, snapshooter, NULL));
	for (int i = 0; i < NR_WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&place.stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
}

/* Every block that differs from the copy is of the copy's era or later. */
static void expect_reported(const struct eras *eras, uint8_t *copies[2])
{
	uint32_t since = (uint32_t)(uintptr_t)copies[1];

	cr_assert_not_null(copies[0], "too few checkpoints");
	for (uint64_t i = 0; i < place.nr_origin; i++)
		if (memcmp(copies[0] + i * BLOCK_BYTES, place.origin + i * BLOCK_BYTES,
			   BLOCK_BYTES))
			cr_expect_geq(eras->era[i], since, "block %lu", i);
	free(copies[0]);
}

Test(map, threads)
{
	static struct eras eras;
	uint8_t *copies[2] = {NULL};

	begin(1000, 5000);
	run_threads(CUT_SAMPLES ? 1500 : 500, copies);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	cr_assert(eras_read_memory(&eras, place.metadata, place.nr_metadata, false), "%s",
		  eras.problem);
	expect_reported(&eras, copies);
	for (uint64_t i = 0; i < place.nr_origin; i++) {
		uint32_t known;

		memcpy(&known, place.origin + i * BLOCK_BYTES, sizeof(known));
		cr_expect_geq(eras.era[i], known);
	}
	end();
}

/* What has reached the origin by an instant must be known at that instant. */

struct origin_check {
	size_t next; /* record */
	uint32_t must[ERAS_MAX_BLOCKS];
	struct eras eras;
};

static void check_cut(void *context, uint8_t *image, size_t nr)
{
	struct origin_check *check = context;

	for (; check->next < nr; check->next++) {
		const struct io_record *record = &place.log.records[check->next];

		for (uint32_t i = 0; record->device == ORIGIN && i < record->count; i++)
			memcpy(&check->must[record->first + i],
			       record->data + (size_t)i * BLOCK_BYTES, sizeof(uint32_t));
	}
	cr_assert(eras_read_memory(&check->eras, image, place.nr_metadata, false), "%zu: %s", nr,
		  check->eras.problem);
	for (uint64_t i = 0; i < place.nr_origin; i++)
		cr_assert_geq(check->eras.era[i], check->must[i], "%zu: block %lu", nr, i);
}

Test(map, power_cuts_under_threads)
{
	struct origin_check *check = calloc(1, sizeof(*check));
	struct power_cuts cuts = {&place.log,  METADATA,    400,   NULL,
				  CUT_SAMPLES, CUT_SAMPLES, check, check_cut};
	uint8_t *copies[2] = {NULL};
	size_t formatted;

	begin(400, 2000);
	formatted = place.log.nr;
	run_threads(CUT_SAMPLES ? 100 : 20, copies);
	era_map_abandon(place.map);
	free(copies[0]);
	cr_log_info("%zu records, %lu images", place.log.nr, power_cuts_check(&cuts, formatted));
	free(check);
	end();
}

/*
 * The Nth write or flush of the metadata fails while all that goes on: who is told that it went well
 * can rely on it, and the others are told.
 */

static int ok_or_failed(int r)
{
	cr_assert(!r || (r == PD_ERR_IO && failure_happened(&place.failure)) ||
			  (r == PD_ERR_USAGE && failure_happened(&place.failure)),
		  "%s", pd_error_text(r));
	return r;
}

static void *failing_writer(void *context)
{
	unsigned seed = (unsigned)(uintptr_t)context;

	for (unsigned i = 0; i < place.nr_writes; i++)
		ok_or_failed(write_blocks((uint64_t)rand_r(&seed) % place.nr_origin, 1));
	return NULL;
}

/* Behind a failure a snapshot may be held still, or none be there to be dropped. */
static void *failing_messenger(void *context)
{
	(void)context;
	while (!atomic_load(&place.stop)) {
		if (!ok_or_failed(era_map_checkpoint(place.map)))
			atomic_store(&place.newest, era());
		ok_or_failed(era_map_take_metadata_snap(place.map));
		ok_or_failed(era_map_drop_metadata_snap(place.map));
		usleep(200);
	}
	return NULL;
}

static void run_failing_threads(void)
{
	pthread_t writers[NR_WRITERS], messenger;

	place.nr_writes = 40;
	cr_assert_eq(era_map_start(place.map), PD_OK);
	atomic_store(&place.newest, era());
	for (uintptr_t i = 0; i < NR_WRITERS; i++)
		cr_assert_not(pthread_create(&writers[i], NULL, failing_writer, (void *)(i + 1)));
	cr_assert_not(pthread_create(&messenger, NULL, failing_messenger, NULL));
	for (int i = 0; i < NR_WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&place.stop, 1);
	pthread_join(messenger, NULL);
}

static bool fail_under_threads(unsigned kinds, long nth, bool for_good)
{
	static struct eras eras;
	bool failed;

	begin(400, 2000);
	place.failure.kinds = kinds;
	place.failure.error = EIO;
	place.failure.for_good = for_good;
	atomic_store(&place.failure.left, nth);
	run_failing_threads();
	failed = failure_happened(&place.failure);
	era_map_close(place.map);
	cr_assert(eras_read_memory(&eras, place.metadata, place.nr_metadata, false), "%s",
		  eras.problem);
	for (uint64_t i = 0; i < place.nr_origin; i++) {
		uint32_t known;

		memcpy(&known, place.origin + i * BLOCK_BYTES, sizeof(known));
		cr_assert_geq(eras.era[i], known, "failure %ld: block %lu", nth, i);
	}
	end();
	return failed;
}

Test(map, failures_under_threads)
{
	for (long nth = 0; nth < (CUT_SAMPLES ? 40 : 4); nth++) {
		cr_assert(fail_under_threads(FAIL_WRITES, nth, nth % 2));
		cr_assert(fail_under_threads(FAIL_FLUSHES, nth, nth % 2));
	}
}

/* First writes that arrive together share commits: 32 threads, far fewer commits. */

static atomic_int ready;

static void *first_writer(void *context)
{
	atomic_fetch_add(&ready, 1);
	while (atomic_load(&ready) < 32)
		sched_yield();
	for (uintptr_t i = 0; i < 50; i++)
		cr_assert_eq(write_blocks((uintptr_t)context * 50 + i, 1), PD_OK);
	return NULL;
}

static size_t nr_flushes(void)
{
	size_t nr = 0;

	for (size_t i = 0; i < place.log.nr; i++)
		nr += !place.log.records[i].count;
	return nr;
}

/* A flush takes time on a real device, and the others come meanwhile. */
static int slow_flush(struct block_io *io)
{
	(void)io;
	usleep(500);
	return block_io_flush(place.io);
}

static int pass_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	(void)io;
	return block_io_read(place.io, first, count, buffer);
}

static int pass_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	(void)io;
	return block_io_write(place.io, first, count, buffer);
}

Test(map, group_commit)
{
	static const struct block_io_ops ops = {pass_read, pass_write, slow_flush, NULL};
	struct block_io slow = {&ops, 400};
	pthread_t threads[32];
	size_t before;

	begin(400, 2000);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	cr_assert_not(era_map_open(&slow, BLOCK_SECTORS, 2000 * BLOCK_BYTES, NULL, &place.map));
	before = nr_flushes();
	for (uintptr_t i = 0; i < 32; i++)
		cr_assert_not(pthread_create(&threads[i], NULL, first_writer, (void *)i));
	for (int i = 0; i < 32; i++)
		pthread_join(threads[i], NULL);
	/* Each alone: 1600 commits of two flushes. */
	cr_expect_lt(nr_flushes() - before, 800, "%zu flushes", nr_flushes() - before);
	before = place.log.nr;
	for (uint64_t i = 0; i < 1600; i++)
		cr_assert_eq(write_blocks(i, 1), PD_OK);
	cr_expect_eq(place.log.nr, before + 1600, "marked blocks cost no metadata I/O");
	cr_assert_eq(era_map_close(place.map), PD_OK);
	end();
}

/* A checkpoint does not return before the writes of the era that it ends. */

static void *one_checkpoint(void *context)
{
	cr_assert_eq(era_map_checkpoint(place.map), PD_OK);
	atomic_store((atomic_int *)context, 1);
	return NULL;
}

Test(map, checkpoint_waits_for_writes)
{
	struct era_map_write old, new;
	atomic_int returned = 0;
	pthread_t thread;
	uint32_t first;

	begin(100, 1000);
	first = era();
	cr_assert_eq(era_map_begin_write(place.map, 0, 4096, &old), PD_OK);
	cr_assert_not(pthread_create(&thread, NULL, one_checkpoint, &returned));
	while (era() == first)
		usleep(100);
	usleep(20000);
	cr_expect_eq(atomic_load(&returned), 0);
	/* New writes go on meanwhile, in the new era. */
	cr_assert_eq(era_map_begin_write(place.map, 4096, 4096, &new), PD_OK);
	era_map_end_write(place.map, &new);
	era_map_end_write(place.map, &old);
	pthread_join(thread, NULL);
	cr_expect_eq(atomic_load(&returned), 1);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	end();
}

static void expect_status(const char *expected)
{
	struct era_map_status status;
	char text[ERA_MAP_STATUS_MAX];

	era_map_status(place.map, &status);
	era_map_status_text(&status, text);
	cr_expect_str_eq(text, expected);
}

Test(map, messages_and_status)
{
	begin(100, 1000);
	expect_status("8 9/100 1 -");
	cr_expect_eq(era_map_checkpoint(place.map), PD_OK);
	cr_expect_eq(era_map_drop_metadata_snap(place.map), PD_ERR_USAGE);
	cr_expect_eq(era_map_take_metadata_snap(place.map), PD_OK);
	cr_expect_eq(era_map_take_metadata_snap(place.map), PD_ERR_USAGE);
	cr_expect_eq(era(), 3);
	cr_expect_eq(era_map_drop_metadata_snap(place.map), PD_OK);
	cr_assert_eq(era_map_start(place.map), PD_OK);
	era_map_wait_digested(place.map);
	expect_status("8 9/100 3 -");
	cr_expect_eq(write_blocks(999, 1), PD_OK);
	cr_expect_eq(write_blocks(1000, 1), PD_ERR_USAGE);
	cr_expect_eq(write_blocks(998, 3), PD_ERR_USAGE);
	cr_expect_eq(era_map_begin_write(place.map, UINT64_MAX, 1, &(struct era_map_write){0}),
		     PD_ERR_USAGE);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	end();
}

Test(map, trouble_shows)
{
	begin(100, 1000);
	place.failure.error = 5;
	place.failure.kinds = FAIL_WRITES;
	atomic_store(&place.failure.left, 0);
	cr_expect_eq(write_blocks(1, 1), PD_ERR_IO);
	cr_expect_eq(errno, 5);
	expect_status("8 9/100 1 - error");
	cr_expect_eq(write_blocks(1, 1), PD_OK);
	expect_status("8 9/100 1 -");
	/* The superblock cannot be flushed: is it there or not? */
	place.failure.kinds = FAIL_FLUSHES;
	atomic_store(&place.failure.left, 1);
	cr_expect_eq(write_blocks(2, 1), PD_ERR_IO);
	expect_status("8 9/100 1 - failed");
	place.failure.kinds = 0;
	cr_expect_eq(write_blocks(3, 1), PD_ERR_IO);
	cr_expect_eq(era_map_checkpoint(place.map), PD_ERR_IO);
	cr_expect_eq(write_blocks(1, 1), PD_OK, "this one is marked");
	cr_expect_eq(era_map_close(place.map), PD_ERR_IO);
	end();
}

Test(map, full)
{
	int r = PD_OK;

	/* A snapshot holds all eras, so that digestion cannot make room. */
	begin(150, 70000);
	cr_assert_eq(era_map_take_metadata_snap(place.map), PD_OK);
	for (uint64_t i = 0; !r && i < 5000; i++) {
		r = write_blocks(i * 13, 1);
		if (!r)
			r = era_map_checkpoint(place.map);
	}
	cr_expect_eq(r, PD_ERR_NO_SPACE);
	{
		struct era_map_status status;

		era_map_status(place.map, &status);
		cr_expect_eq(status.error, PD_ERR_NO_SPACE);
	}
	cr_assert_eq(era_map_drop_metadata_snap(place.map), PD_OK);
	cr_expect_eq(era_map_checkpoint(place.map), PD_OK);
	cr_expect_eq(write_blocks(69999, 1), PD_OK);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	end();
}

/* Of a block that is touched in part all is marked. */
Test(map, partial_blocks)
{
	static struct eras eras;
	struct era_map_write write;

	begin(100, 1000);
	cr_assert_eq(era_map_begin_write(place.map, 4095, 2, &write), PD_OK);
	era_map_end_write(place.map, &write);
	cr_assert_eq(era_map_begin_write(place.map, 40960, 1, &write), PD_OK);
	era_map_end_write(place.map, &write);
	cr_assert_eq(era_map_begin_write(place.map, 81920, 0, &write), PD_OK);
	era_map_end_write(place.map, &write);
	cr_assert_eq(era_map_close(place.map), PD_OK);
	cr_assert(eras_read_memory(&eras, place.metadata, place.nr_metadata, false));
	for (uint32_t i = 0; i < 1000; i++)
		cr_expect_eq(eras.era[i], i == 0 || i == 1 || i == 10, "%u", i);
	end();
}
