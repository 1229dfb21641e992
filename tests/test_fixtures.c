/* SPDX-License-Identifier: MIT */
/*
 * The commands on metadata that a real kernel wrote: against what was really done to the device, and
 * against the naive implementation. ERA_FIXTURES may name another directory of such images.
 */
#include "tests/support/command.h"
#include "tests/support/fixture.h"
#include "tests/support/naive.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Dumps of more lines than these are left out: the largest fixture's would take 40 GB. */
#define MAX_FULL_LINES 2000000
#define MAX_LINES 10000000

#define MAX_ERAS 64   /* of which all are tried */
#define NR_SAMPLES 20 /* of a fixture with more */

#define TEST_SECONDS 900

static struct fixture fixture;
static struct naive_image image;
static struct naive model;
static const char *who; /* fixture and reading, for messages */

TestSuite(fixtures, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = TEST_SECONDS);

static struct criterion_test_params every_fixture(void)
{
	size_t nr;
	struct fixture_name *names = fixture_names(&nr);
	struct fixture_name *params = cr_malloc(nr * sizeof(*params));

	memcpy(params, names, nr * sizeof(*params));
	free(names);
	return (struct criterion_test_params){
		.size = sizeof(*params), .params = params, .length = nr};
}

static void open_fixture(const struct fixture_name *name)
{
	fixture_open(&fixture, name->name);
	cr_assert(naive_open(&image, fixture.image), "%s", fixture.image);
	who = name->name;
}

static void close_fixture(void)
{
	naive_close(&image);
	truth_free(&fixture.truth);
}

static void load(bool snapshot)
{
	cr_assert(naive_load(&model, &image, snapshot), "%s: %s", who, image.problem);
}

static void expect_printed(struct command_result result, const char *what, const char *text,
			   size_t size)
{
	char problem[400];

	cr_expect(command_printed(&result, text, size, problem), "%s: %s: %s", who, what, problem);
	command_free(&result);
}

static void expect_silence(struct command_result result, const char *what)
{
	expect_printed(result, what, "", 0);
}

static void expect_refused(struct command_result result, const char *name, const char *phrase)
{
	char problem[400];

	cr_expect(command_refused(&result, name, phrase, problem), "%s: %s: %s", who, name,
		  problem);
	command_free(&result);
}

/* era_check. */

static void expect_sound(const char *path)
{
	char line[PATH_MAX + 16];

	snprintf(line, sizeof(line), "%s: sound\n", path);
	expect_printed(COMMAND("era_check", path), "era_check", line, strlen(line));
}

/* jq parses what is printed, and judges it. */
static void expect_sound_json(struct command_result result, const char *source)
{
	char filter[160];
	struct command_setup setup = {.piped = result.out, .piped_size = result.out_size};

	cr_expect_eq(result.status, 0, "%s: --json: %s", who, result.err);
	cr_expect_str_empty(result.err, "%s: --json", who);
	snprintf(filter, sizeof(filter),
		 ".sound and .source == \"%s\" and .findings == [] and .more == [] and "
		 ".messages == [] and .fatal == 0 and .non_fatal == 0",
		 source);
	expect_printed(COMMAND_WITH(&setup, "/usr/bin/jq", filter), "jq", "true\n", 5);
	command_free(&result);
}

static void check_snapshot(const char *path)
{
	char line[PATH_MAX + 16];

	snprintf(line, sizeof(line), "%s: sound\n", path);
	expect_printed(COMMAND("era_check", "--metadata-snapshot", path), "the snapshot", line,
		       strlen(line));
	expect_sound_json(COMMAND("era_check", "--metadata-snapshot", "--json", path), "snapshot");
}

static void refuse_snapshot(const char *path)
{
	expect_refused(COMMAND("era_check", "--metadata-snapshot", path), "era_check", "snapshot");
	expect_refused(COMMAND("era_dump", "--metadata-snapshot", path), "era_dump", "snapshot");
	expect_refused(
		COMMAND("era_invalidate", "--metadata-snapshot", "--written-since", "0", path),
		"era_invalidate", "snapshot");
}

