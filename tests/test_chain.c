/* SPDX-License-Identifier: MIT */
/*
 * Chains of copies: a copy of the whole and many increments must equal the origin, byte for byte, while
 * it is written to at random; through the commands, and through a second reader of the stream that
 * knows no more than what RBD's documentation says. ERA_SEED=n runs again what a message about that
 * seed is about.
 */
#include "era/map.h"
#include "era/metadata_size.h"
#include "persistent-data/error.h"
#include "tests/support/command.h"
#include "tests/support/fixture.h"
#include "tests/support/naive.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_CHAINS 6
#define NR_STEPS 14
#define MAX_BLOCKS 400
#define RBD_HEAD 12 /* bytes of the first line */

TestSuite(chain, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 900);

static struct {
	uint32_t block_size, nr_blocks, era; /* sectors; data blocks; the current one */
	uint64_t size;			     /* bytes */
	uint8_t *bytes;
	uint32_t last[MAX_BLOCKS]; /* era of the last write to each block */
} origin;

static uint8_t *plain; /* the target of the second reader */
static char who[40];   /* seed and step, for messages */

static struct random numbers;

static uint32_t below(uint64_t limit)
{
	return (uint32_t)random_below(&numbers, limit);
}

/* The runtime that writes go through; NULL: the model alone knows of them. */
static struct {
	struct era_map *map;
	struct block_io *io;
	int meta, origin;
} runtime;

static void write_through(uint64_t at, uint64_t length)
{
	struct era_map_write write;

	if (!runtime.map)
		return;
	cr_assert_eq(era_map_begin_write(runtime.map, at, length, &write), PD_OK, "%s", who);
	cr_assert_eq(pwrite(runtime.origin, origin.bytes + at, length, (off_t)at), (ssize_t)length);
	era_map_end_write(runtime.map, &write);
}

/* The origin. */

/* A write of any bytes, at any place, in the current era; often zeroes. */
static void write_origin(void)
{
	uint64_t at = below(4) ? below(origin.size) : below(origin.size / 4096 + 1) * 4096ull;
	uint64_t length = below(below(3) ? 20000 : 100000) + 1;
	uint64_t block_bytes = origin.block_size * 512ull;
	bool zero = !below(3);

	if (at >= origin.size)
		return;
	if (length > origin.size - at)
		length = origin.size - at;
	for (uint64_t i = at; i < at + length; i++)
		origin.bytes[i] = zero ? 0 : (uint8_t)below(256);
	for (uint64_t i = at / block_bytes; i <= (at + length - 1) / block_bytes; i++)
		origin.last[i] = origin.era;
	write_through(at, length);
}

static void write_often(void)
{
	for (uint32_t n = below(12); n; n--)
		write_origin();
}

static void make_origin(void)
{
	origin.block_size = 8 * (1 + below(8));
	origin.nr_blocks = 1 + below(MAX_BLOCKS);
	origin.size = origin.nr_blocks * origin.block_size * 512ull;
	origin.size -= below(origin.block_size * 512);
	origin.era = 1 + below(5);
	origin.bytes = calloc(1, origin.size);
	plain = malloc(origin.size);
	memset(plain, 0xee, origin.size);
	memset(origin.last, 0, sizeof(origin.last));
	/* What was there before the target came, which no era knows. */
	for (uint64_t i = 0; i < origin.size; i++)
		origin.bytes[i] = below(50) ? 0 : (uint8_t)below(256);
}

/* The last eras' blocks as writesets, the others in the era array. */
static void make_metadata(void)
{
	struct naive naive = {.block_size = origin.block_size,
			      .nr_blocks = origin.nr_blocks,
			      .current_era = origin.era};
	uint32_t first = origin.era > 2 ? origin.era - below(3) : origin.era;
	size_t size;
	char *xml;
	struct command_result result;

	naive_make_eras(&naive);
	for (uint32_t i = 0; i < origin.nr_blocks; i++)
		if (origin.last[i] < first)
			naive.eras[i] = origin.last[i];
	for (uint32_t era = first; era <= origin.era; era++) {
		struct naive_writeset *writeset = naive_add_writeset(&naive, era, origin.nr_blocks);

		for (uint32_t i = 0; i < origin.nr_blocks; i++)
			if (origin.last[i] == era)
				naive_set_bit(writeset, i);
	}
	xml = naive_dump(&naive, NAIVE_COMPACT, &size);
	fixture_file("meta", NULL, 256 * 1024);
	result = COMMAND("era_restore", "-i", fixture_file("xml", xml, size), "-o",
			 fixture_path("meta"));
	cr_assert_eq(result.status, 0, "%s: %s", who, result.err);
	command_free(&result);
	free(xml);
	naive_free(&naive);
}

