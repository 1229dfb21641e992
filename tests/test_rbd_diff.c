/* SPDX-License-Identifier: MIT */
/*
 * The stream of differences: byte for byte what RBD's documentation says; every hostile stream refused;
 * and what applying one does to a target, write by write.
 */
#include "era/apply.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A stream in memory, read in pieces. */

struct stream {
	uint8_t bytes[1 << 20];
	size_t size, at, piece;
	uint64_t nr_skipped;
};

static struct stream stream;

static int stream_write(void *context, const char *text, size_t size)
{
	(void)context;
	cr_assert(stream.size + size <= sizeof(stream.bytes));
	memcpy(stream.bytes + stream.size, text, size);
	stream.size += size;
	return PD_OK;
}

static int stream_read(void *context, char *buffer, size_t size, size_t *nr)
{
	(void)context;
	*nr = stream.at < stream.size ? stream.size - stream.at : 0;
	if (*nr > size)
		*nr = size;
	if (stream.piece && *nr > stream.piece)
		*nr = stream.piece;
	memcpy(buffer, stream.bytes + stream.at, *nr);
	stream.at += *nr;
	return PD_OK;
}

static int stream_skip(void *context, uint64_t nr)
{
	(void)context;
	stream.at = nr < sizeof(stream.bytes) ? stream.at + nr : sizeof(stream.bytes);
	stream.nr_skipped += nr;
	return PD_OK;
}

static const struct rbd_diff_input plain_input = {{stream_read, NULL}, NULL};
static const struct rbd_diff_input skipping_input = {{stream_read, NULL}, stream_skip};

static void clear(void)
{
	stream.size = stream.at = stream.piece = 0;
	stream.nr_skipped = 0;
}

static void put(const void *bytes, size_t size)
{
	stream_write(NULL, bytes, size);
}

