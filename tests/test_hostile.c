/* SPDX-License-Identifier: MIT */
/*
 * Hostile metadata: wrong reference counts, a device beyond the format's limit, snapshots, lawful and
 * not. And files that are no metadata at all.
 */
#include "tests/support/bounded.h"
#include "tests/support/hostile.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(hostile, .timeout = 300);

/* The space map. Block 63 is free. */

#define FREE_BLOCK (HOSTILE_BLOCKS - 1)

static void leak(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, FREE_BLOCK, 1);
}

static void leak_threefold(struct hostile *hostile)
{
	hostile->builder.counts[FREE_BLOCK] = 3;
}

static void era_block_free(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->at[AT_ERA_BLOCK_1], 0);
}

static void superblock_free(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, 0, 0);
}

static void bitmap_free(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->at[AT_BITMAP], 0);
}

static void count_too_high(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->at[AT_ERA_BLOCK_1], 2);
}

static void exact_count_missing(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->at[AT_ERA_BLOCK_1], 3);
}

/* A count of five, recorded as it must be, though there is one reference. */
static void exact_count_too_high(struct hostile *hostile)
{
	hostile->builder.counts[hostile->plan.writeset_tree] += 4;
}

static void exact_count_besides(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->plan.writeset_tree, 1);
}

static void exact_count_of(struct hostile *hostile, uint64_t key, uint32_t count)
{
	hostile_poke(hostile, AT_REF_COUNTS, KEY_AT(0), 8, key);
	hostile_poke(hostile, AT_REF_COUNTS, NODE_KEYS + 8 * 336, 4, count);
}

static void exact_count_past_the_end(struct hostile *hostile)
{
	exact_count_of(hostile, HOSTILE_BLOCKS, 3);
}

static void exact_count_far_past_the_end(struct hostile *hostile)
{
	exact_count_of(hostile, UINT64_MAX, UINT32_MAX);
}

static void exact_count_too_low(struct hostile *hostile)
{
	exact_count_of(hostile, hostile->plan.writeset_tree, 0);
}

Test(hostile, reference_counts)
{
	static const struct hostile_case cases[] = {
		{"a leaked block", NULL, leak, LEAK, "metadata block 63: leaked"},
		{"one leaked with a count of three", leak_threefold, NULL, LEAK, "leaked"},
		{"a block in use as free", NULL, era_block_free, FATAL, "too low"},
		{"the superblock as free", NULL, superblock_free, FATAL, "metadata block 0"},
		{"a bitmap as free in itself", NULL, bitmap_free, FATAL, "too low"},
		{"a count too high", NULL, count_too_high, LEAK, "too high"},
		{"a count of three without an exact one", NULL, exact_count_missing, FATAL,
		 "no exact count"},
		{"an exact count too high", exact_count_too_high, NULL, LEAK, "too high"},
		{"an exact count for a small one", exact_count_too_high, exact_count_besides, FATAL,
		 "exact count"},
		{"an exact count past the end", exact_count_too_high, exact_count_past_the_end,
		 FATAL, "past the end"},
		{"an exact count far past the end", exact_count_too_high,
		 exact_count_far_past_the_end, FATAL, "past the end"},
		{"an exact count too low", exact_count_too_high, exact_count_too_low, FATAL,
		 "too low"},
	};

	HOSTILE_JUDGE_CASES(cases);
}

/* As large as the format goes, on a device that is larger still, nearly all of it a hole. */
Test(hostile, largest_device)
{
	char path[] = "/tmp/era-hostile-XXXXXX";
	int fd = mkstemp(path);
	struct builder builder;
	struct plan plan = {
		.data_block_size = 8, .nr_blocks = 100, .current_era = 1, .map_nr_blocks = 4161600};

	builder_init(&builder, 300);
	builder_finish(&builder, &plan);
	cr_assert(fd >= 0 && image_save(&builder.image, path));
	cr_assert_eq(ftruncate(fd, (off_t)4200000 * IMAGE_BLOCK), 0);
	hostile_judge_file("a device of 17 GB", path, false, SOUND, NULL);
	cr_assert_eq(ftruncate(fd, (off_t)4161599 * IMAGE_BLOCK), 0);
	hostile_judge_file("a device a block too small", path, false, FATAL, "truncated");
	close(fd);
	unlink(path);
	builder_free(&builder);
}