/* The stream, as the documentation has it. */

static uint64_t get_number(const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | from[size];
	return value;
}

static const uint8_t *expect_name(const uint8_t *at, char tag, uint32_t era)
{
	char name[20];
	int length = snprintf(name, sizeof(name), "era-%u", era);

	cr_assert_eq(*at, tag, "%s: tag %c", who, *at);
	cr_assert_eq(get_number(at + 1, 4), (uint64_t)length, "%s", who);
	cr_assert(!memcmp(at + 5, name, (size_t)length), "%s: %.*s", who, length, at + 5);
	return at + 5 + length;
}

static const uint8_t *apply_record(const uint8_t *at, uint64_t *end)
{
	uint64_t offset = get_number(at + 1, 8), length = get_number(at + 9, 8);

	cr_assert(*at == 'w' || *at == 'z', "%s: tag %c", who, *at);
	cr_assert(length && offset >= *end && offset + length <= origin.size, "%s", who);
	*end = offset + length;
	if (*at == 'z')
		memset(plain + offset, 0, length);
	else
		memcpy(plain + offset, at + 17, length);
	return at + 17 + (*at == 'w' ? length : 0);
}

static void apply_plain(const struct command_result *stream, uint32_t from, uint32_t to)
{
	const uint8_t *at = (const uint8_t *)stream->out;
	const uint8_t *end_of_stream = at + stream->out_size;
	uint64_t end = 0;

	cr_assert(stream->out_size > RBD_HEAD && !memcmp(at, "rbd diff v1\n", RBD_HEAD));
	at += RBD_HEAD;
	if (from)
		at = expect_name(at, 'f', from);
	at = expect_name(at, 't', to);
	cr_assert_eq(*at, 's');
	cr_assert_eq(get_number(at + 1, 8), origin.size);
	for (at += 9; at < end_of_stream && *at != 'e';)
		at = apply_record(at, &end);
	cr_assert(at + 1 == end_of_stream, "%s", who);
}

/* Steps of a chain. */

static struct command_result copy(const char *path, uint32_t since, uint32_t next)
{
	/* An option twice is as good as once; the commands take no empty ones. */
	const char *reading = runtime.map ? "--metadata-snapshot" : "--output=-";
	char from[16], to[16];
	struct command_result stream;

	snprintf(from, sizeof(from), "%u", since);
	snprintf(to, sizeof(to), "%u", next);
	stream = next ? COMMAND("era_copy", reading, "--written-since", from, "--next", to,
				fixture_path("meta"), path)
		      : COMMAND("era_copy", reading, "--written-since", from, fixture_path("meta"),
				path);
	cr_assert_eq(stream.status, 0, "%s: %s", who, stream.err);
	cr_assert_str_empty(stream.err, "%s", who);
	return stream;
}

static int apply_piped(const struct command_result *stream, size_t size)
{
	struct command_setup setup = {.piped = stream->out, .piped_size = size};
	struct command_result result = COMMAND_WITH(&setup, "era_apply", fixture_path("target"));
	int status = result.status;

	cr_assert(status == 1 || !*result.err, "%s: %s", who, result.err);
	command_free(&result);
	return status;
}

static int apply_file(const struct command_result *stream, size_t size)
{
	const char *path = fixture_file("stream", stream->out, size);
	struct command_result result = COMMAND("era_apply", "-i", path, fixture_path("target"));
	int status = result.status;

	command_free(&result);
	return status;
}

static uint8_t *read_target(void)
{
	uint8_t *bytes = malloc(origin.size + 1);
	FILE *file = fopen(fixture_path("target"), "r");

	cr_assert(file && fread(bytes, 1, origin.size + 1, file) == origin.size, "%s", who);
	fclose(file);
	return bytes;
}

