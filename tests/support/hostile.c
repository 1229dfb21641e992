/* SPDX-License-Identifier: MIT */
/* Makes small metadata to be spoilt, and judges what the commands do about it. */
#include "tests/support/hostile.h"
#include "tests/support/bounded.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_LIMIT_KIB (64 * 1024)
#define CPU_LIMIT_SECONDS 3.0
#define MESSAGE_LIMIT (128 * 1024)
#define REPAIRED_SIZE (64 << 20) /* bytes; sparse */

/* Sound metadata. */

static uint64_t tree_value(const struct image *image, uint64_t leaf, unsigned i)
{
	return image_get(image, leaf, image_node_values(image, leaf) + (size_t)i * 8, 8);
}

void hostile_init(struct hostile *hostile, bool small)
{
	struct builder *builder = &hostile->builder;
	uint32_t nr_blocks = small ? SMALL_DATA_BLOCKS : HOSTILE_DATA_BLOCKS;

	memset(hostile, 0, sizeof(*hostile));
	builder_init(builder, small ? SMALL_BLOCKS : HOSTILE_BLOCKS);
	hostile->plan = (struct plan){.data_block_size = 128,
				      .nr_blocks = nr_blocks,
				      .current_era = 5,
				      .writeset_bits = nr_blocks};
	for (unsigned i = 0; i < (small ? 1 : 2); i++)
		hostile->writesets[i] = (struct plan_writeset){
			3 + i, nr_blocks, builder_bitset(builder, nr_blocks, 7 + i)};
	hostile->plan.writeset_tree =
		builder_writeset_tree(builder, hostile->writesets, small ? 1 : 2);
	if (!small)
		hostile->plan.writeset_root = builder_bitset(builder, nr_blocks, 13);
	hostile->plan.era_array = builder_era_array(builder, nr_blocks, 3);
}

void hostile_finish(struct hostile *hostile)
{
	const struct image *image = &hostile->builder.image;
	uint64_t *at = hostile->at;

	builder_finish(&hostile->builder, &hostile->plan);
	at[AT_SUPERBLOCK] = 0;
	at[AT_WRITESET_LEAF] = hostile->plan.writeset_tree;
	at[AT_BITSET_LEAF] = hostile->writesets[0].root;
	at[AT_BITSET_BLOCK] = tree_value(image, at[AT_BITSET_LEAF], 0);
	at[AT_CURRENT_LEAF] = hostile->plan.writeset_root;
	at[AT_ERA_LEAF] = hostile->plan.era_array;
	for (unsigned i = 0; i < 3; i++)
		at[AT_ERA_BLOCK_0 + i] = tree_value(image, at[AT_ERA_LEAF], i);
	at[AT_INDEX] = image_get(image, 0, SB_MAP_BITMAP_ROOT, 8);
	at[AT_BITMAP] = image_get(image, at[AT_INDEX], INDEX_ENTRIES, 8);
	at[AT_REF_COUNTS] = image_get(image, 0, SB_MAP_REF_COUNT_ROOT, 8);
}

void hostile_free(struct hostile *hostile)
{
	builder_free(&hostile->builder);
}

void hostile_poke(const struct hostile *hostile, enum place place, size_t offset, size_t size,
		  uint64_t value)
{
	image_poke(&hostile->builder.image, hostile->at[place], offset, size, value);
}

void hostile_make(struct hostile *hostile, const struct hostile_case *test)
{
	hostile_init(hostile, false);
	if (test->plan)
		test->plan(hostile);
	hostile_finish(hostile);
	if (test->spoil)
		test->spoil(hostile);
}

/* Judging. */

/* What a run must be, whatever it read. */
static void expect_bounded(const char *name, const char *command, const struct outcome *outcome)
{
	const char *wrong = outcome_wrong(outcome);

	cr_expect_null(wrong, "%s: %s: %s", name, command, wrong);
	cr_expect(outcome->status == 0 || outcome->err_size || outcome->out_size,
		  "%s: %s failed in silence", name, command);
	cr_expect_lt(outcome->err_size, MESSAGE_LIMIT, "%s: %s said %zu bytes", name, command,
		     outcome->err_size);
	if (bounded_sanitized())
		return;
	cr_expect_lt(outcome->peak_kib, MEMORY_LIMIT_KIB, "%s: %s took %ld KiB", name, command,
		     outcome->peak_kib);
	cr_expect_lt(outcome->cpu_seconds, CPU_LIMIT_SECONDS, "%s: %s took %.1f s", name, command,
		     outcome->cpu_seconds);
}