/* Pointers behind what the format can use, where the device has blocks. */
Test(hostile, behind_the_largest_device)
{
	static const struct {
		enum place place;
		size_t offset;
		const char *phrase;
	} pointers[] = {
		{AT_ERA_LEAF, VALUE_AT(0), "era array"},
		{AT_SUPERBLOCK, SB_ERA_ARRAY, "era array root outside"},
		{AT_SUPERBLOCK, SB_WRITESET_ROOT, "current writeset root outside"},
		{AT_SUPERBLOCK, SB_SNAPSHOT, "metadata snapshot outside"},
	};

	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
		char path[] = "/tmp/era-hostile-XXXXXX";
		int fd = mkstemp(path);
		struct hostile hostile;

		hostile_init(&hostile, false);
		hostile_finish(&hostile);
		hostile_poke(&hostile, pointers[i].place, pointers[i].offset, 8, 4199999);
		cr_assert(fd >= 0 && image_save(&hostile.builder.image, path));
		cr_assert_eq(ftruncate(fd, (off_t)4200000 * IMAGE_BLOCK), 0);
		hostile_judge_file("a pointer behind all", path, false, FATAL, pointers[i].phrase);
		close(fd);
		unlink(path);
		hostile_free(&hostile);
	}
}

/* Snapshots. */

static void hold_snapshot(struct hostile *hostile, struct plan snapshot)
{
	hostile->plan.snapshot = builder_snapshot(&hostile->builder, &snapshot);
}

/* As the kernel takes one, which begins an era: what it shows has no current writeset of its own. */
static struct plan snapshot_plan(const struct hostile *hostile)
{
	struct plan plan = hostile->plan;

	plan.writeset_root = 0;
	return plan;
}

static void fresh_snapshot(struct hostile *hostile)
{
	hold_snapshot(hostile, snapshot_plan(hostile));
}

/* Its current writeset and space map are something else by now, and nobody may follow them. */
static void snapshot_with_stale_roots(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);
	const struct image *image = &hostile->builder.image;

	plan.writeset_root = plan.era_array;
	plan.writeset_bits = UINT32_MAX;
	hold_snapshot(hostile, plan);
	image_poke(image, hostile->plan.snapshot, SB_MAP_NR_BLOCKS, 8, UINT64_MAX);
	image_poke(image, hostile->plan.snapshot, SB_MAP_BITMAP_ROOT, 8, UINT64_MAX);
	image_poke(image, hostile->plan.snapshot, SB_WRITESET_ROOT, 8, UINT64_MAX);
}

/* The live trees went on: a new leaf over old blocks, a digested writeset gone. */
static void snapshot_held_for_long(struct hostile *hostile)
{
	static const uint64_t zeroes[ERAS_PER_BLOCK];
	const struct image *image = &hostile->builder.image;
	struct builder_entry eras[3];
	struct plan snapshot = snapshot_plan(hostile);

	for (unsigned i = 0; i < 3; i++)
		eras[i] = (struct builder_entry){
			.key = i, .value = image_get(image, snapshot.era_array, VALUE_AT(i), 8)};
	eras[1].value = builder_array_block(&hostile->builder, 4, zeroes, ERAS_PER_BLOCK);
	hold_snapshot(hostile, snapshot);
	hostile->plan.current_era = 7;
	hostile->plan.writeset_tree =
		builder_writeset_tree(&hostile->builder, &hostile->writesets[1], 1);
	hostile->plan.era_array = builder_tree(&hostile->builder, 8, eras, 3);
}

static void shared_root_counted_once(struct hostile *hostile)
{
	builder_set_count(&hostile->builder.image, hostile->plan.era_array, 1);
}

static void snapshot_of_a_snapshot(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.snapshot = 5;
	hold_snapshot(hostile, plan);
}

static void snapshot_from_the_future(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.current_era++;
	hold_snapshot(hostile, plan);
}

static void snapshot_of_another_block_size(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.data_block_size = 8;
	hold_snapshot(hostile, plan);
}

static void snapshot_of_huge_size(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.nr_blocks = UINT32_MAX;
	hold_snapshot(hostile, plan);
}

/* Both of its trees are one: a block is used twice within the snapshot. */
static void snapshot_crossed(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.era_array = plan.writeset_tree;
	hold_snapshot(hostile, plan);
}

static void snapshot_is_a_leaf(struct hostile *hostile)
{
	hostile->plan.snapshot = hostile->plan.writeset_tree;
}