static void expect_equal(const uint8_t *expected, const uint8_t *got, const char *what)
{
	for (uint64_t i = 0; i < origin.size; i++)
		cr_assert_eq(expected[i], got[i], "%s: %s: byte %lu (block %lu)", who, what, i,
			     i / (origin.block_size * 512));
}

static void expect_target(const uint8_t *expected)
{
	uint8_t *bytes = read_target();

	expect_equal(expected, bytes, "the target");
	expect_equal(expected, plain, "the second reader");
	free(bytes);
}

/* A stream that is cut, from a file: nothing may happen. */
static void apply_cut_file(const struct command_result *stream)
{
	uint8_t *before = read_target(), *after;

	cr_assert_eq(apply_file(stream, below(stream->out_size)), 1, "%s", who);
	after = read_target();
	expect_equal(before, after, "a cut stream");
	free(before);
	free(after);
}

/* And through a pipe: only the same stream may follow. */
static void apply_cut_pipe(const struct command_result *stream, uint32_t from)
{
	size_t size = stream->out_size - 1 - below(stream->out_size / 2);
	struct command_result other;

	cr_assert_eq(apply_piped(stream, size), 1, "%s", who);
	if (from && size > 60) {
		other = copy(fixture_path("origin"), from + 1, 0);
		cr_assert_eq(apply_piped(&other, other.out_size), 1, "%s: another stream", who);
		command_free(&other);
	}
}

static void apply(const struct command_result *stream, uint32_t from)
{
	bool whole = !from;

	if (!whole && !below(3))
		apply_cut_file(stream);
	if (!below(3))
		apply_cut_pipe(stream, from);
	for (uint32_t times = 1 + !below(3); times; times--)
		cr_assert_eq(below(2) ? apply_file(stream, stream->out_size)
				      : apply_piped(stream, stream->out_size),
			     0, "%s", who);
}

/* Returns the era that the next copy begins with. */
static uint32_t copy_at_rest(uint32_t from)
{
	struct command_result stream;
	uint32_t next = origin.era + 1;

	write_often();
	make_metadata();
	stream = copy(fixture_file("origin", origin.bytes, origin.size), from, 0);
	apply(&stream, from);
	apply_plain(&stream, from, next);
	expect_target(origin.bytes);
	command_free(&stream);
	origin.era = next;
	return next;
}

/* The origin is frozen, and goes on being written to before the metadata are read. */
static uint32_t copy_frozen(uint32_t from)
{
	struct command_result stream;
	uint32_t next = origin.era + 1;
	uint8_t *frozen = malloc(origin.size);

	memcpy(frozen, origin.bytes, origin.size);
	for (uint32_t n = below(3) + 1; n; n--) {
		origin.era++;
		write_often();
	}
	make_metadata();
	stream = copy(fixture_file("origin", frozen, origin.size), from, next);
	apply(&stream, from);
	apply_plain(&stream, from, next);
	expect_target(frozen);
	command_free(&stream);
	free(frozen);
	return next;
}

/* The origin is not frozen: the target is no state of it, but the next increment makes that good. */
static uint32_t copy_live(uint32_t from)
{
	struct command_result stream;
	uint32_t next = origin.era + 1;

	make_metadata();
	origin.era = next;
	write_often();
	stream = copy(fixture_file("origin", origin.bytes, origin.size), from, 0);
	apply(&stream, from);
	apply_plain(&stream, from, next);
	command_free(&stream);
	return next;
}

/* Through the runtime, while it goes on. */

static uint32_t runtime_era(void)
{
	struct era_map_status status;

	era_map_status(runtime.map, &status);
	cr_assert_eq(status.error, 0, "%s", who);
	return status.era;
}

static void begin_era(int (*message)(struct era_map *map))
{
	/* No more eras wait to be digested than the metadata have room for. */
	era_map_wait_digested(runtime.map);
	cr_assert_eq(message(runtime.map), PD_OK, "%s", who);
	origin.era = runtime_era();
}

static void print_message(void *context, const char *text)
{
	(void)context;
	cr_log_error("%s: %s", who, text);
}

static const struct report talk = {print_message, NULL};

