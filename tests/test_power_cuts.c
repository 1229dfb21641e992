/* SPDX-License-Identifier: MIT */
/*
 * Power cuts and failing devices while metadata is written over other metadata, by what era_restore
 * and era_repair do: at every instant, whatever of the unflushed writes has reached the disk, there is
 * no metadata, or all of the new, or (before anything else is touched) all of the old.
 */
#include "tests/support/failing_io.h"
#include "tests/support/fixture.h"
#include "tests/support/image.h"
#include "tests/support/io_log.h"
#include "tests/support/naive.h"
#include "tests/support/random.h"

/* Behind image.h, whose names of offsets are not the library's. */
#include "era/check.h"
#include "era/salvage.h"
#include "era/write.h"
#include "era/xml_read.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SUBSETS 64 /* of the writes of an epoch */

TestSuite(power_cuts, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 600);

/* What is written, to any device. */
struct job {
	int (*run)(const struct job *job, struct block_io *out);
	struct image image; /* to be salvaged, */
	char *xml;	    /* or a dump to be restored */
	size_t size, at;
};

static int read_text(void *context, char *buffer, size_t size, size_t *nr)
{
	struct job *job = context;

	*nr = size < job->size - job->at ? size : job->size - job->at;
	memcpy(buffer, job->xml + job->at, *nr);
	job->at += *nr;
	return PD_OK;
}

static int restore(const struct job *job, struct block_io *out)
{
	struct job reading = *job;
	struct text_input text = {read_text, &reading};
	struct sink *sink;
	int r;

	cr_assert_eq(metadata_write_open(out, &sink), PD_OK);
	r = xml_read(&text, sink, NULL);
	metadata_write_close(sink);
	return r;
}

static int repair(const struct job *job, struct block_io *out)
{
	const struct find_hints hints = {0};
	struct salvage *salvage;
	struct block_io *in;
	struct sink *sink;
	int r;

	cr_assert(!block_io_open_memory(job->image.bytes, job->image.nr_blocks, &in) &&
		  !salvage_open(in, &hints, NULL, &salvage) && !metadata_write_open(out, &sink));
	r = salvage_read(salvage, sink, NULL);
	metadata_write_close(sink);
	salvage_close(salvage);
	block_io_close(in);
	return r;
}

static void load(struct image *image, const char *name)
{
	struct fixture fixture;

	fixture_open(&fixture, name);
	cr_assert(image_load(image, fixture.image));
	truth_free(&fixture.truth);
}

static void job_init(struct job *job, bool from_xml)
{
	struct naive_image file;
	struct naive naive;

	*job = (struct job){.run = from_xml ? restore : repair};
	load(&job->image, "crash");
	file = (struct naive_image){.bytes = job->image.bytes, .nr_blocks = job->image.nr_blocks};
	cr_assert(naive_load(&naive, &file, false));
	if (from_xml)
		job->xml = naive_dump(&naive, NAIVE_COMPACT, &job->size);
	naive_free(&naive);
	/* A block of the era array, so that there is something to repair. */
	image_block(&job->image, image_get(&job->image, 0, SB_ERA_ARRAY, 8) - 2)[99] ^= 1;
}

static void job_free(struct job *job)
{
	image_free(&job->image);
	free(job->xml);
}

/* What a device may look like. */

struct scene {
	struct image old, whole; /* before the job, and after it */
	struct image now;
	bool anything_flushed;
	unsigned nr_whole, nr_old, nr_none;
};

static int count_finding(void *context, const struct finding *finding)
{
	(void)finding;
	++*(unsigned *)context;
	return PD_OK;
}

/* Whether there is metadata, and whether it is sound. */
static bool has_metadata(const struct image *image, bool *sound)
{
	unsigned nr_findings = 0;
	struct check_visitor visitor = {NULL, &nr_findings, count_finding};
	struct metadata *metadata;
	struct block_io *io;
	bool has;

	cr_assert_eq(block_io_open_memory(image->bytes, image->nr_blocks, &io), PD_OK);
	has = !metadata_open(io, false, NULL, &metadata);
	if (has) {
		cr_assert_eq(metadata_check(metadata, &visitor, NULL), PD_OK);
		metadata_close(metadata);
	}
	*sound = has && !nr_findings;
	block_io_close(io);
	return has;
}

static void judge(struct scene *scene, const char *what, size_t nr)
{
	uint8_t *superblock = image_block(&scene->now, 0);
	bool is_old = !memcmp(superblock, image_block(&scene->old, 0), IMAGE_BLOCK);
	bool sound;

	if (!has_metadata(&scene->now, &sound)) {
		scene->nr_none++;
		return;
	}
	cr_expect(sound, "%s at %zu: unsound metadata", what, nr);
	if (is_old) {
		cr_expect_not(scene->anything_flushed, "%s at %zu: the old superblock", what, nr);
		cr_expect_eq(memcmp(scene->now.bytes, scene->old.bytes,
				    scene->now.nr_blocks * IMAGE_BLOCK),
			     0, "%s at %zu: not all of the old", what, nr);
		scene->nr_old++;
	} else {
		cr_expect_eq(memcmp(scene->now.bytes, scene->whole.bytes,
				    scene->now.nr_blocks * IMAGE_BLOCK),
			     0, "%s at %zu: not all of the new", what, nr);
		scene->nr_whole++;
	}
}

static void copy_image(struct image *to, const struct image *from)
{
	memcpy(to->bytes, from->bytes, from->nr_blocks * IMAGE_BLOCK);
}