ParameterizedTestParameters(fixtures, check)
{
	return every_fixture();
}

ParameterizedTest(struct fixture_name *name, fixtures, check)
{
	open_fixture(name);
	cr_expect(naive_check_counts(&image), "%s: %s", who, image.problem);
	expect_sound(fixture.image);
	expect_silence(COMMAND("era_check", "-q", fixture.image), "-q");
	expect_silence(COMMAND("era_check", "-q", "--super-block-only", fixture.image),
		       "--super-block-only");
	expect_sound_json(COMMAND("era_check", "--json", fixture.image), "offline");
	if (naive_snapshot(&image))
		check_snapshot(fixture.image);
	else
		refuse_snapshot(fixture.image);
	close_fixture();
}

/* era_dump. */

static void check_dump(const char *option, enum naive_shape shape, bool snapshot)
{
	uint64_t max = shape == NAIVE_FULL ? MAX_FULL_LINES : MAX_LINES;
	const char *reading = snapshot ? "--metadata-snapshot" : option;
	size_t size;
	char *text;

	if (naive_nr_lines(&model, shape) > max)
		return;
	text = naive_dump(&model, shape, &size);
	/* An option twice is as good as once; the commands take no empty ones. */
	expect_printed(COMMAND("era_dump", option, reading, fixture.image), option, text, size);
	free(text);
}

static void check_dumps(bool snapshot)
{
	load(snapshot);
	check_dump("--output=-", NAIVE_FULL, snapshot);
	check_dump("--compact", NAIVE_COMPACT, snapshot);
	check_dump("--logical", NAIVE_LOGICAL, snapshot);
	naive_free(&model);
}

ParameterizedTestParameters(fixtures, dump)
{
	return every_fixture();
}

ParameterizedTest(struct fixture_name *name, fixtures, dump)
{
	open_fixture(name);
	check_dumps(false);
	if (naive_snapshot(&image))
		check_dumps(true);
	close_fixture();
}

/* era_invalidate. */

static void check_changed(const struct truth_eras *truth, uint32_t since, bool snapshot)
{
	size_t size;
	char *text = naive_changed(truth->eras, truth->nr_blocks, since, &size);
	char number[16], what[64];

	snprintf(number, sizeof(number), "%u", since);
	snprintf(what, sizeof(what), "%s since %u", snapshot ? "snapshot," : "", since);
	if (snapshot)
		expect_printed(COMMAND("era_invalidate", "--metadata-snapshot", "--written-since",
				       number, fixture.image),
			       what, text, size);
	else
		expect_printed(COMMAND("era_invalidate", "--written-since", number, fixture.image),
			       what, text, size);
	free(text);
}

/* The naive reader has to find the truth as well, or it would be no model. */
static void check_model(const struct truth_eras *truth, bool snapshot)
{
	uint32_t *eras;

	load(snapshot);
	eras = naive_block_eras(&model);
	cr_expect_eq(model.current_era, truth->current_era, "%s", who);
	cr_assert_eq(model.nr_blocks, truth->nr_blocks, "%s", who);
	cr_expect_arr_eq(eras, truth->eras, model.nr_blocks * sizeof(*eras), "%s: naive", who);
	free(eras);
	naive_free(&model);
}

/* From era 0 on, each or a sample; in any case the first two and the last three. */
static void check_invalidate(const struct truth_eras *truth, bool snapshot)
{
	uint32_t end = truth->current_era + 2;
	uint32_t step = end > MAX_ERAS ? end / NR_SAMPLES : 1;

	check_model(truth, snapshot);
	for (uint32_t since = 0; since < end; since += since == 0 || since > end - 4 ? 1 : step)
		check_changed(truth, since, snapshot);
	for (uint32_t since = end - 3; step > 1 && since < end; since++)
		check_changed(truth, since, snapshot);
}

ParameterizedTestParameters(fixtures, invalidate)
{
	return every_fixture();
}