static void snapshot_is_a_live_root(struct hostile *hostile)
{
	hostile->plan.snapshot = hostile->plan.era_array;
}

/* The live superblock, copied as it is, is at the wrong place. */
static void snapshot_misplaced(struct hostile *hostile)
{
	image_poke(&hostile->builder.image, hostile->plan.snapshot, SB_BLOCKNR, 8, 0);
}

static void snapshot_outside(struct hostile *hostile)
{
	hostile_poke(hostile, AT_SUPERBLOCK, SB_SNAPSHOT, 8, HOSTILE_BLOCKS);
}

/* A tree of its own, which is damaged, while the live ones are sound. */
static void snapshot_with_a_tree(struct hostile *hostile)
{
	struct plan plan = snapshot_plan(hostile);

	plan.writeset_tree = builder_writeset_tree(&hostile->builder, hostile->writesets, 2);
	hold_snapshot(hostile, plan);
}

static void damage_snapshot_tree(struct hostile *hostile)
{
	const struct image *image = &hostile->builder.image;
	uint64_t tree = image_get(image, hostile->plan.snapshot, SB_WRITESET_TREE, 8);

	image_block(image, tree)[2000] ^= 1;
}

/* The snapshot is sound, the live trees are not. */
static void damage_live_tree(struct hostile *hostile)
{
	image_block(&hostile->builder.image, hostile->plan.writeset_tree)[2000] ^= 1;
}