/* Another fixture's metadata, which is what gets written over. */
static void scene_init(struct scene *scene, struct job *job)
{
	struct block_io *io;

	memset(scene, 0, sizeof(*scene));
	load(&scene->old, "clean-digested");
	image_init(&scene->whole, scene->old.nr_blocks);
	image_init(&scene->now, scene->old.nr_blocks);
	copy_image(&scene->whole, &scene->old);
	cr_assert_eq(block_io_open_memory(scene->whole.bytes, scene->whole.nr_blocks, &io), PD_OK);
	cr_assert_eq(job->run(job, io), PD_OK);
	block_io_close(io);
}

static void scene_free(struct scene *scene)
{
	image_free(&scene->old);
	image_free(&scene->whole);
	image_free(&scene->now);
}

/* Power cuts. */

static void log_job(const struct job *job, const struct scene *scene, struct io_log *log)
{
	struct image image;
	struct block_io *io, *logged;

	image_init(&image, scene->old.nr_blocks);
	copy_image(&image, &scene->old);
	cr_assert_eq(block_io_open_memory(image.bytes, image.nr_blocks, &io), PD_OK);
	io_log_init(log);
	logged = io_log_open(log, 0, io);
	cr_assert_eq(job->run(job, logged), PD_OK);
	block_io_close(logged);
	block_io_close(io);
	image_free(&image);
}

static void replay(struct scene *scene, const struct io_log *log, size_t nr)
{
	copy_image(&scene->now, &scene->old);
	io_log_replay(log, nr, 0, scene->now.bytes);
	scene->anything_flushed = nr > 0;
}

/* Of the writes since the last flush any may be there. */
static void cut_subsets(struct scene *scene, const struct io_log *log, size_t epoch, size_t end,
			struct random *random)
{
	size_t nr = end - epoch;
	bool all = nr < 6;

	for (uint64_t i = 0; i < (all ? UINT64_C(1) << nr : MAX_SUBSETS); i++) {
		uint64_t subset = all ? i : random_any(random);

		replay(scene, log, epoch);
		for (size_t n = 0; n < nr; n++)
			if (subset >> n % 64 & 1)
				io_record_apply(&log->records[epoch + n],
						io_record_sectors(&log->records[epoch + n]),
						scene->now.bytes);
		judge(scene, "a subset of the writes", end);
	}
}

/* Of the last write only a part may be there. */
static void cut_torn(struct scene *scene, const struct io_log *log, size_t nr,
		     struct random *random)
{
	const struct io_record *record = &log->records[nr];
	size_t nr_sectors = io_record_sectors(record);

	for (size_t n = 0; n < nr_sectors; n += n < 16 ? 1 : 1 + random_below(random, 40)) {
		replay(scene, log, nr);
		io_record_apply(record, n, scene->now.bytes);
		scene->anything_flushed = io_log_epoch(log, nr, 0) > 0;
		judge(scene, "a torn write", nr);
	}
}

static void cut(bool from_xml)
{
	struct random random = {random_seed()};
	struct scene scene;
	struct io_log log;
	struct job job;

	job_init(&job, from_xml);
	scene_init(&scene, &job);
	log_job(&job, &scene, &log);
	cr_expect_geq(log.nr, 6, "%zu writes and flushes", log.nr);
	for (size_t nr = 0; nr <= log.nr; nr++) {
		cut_subsets(&scene, &log, io_log_epoch(&log, nr, 0), nr, &random);
		if (nr < log.nr && log.records[nr].count)
			cut_torn(&scene, &log, nr, &random);
	}
	cr_expect(scene.nr_old && scene.nr_none && scene.nr_whole, "%u old, %u none, %u whole",
		  scene.nr_old, scene.nr_none, scene.nr_whole);
	io_log_free(&log);
	scene_free(&scene);
	job_free(&job);
}

Test(power_cuts, restore)
{
	cut(true);
}

Test(power_cuts, repair)
{
	cut(false);
}

/* Failing writes and flushes. */

static bool fails_with(const struct job *job, struct scene *scene, struct failure *failure)
{
	struct block_io *io, *failing;
	int r;

	copy_image(&scene->now, &scene->old);
	cr_assert_eq(block_io_open_memory(scene->now.bytes, scene->now.nr_blocks, &io), PD_OK);
	failing = failing_io_open(io, failure);
	r = job->run(job, failing);
	block_io_close(failing);
	block_io_close(io);
	cr_expect_eq(r, failure_happened(failure) ? PD_ERR_IO : PD_OK, "returned %d", r);
	return r;
}

static void fail(bool from_xml, unsigned kinds, bool for_good)
{
	struct scene scene;
	struct job job;
	long n = 0;
	bool failed;

	job_init(&job, from_xml);
	scene_init(&scene, &job);
	do {
		struct failure failure = {
			.kinds = kinds, .left = n, .for_good = for_good, .error = ENOSPC};

		failed = fails_with(&job, &scene, &failure);
		scene.anything_flushed = false;
		judge(&scene, "a failure", (size_t)n);
	} while (failed && ++n < 1000);
	cr_expect(n > 1 && !failed, "%ld failures", n);
	scene_free(&scene);
	job_free(&job);
}

Test(power_cuts, failing_writes)
{
	for (int i = 0; i < 4; i++)
		fail(i & 1, FAIL_WRITES, i & 2);
}

Test(power_cuts, failing_flushes)
{
	for (int i = 0; i < 4; i++)
		fail(i & 1, FAIL_FLUSHES, i & 2);
}