static struct outcome run(const char *name, const char *command, const char *option,
			  const char *value, bool snapshot, const char *path)
{
	const char *argv[6] = {command};
	struct outcome outcome;
	int n = 1;

	if (option)
		argv[n++] = option;
	if (value)
		argv[n++] = value;
	if (snapshot)
		argv[n++] = "--metadata-snapshot";
	argv[n] = path;
	outcome = bounded_run(argv);
	expect_bounded(name, command, &outcome);
	return outcome;
}

static void judge_check(const char *name, const char *path, bool snapshot, enum verdict verdict,
			const char *phrase)
{
	struct outcome outcome = run(name, "era_check", NULL, NULL, snapshot, path);

	cr_expect_eq(outcome.status, verdict != SOUND, "%s: era_check: exit status %d: %s", name,
		     outcome.status, outcome.err);
	cr_expect(verdict == SOUND || strstr(outcome.err, phrase), "%s: no '%s' in: %s", name,
		  phrase, outcome.err);
	outcome_free(&outcome);

	outcome = run(name, "era_check", "--ignore-non-fatal-errors", NULL, snapshot, path);
	cr_expect_eq(outcome.status, verdict == FATAL, "%s: without the non-fatal: %d: %s", name,
		     outcome.status, outcome.err);
	outcome_free(&outcome);

	outcome = run(name, "era_check", "--json", NULL, snapshot, path);
	cr_expect_eq(outcome.status, verdict != SOUND, "%s: --json: exit status %d", name,
		     outcome.status);
	/* What cannot be opened is told of on stderr. */
	cr_expect(outcome.out[0] == '{' || (verdict == FATAL && !outcome.out_size),
		  "%s: --json: %s", name, outcome.out);
	outcome_free(&outcome);
}

static void judge_dump(const char *name, const char *path, bool snapshot, bool readable,
		       const char *option)
{
	struct outcome outcome = run(name, "era_dump", option, NULL, snapshot, path);
	bool whole = strstr(outcome.out, "</superblock>") != NULL;

	cr_expect_eq(outcome.status, !readable, "%s: era_dump: exit status %d: %s", name,
		     outcome.status, outcome.err);
	cr_expect_eq(whole, readable, "%s: era_dump: %s", name,
		     whole ? "a whole document of what is damaged" : "no end of the document");
	outcome_free(&outcome);
}

static void judge_invalidate(const char *name, const char *path, bool snapshot, bool readable,
			     const char *since)
{
	struct outcome outcome =
		run(name, "era_invalidate", "--written-since", since, snapshot, path);

	cr_expect_eq(outcome.status, !readable, "%s: era_invalidate: exit status %d: %s", name,
		     outcome.status, outcome.err);
	cr_expect(readable || !outcome.out_size, "%s: era_invalidate printed %s", name,
		  outcome.out);
	outcome_free(&outcome);
}

static void judge_ls(const char *name, const char *path, bool snapshot, bool readable,
		     const char *option)
{
	struct outcome outcome = run(name, "era_ls", option, NULL, snapshot, path);

	cr_expect_eq(outcome.status, !readable, "%s: era_ls: exit status %d: %s", name,
		     outcome.status, outcome.err);
	cr_expect_eq(outcome.out_size > 0, readable, "%s: era_ls printed %s", name, outcome.out);
	outcome_free(&outcome);
}

/* All of it a hole. false: it cannot be as large as the superblock asks for, or there is no next era. */
static bool make_origin(char *origin, const char *path, bool readable)
{
	uint8_t block[IMAGE_BLOCK] = {0};
	const struct image image = {.bytes = block, .nr_blocks = 1};
	int fd = readable ? open(path, O_RDONLY) : -1;
	uint64_t size = IMAGE_BLOCK;

	if (readable) {
		cr_assert(fd >= 0 && pread(fd, block, sizeof(block), 0) == sizeof(block));
		size = image_get(&image, 0, SB_NR_BLOCKS, 4) *
		       image_get(&image, 0, SB_DATA_BLOCK_SIZE, 4) * 512;
		readable = image_get(&image, 0, SB_CURRENT_ERA, 4) != UINT32_MAX;
		close(fd);
	}
	fd = mkstemp(origin);
	cr_assert(fd >= 0, "%s", origin);
	if (ftruncate(fd, (off_t)size))
		readable = false;
	close(fd);
	return readable;
}