/* On metadata just as large as they have to be. */
static void open_runtime(void)
{
	struct metadata_need need = {origin.nr_blocks, 1, true};
	struct metadata_size size;

	metadata_size(&need, &size);
	runtime.meta = open(fixture_file("meta", NULL, size.total * METADATA_BLOCK_SIZE), O_RDWR);
	runtime.origin = open(fixture_file("origin", origin.bytes, origin.size), O_RDWR);
	cr_assert(runtime.meta >= 0 && runtime.origin >= 0);
	cr_assert_eq(block_io_open_fd(runtime.meta, &runtime.io), PD_OK);
	cr_assert_eq(era_map_open(runtime.io, origin.block_size, origin.size, &talk, &runtime.map),
		     PD_OK);
	cr_assert_eq(era_map_start(runtime.map), PD_OK);
	origin.era = runtime_era();
}

static void close_runtime(void)
{
	cr_assert_eq(era_map_close(runtime.map), PD_OK, "%s", who);
	block_io_close(runtime.io);
	close(runtime.meta);
	close(runtime.origin);
	runtime.map = NULL;
}

/* Of the snapshot that is held. expected: what the target must be then; NULL: nobody knows. */
static void copy_held(const char *path, uint32_t from, uint32_t to, const uint8_t *expected)
{
	struct command_result stream = copy(path, from, to);

	apply(&stream, from);
	apply_plain(&stream, from, to);
	if (expected)
		expect_target(expected);
	command_free(&stream);
}

/* Nothing is written between the snapshot and the copy, or all the time. */
static uint32_t copy_running(uint32_t from, bool rests)
{
	uint32_t to;

	begin_era(era_map_take_metadata_snap);
	to = origin.era;
	if (!rests)
		write_often();
	copy_held(fixture_path("origin"), from, to, rests ? origin.bytes : NULL);
	write_often();
	cr_assert_eq(era_map_drop_metadata_snap(runtime.map), PD_OK);
	return to;
}

/* The origin is frozen as an era begins; the snapshot is taken later. */
static uint32_t copy_running_frozen(uint32_t from)
{
	uint8_t *frozen = malloc(origin.size);
	uint32_t next;

	begin_era(era_map_checkpoint);
	next = origin.era;
	memcpy(frozen, origin.bytes, origin.size);
	write_often();
	begin_era(era_map_take_metadata_snap);
	write_often();
	copy_held(fixture_file("frozen", frozen, origin.size), from, next, frozen);
	cr_assert_eq(era_map_drop_metadata_snap(runtime.map), PD_OK);
	free(frozen);
	return next;
}

static void run_live_chain(uint64_t seed)
{
	uint32_t from = 0;

	numbers.state = seed;
	unlink(fixture_path("target"));
	unlink(fixture_path("target.era"));
	make_origin();
	open_runtime();
	for (unsigned step = 0; step < NR_STEPS; step++) {
		snprintf(who, sizeof(who), "live seed %lu, step %u", seed, step);
		write_often();
		if (!below(3))
			begin_era(era_map_checkpoint);
		write_often();
		from = below(3) ? copy_running(from, below(2)) : copy_running_frozen(from);
	}
	copy_running(from, true);
	close_runtime();
	free(origin.bytes);
	free(plain);
}

Test(chain, a_whole_and_increments_are_the_origin_that_the_runtime_serves)
{
	for (uint64_t i = 1; i <= NR_CHAINS; i++)
		run_live_chain(random_setting("ERA_SEED", i));
}

static void run_chain(uint64_t seed)
{
	uint32_t from = 0;

	numbers.state = seed;
	unlink(fixture_path("target"));
	unlink(fixture_path("target.era"));
	make_origin();
	for (unsigned step = 0; step < NR_STEPS; step++) {
		snprintf(who, sizeof(who), "seed %lu, step %u", seed, step);
		write_often();
		switch (step ? below(3) : 0) {
		case 0:
			from = copy_at_rest(from);
			break;
		case 1:
			from = copy_frozen(from);
			break;
		default:
			from = copy_live(from);
		}
	}
	copy_at_rest(from);
	free(origin.bytes);
	free(plain);
}

Test(chain, a_whole_and_increments_are_the_origin)
{
	const char *seed = getenv("ERA_SEED");

	if (seed) {
		run_chain(strtoull(seed, NULL, 10));
		return;
	}
	for (uint64_t i = 1; i <= NR_CHAINS; i++)
		run_chain(i);
}