Test(hostile, snapshots)
{
	static const struct {
		struct hostile_case offline;
		/* With --metadata-snapshot. */
		enum verdict verdict;
		const char *phrase;
	} cases[] = {
		{{"a fresh snapshot", fresh_snapshot, NULL, SOUND, NULL}, SOUND, NULL},
		{{"one with stale roots", snapshot_with_stale_roots, NULL, SOUND, NULL},
		 SOUND,
		 NULL},
		{{"one held for long", snapshot_held_for_long, NULL, SOUND, NULL}, SOUND, NULL},
		{{"one with a tree of its own", snapshot_with_a_tree, NULL, SOUND, NULL},
		 SOUND,
		 NULL},
		/* Of live metadata the counts cannot be known. */
		{{"a shared root counted once", fresh_snapshot, shared_root_counted_once, FATAL,
		  "too low"},
		 SOUND,
		 NULL},
		{{"a snapshot of a snapshot", snapshot_of_a_snapshot, NULL, FATAL,
		  "metadata snapshot"},
		 FATAL,
		 "snapshot"},
		{{"one from the future", snapshot_from_the_future, NULL, FATAL, "current era"},
		 FATAL,
		 "current era"},
		{{"one of another block size", snapshot_of_another_block_size, NULL, FATAL,
		  "block size"},
		 FATAL,
		 "block size"},
		{{"one of huge size", snapshot_of_huge_size, NULL, FATAL, "data blocks"},
		 FATAL,
		 "data blocks"},
		{{"one whose trees are one", snapshot_crossed, NULL, FATAL, "twice"},
		 FATAL,
		 "twice"},
		{{"one that is a leaf", snapshot_is_a_leaf, NULL, FATAL, "snapshot"},
		 FATAL,
		 "superblock"},
		{{"one that is a live root", snapshot_is_a_live_root, NULL, FATAL, "snapshot"},
		 FATAL,
		 "superblock"},
		{{"one in the wrong place", fresh_snapshot, snapshot_misplaced, FATAL, "snapshot"},
		 FATAL,
		 "superblock"},
		{{"one outside the device", NULL, snapshot_outside, FATAL, "outside"},
		 FATAL,
		 "outside"},
		{{"a damaged tree of the snapshot", snapshot_with_a_tree, damage_snapshot_tree,
		  FATAL, "metadata snapshot: writeset tree"},
		 FATAL,
		 "writeset tree"},
		{{"a damaged live tree", snapshot_with_a_tree, damage_live_tree, FATAL,
		  "writeset tree"},
		 SOUND,
		 NULL},
		{{"no snapshot at all", NULL, NULL, SOUND, NULL}, FATAL, "no metadata snapshot"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hostile hostile;

		hostile_make(&hostile, &cases[i].offline);
		hostile_judge(cases[i].offline.name, &hostile.builder.image,
			      cases[i].offline.verdict, cases[i].offline.phrase);
		hostile_judge_snapshot(cases[i].offline.name, &hostile.builder.image,
				       cases[i].verdict, cases[i].phrase);
		hostile_free(&hostile);
	}
}

/* Files that are something else. */

static void judge_bytes(const char *name, const void *bytes, size_t size, const char *phrase)
{
	char path[] = "/tmp/era-hostile-XXXXXX";
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
	hostile_judge_file(name, path, false, FATAL, phrase);
	unlink(path);
}

Test(hostile, cut_short_at_every_block)
{
	struct hostile hostile;
	char name[64];

	hostile_init(&hostile, false);
	hostile_finish(&hostile);
	for (uint64_t blocks = 1; blocks < HOSTILE_BLOCKS; blocks++) {
		snprintf(name, sizeof(name), "cut after %llu blocks", (unsigned long long)blocks);
		judge_bytes(name, hostile.builder.image.bytes, blocks * IMAGE_BLOCK, "truncated");
		judge_bytes(name, hostile.builder.image.bytes, (blocks + 1) * IMAGE_BLOCK - 1,
			    "truncated");
	}
	judge_bytes("less than a block", hostile.builder.image.bytes, IMAGE_BLOCK - 1, "shorter");
	judge_bytes("nothing", "", 0, "shorter");
	hostile_free(&hostile);
}

Test(hostile, other_kinds_of_file)
{
	uint8_t block[4 * IMAGE_BLOCK] = {0};
	struct hostile hostile;

	judge_bytes("zeroes", block, sizeof(block), "zero");
	memset(block, 0xff, sizeof(block));
	judge_bytes("ones", block, sizeof(block), "superblock");
	memset(block, ' ', sizeof(block));
	memcpy(block, "\n<?xml version=\"1.0\"?>", 22);
	judge_bytes("XML", block, sizeof(block), "XML");
	judge_bytes("XML, short", block, IMAGE_BLOCK - 1, "XML");
	memset(block, 'x', sizeof(block));
	judge_bytes("text, short", block, IMAGE_BLOCK - 1, "shorter");

	hostile_init(&hostile, false);
	hostile_finish(&hostile);
	hostile_poke(&hostile, AT_SUPERBLOCK, SB_MAGIC, 8, 27022010);
	hostile_judge("thin's magic number", &hostile.builder.image, FATAL, "thin");
	hostile_poke(&hostile, AT_SUPERBLOCK, SB_MAGIC, 8, 06142003);
	hostile_judge("cache's magic number", &hostile.builder.image, FATAL, "cache");
	hostile_free(&hostile);
}

Test(hostile, what_is_no_file)
{
	char path[] = "/tmp/era-hostile-XXXXXX";
	char fifo[64];

	cr_assert(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	hostile_judge_file("a directory", path, false, FATAL, "directory");
	hostile_judge_file("a named pipe", fifo, false, FATAL, "pipe");
	hostile_judge_file("a character device", "/dev/zero", false, FATAL, "character device");
	unlink(fifo);
	hostile_judge_file("nothing there", fifo, false, FATAL, "No such file");
	rmdir(path);
}

/* Bytes that XML cannot carry: era_dump cannot, the others can. */
Test(hostile, uuid)
{
	char path[] = "/tmp/era-hostile-XXXXXX";
	int fd = mkstemp(path);
	struct hostile hostile;
	struct outcome outcome;

	hostile_init(&hostile, false);
	hostile_finish(&hostile);
	hostile_poke(&hostile, AT_SUPERBLOCK, SB_UUID, 8, UINT64_C(0x1b5b324a00ff0141));
	cr_assert(fd >= 0 && image_save(&hostile.builder.image, path));
	close(fd);
	outcome = BOUNDED_RUN("era_check", path);
	cr_expect_eq(outcome.status, 1);
	cr_expect(strstr(outcome.err, "uuid"), "%s", outcome.err);
	cr_expect_null(strchr(outcome.err, '\x1b'));
	outcome_free(&outcome);
	outcome = BOUNDED_RUN("era_dump", path);
	cr_expect_eq(outcome.status, 1);
	cr_expect(strstr(outcome.err, "uuid"), "%s", outcome.err);
	cr_expect_null(strstr(outcome.out, "</superblock>"));
	outcome_free(&outcome);
	outcome = BOUNDED_RUN("era_invalidate", "--written-since", "4", path);
	cr_expect_eq(outcome.status, 0, "%s", outcome.err);
	outcome_free(&outcome);
	unlink(path);
	hostile_free(&hostile);
}