/* A stream without its end marker is none. */
static void judge_copy(const char *name, const char *path, bool snapshot, bool readable)
{
	char origin[] = "/tmp/era-origin-XXXXXX";
	struct outcome outcome;

	readable = make_origin(origin, path, readable);
	outcome = snapshot ? BOUNDED_RUN("era_copy", "--written-since", "1", "--metadata-snapshot",
					 path, origin)
			   : BOUNDED_RUN("era_copy", "--written-since", "1", path, origin);
	expect_bounded(name, "era_copy", &outcome);
	cr_expect_eq(outcome.status, !readable, "%s: era_copy: exit status %d: %s", name,
		     outcome.status, outcome.err);
	cr_expect(readable ? outcome.out_size && outcome.out[outcome.out_size - 1] == 'e'
			   : !outcome.out_size,
		  "%s: era_copy wrote %zu bytes", name, outcome.out_size);
	outcome_free(&outcome);
	unlink(origin);
}

/* What it makes of anything is sound, or it makes nothing. */
static void judge_repair(const char *name, const char *path, bool readable)
{
	char repaired[] = "/tmp/era-repaired-XXXXXX";
	int fd = mkstemp(repaired);
	struct outcome outcome;

	cr_assert(fd >= 0 && !ftruncate(fd, REPAIRED_SIZE), "%s", repaired);
	close(fd);
	outcome = BOUNDED_RUN("era_repair", "-i", path, "-o", repaired);
	expect_bounded(name, "era_repair", &outcome);
	cr_expect(!readable || !outcome.status, "%s: era_repair: %s", name, outcome.err);
	if (outcome.status == 0) {
		outcome_free(&outcome);
		outcome = run(name, "era_check", NULL, NULL, false, repaired);
		cr_expect_eq(outcome.status, 0, "%s: repaired: %s", name, outcome.err);
	} else {
		cr_expect(outcome.err_size, "%s: era_repair failed in silence", name);
	}
	outcome_free(&outcome);
	unlink(repaired);
}

void hostile_judge_file(const char *name, const char *path, bool snapshot, enum verdict verdict,
			const char *phrase)
{
	bool readable = verdict <= HINT;

	judge_check(name, path, snapshot, verdict, phrase);
	judge_dump(name, path, snapshot, readable, NULL);
	judge_dump(name, path, snapshot, readable, "--logical");
	judge_dump(name, path, snapshot, readable, "--compact");
	judge_invalidate(name, path, snapshot, readable, "0");
	judge_invalidate(name, path, snapshot, readable, "3");
	judge_invalidate(name, path, snapshot, readable, "4294967295");
	judge_ls(name, path, snapshot, readable, NULL);
	judge_ls(name, path, snapshot, readable, "--json");
	judge_ls(name, path, snapshot, readable, "--map");
	judge_copy(name, path, snapshot, readable);
	if (!snapshot)
		judge_repair(name, path, readable);
}

static void judge(const char *name, const struct image *image, bool snapshot, enum verdict verdict,
		  const char *phrase)
{
	char path[] = "/tmp/era-hostile-XXXXXX";
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && image_save(image, path), "%s", path);
	close(fd);
	hostile_judge_file(name, path, snapshot, verdict, phrase);
	unlink(path);
}

void hostile_judge(const char *name, const struct image *image, enum verdict verdict,
		   const char *phrase)
{
	judge(name, image, false, verdict, phrase);
}

void hostile_judge_snapshot(const char *name, const struct image *image, enum verdict verdict,
			    const char *phrase)
{
	judge(name, image, true, verdict, phrase);
}

void hostile_judge_cases(const struct hostile_case *cases, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct hostile hostile;

		hostile_make(&hostile, &cases[i]);
		hostile_judge(cases[i].name, &hostile.builder.image, cases[i].verdict,
			      cases[i].phrase);
		hostile_free(&hostile);
	}
}