ParameterizedTest(struct fixture_name *name, fixtures, invalidate)
{
	uint64_t snapshot;

	open_fixture(name);
	snapshot = naive_snapshot(&image);
	check_invalidate(&fixture.truth.now, false);
	if (snapshot) {
		cr_assert_eq(snapshot, fixture.truth.snap_block, "%s", who);
		check_invalidate(&fixture.truth.snap, true);
	}
	close_fixture();
}

/* Round trips. */

/* A new device as large as the fixture's. */
static const char *new_device(const char *name)
{
	return fixture_file(name, NULL, image.nr_blocks * 4096);
}

/* What was restored must be sound, and say what the model says. */
static void check_restored(const char *path, const char *what)
{
	struct naive_image restored;
	struct naive found;
	char problem[160];

	expect_sound(path);
	cr_assert(naive_open(&restored, path));
	if (naive_load(&found, &restored, false))
		cr_expect(naive_same(&found, &model, problem), "%s: %s: %s", who, what, problem);
	cr_expect(naive_check_counts(&restored), "%s: %s: %s", who, what, restored.problem);
	naive_free(&found);
	naive_close(&restored);
}

static void expect_same_bytes(const char *a, const char *b)
{
	expect_silence(COMMAND("/usr/bin/cmp", a, b), "cmp");
}

/* Through files: era_dump -o, era_restore -i, and era_dump again. */
static void round_trip(const char *option, const char *reading)
{
	const char *xml = fixture_path("a.xml"), *again = fixture_path("b.xml");
	const char *device = new_device("restored.img");

	expect_silence(COMMAND("era_dump", option, reading, "-o", xml, fixture.image), option);
	expect_silence(COMMAND("era_restore", "-i", xml, "-o", device), "era_restore");
	expect_silence(COMMAND("era_dump", option, "-o", again, device), "era_dump again");
	expect_same_bytes(xml, again);
	check_restored(device, option);
}

/* Through pipes: the same XML and the same metadata. It is a.xml and restored.img that are there. */
static void pipe_trip(const char *option, const char *reading)
{
	const char *xml = fixture_path("a.xml"), *device = new_device("piped.img");
	struct command_result dump =
		COMMAND("era_dump", option, reading, "--output", "-", fixture.image);
	struct command_setup pipe = {.piped = dump.out, .piped_size = dump.out_size};
	struct command_setup file = {.input = xml};

	fixture_file("stdout.xml", dump.out, dump.out_size);
	expect_same_bytes(fixture_path("stdout.xml"), xml);
	expect_silence(COMMAND_WITH(&pipe, "era_restore", "-i", "-", "-o", device), "a pipe");
	expect_same_bytes(device, fixture_path("restored.img"));
	device = new_device("piped.img");
	expect_silence(COMMAND_WITH(&file, "era_restore", "--input=-", "--output", device),
		       "standard input");
	expect_same_bytes(device, fixture_path("restored.img"));
	command_free(&dump);
}

/* Makes the model what a logical dump says. */
static void fold_model(void)
{
	uint32_t *eras = naive_block_eras(&model);

	for (uint32_t i = 0; i < model.nr_writesets; i++)
		free(model.writesets[i].bits);
	model.nr_writesets = 0;
	free(model.eras);
	model.eras = eras;
}

static void round_trips(bool snapshot)
{
	const char *reading = snapshot ? "--metadata-snapshot" : "--output=-";

	load(snapshot);
	if (naive_nr_lines(&model, NAIVE_COMPACT) <= MAX_LINES) {
		round_trip("--compact", reading);
		pipe_trip("--compact", reading);
	}
	if (naive_nr_lines(&model, NAIVE_FULL) <= MAX_FULL_LINES)
		round_trip("--output=-", reading);
	fold_model();
	if (naive_nr_lines(&model, NAIVE_LOGICAL) <= MAX_LINES)
		round_trip("--logical", reading);
	naive_free(&model);
}

ParameterizedTestParameters(fixtures, round_trip)
{
	return every_fixture();
}

ParameterizedTest(struct fixture_name *name, fixtures, round_trip)
{
	open_fixture(name);
	round_trips(false);
	if (naive_snapshot(&image))
		round_trips(true);
	close_fixture();
}