static void put_number(uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		put(&(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static void put_name(char tag, const char *name)
{
	put(&tag, 1);
	put_number(strlen(name), 4);
	put(name, strlen(name));
}

static void put_size(uint64_t size)
{
	put("s", 1);
	put_number(size, 8);
}

static void put_extent(char tag, uint64_t offset, uint64_t length)
{
	put(&tag, 1);
	put_number(offset, 8);
	put_number(length, 8);
}

/* From era 3 to era 5 of 20000 bytes. */
static void put_head(void)
{
	clear();
	put("rbd diff v1\n", 12);
	put_name('f', "era-3");
	put_name('t', "era-5");
	put_size(20000);
}

static struct rbd_diff diff;

static int check(const struct rbd_diff_input *input)
{
	int r;

	stream.at = 0;
	r = rbd_diff_open(&diff, input);
	return r ? r : apply_check(&diff);
}

/* Writing. */

Test(rbd_diff, what_is_written_is_what_the_documentation_says)
{
	static uint8_t data[300000];
	const struct text_output output = {stream_write, NULL};
	uint8_t *expected;
	size_t size;
	struct text text;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	clear();
	put("rbd diff v1\n", 12);
	put_name('f', "era-12");
	put_name('t', "era-4294967295");
	put_size(1 << 20);
	put_extent('w', 4096, 300000);
	put(data, 300000);
	put_extent('z', 400000, 1000);
	put_extent('w', 500000, 3);
	put(data, 3);
	put("e", 1);
	size = stream.size;
	expected = malloc(size);
	memcpy(expected, stream.bytes, size);

	clear();
	cr_assert_eq(text_init(&text, &output), PD_OK);
	rbd_diff_put_header(&text, &(struct rbd_diff_header){12, UINT32_MAX, 1 << 20});
	rbd_diff_put_data(&text, 4096, data, 300000);
	rbd_diff_put_zeroes(&text, 400000, 1000);
	rbd_diff_put_data(&text, 500000, data, 3);
	rbd_diff_put_end(&text);
	cr_assert_eq(text_flush(&text), PD_OK);
	text_destroy(&text);
	cr_assert_eq(stream.size, size);
	cr_expect(!memcmp(stream.bytes, expected, size));
	free(expected);
	cr_expect_eq(check(&plain_input), PD_OK, "%s", diff.problem);
	cr_expect_eq(diff.header.from, 12);
	cr_expect_eq(diff.header.to, UINT32_MAX);
	cr_expect_eq(diff.header.size, 1 << 20);
}

Test(rbd_diff, a_copy_of_the_whole_starts_from_no_snapshot)
{
	const struct text_output output = {stream_write, NULL};
	struct text text;

	clear();
	cr_assert_eq(text_init(&text, &output), PD_OK);
	rbd_diff_put_header(&text, &(struct rbd_diff_header){0, 9, 512});
	rbd_diff_put_end(&text);
	cr_assert_eq(text_flush(&text), PD_OK);
	text_destroy(&text);
	cr_expect_eq(stream.size, 32);
	cr_expect(!memcmp(stream.bytes, "rbd diff v1\nt\5\0\0\0era-9s\0\2\0\0\0\0\0\0e", 32));
}

/* Reading. */

Test(rbd_diff, records_about_the_whole_come_in_any_order)
{
	clear();
	put("rbd diff v1\n", 12);
	put_size(5);
	put_name('t', "era-5");
	put_name('f', "era-3");
	put_extent('w', 0, 5);
	put("abcde", 5);
	put("e", 1);
	cr_expect_eq(check(&plain_input), PD_OK, "%s", diff.problem);
	cr_expect_eq(diff.header.from, 3);
	cr_expect_eq(diff.header.to, 5);
}

static void expect_refused(const char *phrase)
{
	size_t pieces[] = {0, 1, 7};

	for (unsigned i = 0; i < 3; i++) {
		stream.piece = pieces[i];
		cr_expect_eq(check(&plain_input), PD_ERR_CORRUPT, "%s: taken", phrase);
		cr_expect(strstr(diff.problem, phrase), "%s: %s", phrase, diff.problem);
		cr_expect_eq(check(&skipping_input), PD_ERR_CORRUPT, "%s: taken", phrase);
	}
}

static void refuse_extents(const char *phrase, uint64_t offset, uint64_t length)
{
	put_head();
	put_extent('z', 0, 1000);
	put_extent('z', offset, length);
	put("e", 1);
	expect_refused(phrase);
}

static void refuse_name(const char *name)
{
	clear();
	put("rbd diff v1\n", 12);
	put_name('t', name);
	put_size(1);
	put("e", 1);
	expect_refused("not the beginning of an era");
}

Test(rbd_diff, names_are_those_of_eras)
{
	refuse_name("");
	refuse_name("era-");
	refuse_name("era-0");
	refuse_name("era-05");
	refuse_name("era-4294967296");
	refuse_name("era-99999999999999999999");
	refuse_name("era-1x");
	refuse_name("era--1");
	refuse_name("Era-1");
	refuse_name("snap");
}

Test(rbd_diff, extents_lie_within_the_device_and_ascend)
{
	refuse_extents("past the device", 20000, 1);
	refuse_extents("past the device", 19999, 2);
	refuse_extents("past the device", UINT64_MAX, 2);
	refuse_extents("past the device", 1000, UINT64_MAX);
	refuse_extents("out of order", 999, 1);
	refuse_extents("out of order", 0, 1000);
}

Test(rbd_diff, what_breaks_the_format_is_refused)
{
	clear();
	expect_refused("not a stream");
	put("rbd diff v2\n", 12);
	expect_refused("not a stream");
	put_head();
	expect_refused("without an end marker");
	put("x", 1);
	expect_refused("unknown record");
	put_head();
	put_extent('z', 0, 1);
	put_name('f', "era-3");
	expect_refused("unknown record");
	put_head();
	put_name('f', "era-3");
	expect_refused("two snapshot names");
	put_head();
	put_size(1);
	expect_refused("two sizes");
	put_head();
	put("e", 1);
	cr_expect_eq(check(&plain_input), PD_OK);
	put("e", 1);
	expect_refused("behind its end marker");
	clear();
	put("rbd diff v1\n", 12);
	put_size(1);
	put("e", 1);
	expect_refused("which era it leads to");
	clear();
	put("rbd diff v1\n", 12);
	put_name('t', "era-1");
	put("e", 1);
	expect_refused("size");
	clear();
	put("rbd diff v1\n", 12);
	put_name('f', "era-2");
	put_name('t', "era-1");
	put_size(1);
	put("e", 1);
	expect_refused("back to");
	clear();
	put("rbd diff v1\nt", 13);
	put_number(4097, 4);
	expect_refused("4097 bytes");
	clear();
	put("rbd diff v1\n", 12);
	put_name('t', "era-1");
	put_size(UINT64_C(1) << 63);
	expect_refused("2^63");
}

/* A target in memory, whose writes can fail. */

#define TARGET_SIZE 20000

static uint8_t bytes[TARGET_SIZE];
static unsigned nr_ops, nr_flushes, fail_at; /* fail_at 0: never */

static int operate(void)
{
	errno = EIO;
	return ++nr_ops == fail_at ? PD_ERR_IO : PD_OK;
}

static int target_write(struct data_io *io, uint64_t offset, size_t size, const void *buffer)
{
	(void)io;
	cr_expect_eq(nr_flushes, 0, "a write behind the flush");
	if (operate())
		return PD_ERR_IO;
	memcpy(bytes + offset, buffer, size);
	return PD_OK;
}

static int target_zero(struct data_io *io, uint64_t offset, uint64_t size)
{
	static const uint8_t zeroes[TARGET_SIZE];

	return target_write(io, offset, size, zeroes);
}

static int target_flush(struct data_io *io)
{
	(void)io;
	nr_flushes++;
	return operate();
}

static const struct data_io_ops target_ops = {NULL, target_write, target_zero, target_flush, NULL};

static int apply(unsigned fail)
{
	struct data_io target = {&target_ops, TARGET_SIZE};
	const struct apply apply = {&diff, &target, NULL, NULL};
	int r;

	nr_ops = nr_flushes = 0;
	fail_at = fail;
	stream.at = 0;
	r = rbd_diff_open(&diff, &plain_input);
	return r ? r : apply_run(&apply, NULL);
}

static void put_some(void)
{
	put_extent('w', 100, 5);
	put("hello", 5);
	put_extent('z', 200, 300);
	put_extent('w', 19999, 1);
	put("!", 1);
	put("e", 1);
}

static void expect_applied(uint8_t rest)
{
	for (size_t i = 0; i < TARGET_SIZE; i++) {
		uint8_t byte = rest;

		if (i >= 100 && i < 105)
			byte = (uint8_t) "hello"[i - 100];
		if (i >= 200 && i < 500)
			byte = 0;
		if (i == 19999)
			byte = '!';
		cr_assert_eq(bytes[i], byte, "byte %zu", i);
	}
}

Test(rbd_diff, an_increment_touches_nothing_else)
{
	put_head();
	put_some();
	memset(bytes, 0xff, sizeof(bytes));
	for (int times = 0; times < 2; times++) {
		cr_assert_eq(apply(0), PD_OK, "%s", diff.problem);
		cr_expect_eq(nr_flushes, 1);
		expect_applied(0xff);
	}
}

Test(rbd_diff, a_copy_of_the_whole_wipes_what_it_leaves_out)
{
	clear();
	put("rbd diff v1\n", 12);
	put_name('t', "era-5");
	put_size(TARGET_SIZE);
	put_some();
	memset(bytes, 0xff, sizeof(bytes));
	cr_assert_eq(apply(0), PD_OK, "%s", diff.problem);
	expect_applied(0);
	/* An end that nothing is said about. */
	stream.size -= 1 + 17 + 1;
	put("e", 1);
	bytes[19999] = 1;
	cr_assert_eq(apply(0), PD_OK, "%s", diff.problem);
	cr_expect_eq(bytes[19999], 0);
}

Test(rbd_diff, every_failing_operation_is_told)
{
	unsigned nr, fail = 1;

	put_head();
	put_some();
	cr_assert_eq(apply(0), PD_OK);
	nr = nr_ops;
	cr_assert_eq(nr, 4);
	for (; fail <= nr; fail++)
		cr_expect_eq(apply(fail), PD_ERR_IO, "operation %u", fail);
	cr_expect_eq(apply(fail), PD_OK);
}

/* Cut at every byte: refused, and applied again it is whole. */
Test(rbd_diff, every_cut_is_noticed)
{
	size_t size;

	put_head();
	put_some();
	size = stream.size;
	for (size_t cut = 0; cut < size; cut++) {
		memset(bytes, 0xff, sizeof(bytes));
		stream.size = cut;
		cr_expect_eq(apply(0), PD_ERR_CORRUPT, "cut at %zu", cut);
		cr_expect_eq(nr_flushes, 0);
		stream.size = size;
		cr_expect_eq(apply(0), PD_OK);
		expect_applied(0xff);
	}
}

Test(rbd_diff, data_are_passed_over_where_that_can_be)
{
	put_head();
	put_extent('w', 0, 20000);
	stream.size += 20000;
	put("e", 1);
	stream.piece = 100;
	cr_expect_eq(check(&skipping_input), PD_OK, "%s", diff.problem);
	cr_expect(stream.nr_skipped > 19000);
	stream.size -= 2;
	expect_refused("without an end marker");
}

/* Bytes at random, most of them those of a stream: no crash, nothing beyond the device. */
Test(rbd_diff, spoilt_streams_do_no_harm)
{
	uint64_t state = 1;
	static uint8_t sound[4096];
	size_t size;

	put_head();
	put_some();
	size = stream.size;
	memcpy(sound, stream.bytes, size);
	for (unsigned i = 0; i < 200000; i++) {
		memcpy(stream.bytes, sound, size);
		stream.size = size;
		for (unsigned n = 0; n < 1 + i % 3; n++) {
			state = state * 6364136223846793005 + 1442695040888963407;
			stream.bytes[(state >> 33) % size] = (uint8_t)(state >> 56);
		}
		apply(0);
	}
}

/* The state. */

static void expect_state(struct apply_state state, const char *expected)
{
	char text[APPLY_STATE_MAX];
	struct apply_state again;

	apply_state_encode(&state, text);
	cr_expect_str_eq(text, expected);
	cr_assert(apply_state_decode(&again, text));
	cr_expect(again.from == state.from && again.era == state.era && again.size == state.size &&
		  again.applying == state.applying);
}

Test(rbd_diff, the_state_is_text)
{
	static const char *const bad[] = {
		"",
		"era_apply 1\n",
		"era_apply 2\nera 1\nsize 1\n",
		"era_apply 1\nera 0\nsize 1\n",
		"era_apply 1\nera 1\nsize 1",
		"era_apply 1\nera 1\nsize 1\n\n",
		"era_apply 1\nera  1\nsize 1\n",
		"era_apply 1\nera 01\nsize 1\n",
		"era_apply 1\nera 4294967296\nsize 1\n",
		"era_apply 1\nera -1\nsize 1\n",
		"era_apply 1\nera 1\nsize 99999999999999999999\n",
		"era_apply 1\napplying 1\nsize 1\n",
		"era_apply 1\napplying 1 0\nsize 1\n",
	};
	struct apply_state state;

	expect_state((struct apply_state){0, 17, 1ull << 40, false},
		     "era_apply 1\nera 17\nsize 1099511627776\n");
	expect_state((struct apply_state){0, 4, 0, true}, "era_apply 1\napplying 0 4\nsize 0\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(apply_state_decode(&state, bad[i]), "%s", bad[i]);
}

static bool accepted(const struct apply_state *state, uint32_t from, uint32_t to, uint64_t size)
{
	return !apply_accept(state, &(struct rbd_diff_header){from, to, size}, NULL);
}

Test(rbd_diff, only_what_follows_is_accepted)
{
	const struct apply_state at_5 = {0, 5, 100, false}, in_part = {5, 7, 100, true};

	cr_expect(accepted(&at_5, 5, 7, 100));
	cr_expect(accepted(&at_5, 5, 5, 100));
	cr_expect(accepted(&at_5, 3, 5, 100), "again");
	cr_expect_not(accepted(&at_5, 3, 4, 100));
	cr_expect_not(accepted(&at_5, 3, 7, 100));
	cr_expect_not(accepted(&at_5, 6, 7, 100));
	cr_expect_not(accepted(&at_5, 5, 7, 101));
	cr_expect(accepted(&at_5, 0, 2, 101), "the whole");
	cr_expect(accepted(&in_part, 5, 7, 100));
	cr_expect_not(accepted(&in_part, 5, 8, 100));
	cr_expect_not(accepted(&in_part, 7, 8, 100));
	cr_expect_not(accepted(&in_part, 4, 7, 100));
	cr_expect(accepted(&in_part, 0, 7, 100));
	cr_expect(accepted(NULL, 0, 7, 100));
	cr_expect_not(accepted(NULL, 5, 7, 100));
}
