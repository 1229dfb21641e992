/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: a stream of differences. It is taken if a second, plain reader takes it; the target
 * then holds what that one makes of it. Never is anything written past the target, nor, by a stream that
 * is refused, anything but what it says. What was taken, written again, does the same.
 */
#include "era/apply.h"
#include "persistent-data/le.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#define MAX_SIZE (128 * 1024) /* bytes of a target */
#define FILLER 0xa5	      /* what is in it before */

/* The plain reader, which has all of the stream in memory, and applies it to `bytes`. */

struct plain {
	const uint8_t *at, *end;
	struct rbd_diff_header header;
	bool has_from, has_to, has_size;
	uint64_t next;
	uint8_t *bytes; /* MAX_SIZE */
};

static bool take(struct plain *plain, uint64_t size, const uint8_t **bytes)
{
	if (size > (uint64_t)(plain->end - plain->at))
		return false;
	*bytes = plain->at;
	plain->at += size;
	return true;
}

static bool take_name(struct plain *plain, bool *has, uint32_t *era)
{
	char name[16] = "", again[16];
	const uint8_t *bytes;
	uint32_t length;

	if (*has || !take(plain, 4, &bytes))
		return false;
	length = get_le32(bytes);
	if (length >= sizeof(name) || !take(plain, length, &bytes))
		return false;
	memcpy(name, bytes, length);
	*has = sscanf(name, "era-%u", era) == 1 && *era;
	snprintf(again, sizeof(again), "era-%u", *era);
	return *has && !strcmp(name, again) && strlen(name) == length;
}

static bool take_size(struct plain *plain)
{
	const uint8_t *bytes;

	if (plain->has_size || !take(plain, 8, &bytes))
		return false;
	plain->has_size = true;
	plain->header.size = get_le64(bytes);
	return !(plain->header.size >> 63);
}

static bool is_complete(const struct plain *plain)
{
	return plain->has_to && plain->has_size && plain->header.from <= plain->header.to;
}

/* What of the data is there is applied, though the stream may end in it. */
static bool take_extent(struct plain *plain, bool has_data)
{
	const uint8_t *bytes;
	uint64_t offset, length, n;
	bool is_whole = true;

	if (!take(plain, 16, &bytes))
		return false;
	offset = get_le64(bytes);
	length = get_le64(bytes + 8);
	if (offset < plain->next || offset > plain->header.size ||
	    length > plain->header.size - offset)
		return false;
	plain->next = offset + length;
	n = length;
	if (has_data && n > (uint64_t)(plain->end - plain->at)) {
		n = (uint64_t)(plain->end - plain->at);
		is_whole = false;
	}
	if (plain->header.size <= MAX_SIZE && has_data)
		memcpy(plain->bytes + offset, plain->at, n);
	else if (plain->header.size <= MAX_SIZE)
		memset(plain->bytes + offset, 0, n);
	if (has_data)
		plain->at += n;
	return is_whole;
}

static bool take_record(struct plain *plain, uint8_t tag, bool *in_head)
{
	if (*in_head && tag == 'f')
		return take_name(plain, &plain->has_from, &plain->header.from);
	if (*in_head && tag == 't')
		return take_name(plain, &plain->has_to, &plain->header.to);
	if (*in_head && tag == 's')
		return take_size(plain);
	if (!is_complete(plain) || (tag != 'w' && tag != 'z'))
		return false;
	if (*in_head && !plain->has_from && plain->header.size <= MAX_SIZE)
		memset(plain->bytes, 0, plain->header.size);
	*in_head = false;
	return take_extent(plain, tag == 'w');
}

static bool read_plainly(struct plain *plain, const uint8_t *data, size_t size, uint8_t *bytes)
{
	static const char banner[] = "rbd diff v1\n";
	const uint8_t *tag;
	bool in_head = true;

	*plain = (struct plain){.at = data, .end = data + size, .bytes = bytes};
	if (!take(plain, strlen(banner), &tag) || memcmp(tag, banner, strlen(banner)) != 0)
		return false;
	do {
		if (!take(plain, 1, &tag))
			return false;
		if (*tag == 'e' && in_head && is_complete(plain) && !plain->has_from &&
		    plain->header.size <= MAX_SIZE)
			memset(bytes, 0, plain->header.size);
	} while (*tag != 'e' && take_record(plain, *tag, &in_head));
	return *tag == 'e' && is_complete(plain) && plain->at == plain->end;
}

/* A target in memory, which nothing may be written past. */

struct target {
	struct data_io io;
	uint8_t bytes[MAX_SIZE];
	unsigned nr_writes;
	bool flushed;
};

static int target_write(struct data_io *io, uint64_t offset, size_t size, const void *buffer)
{
	struct target *target = (struct target *)io;

	MUST(!target->flushed && offset <= io->size && size <= io->size - offset);
	target->nr_writes++;
	memcpy(target->bytes + offset, buffer, size);
	return PD_OK;
}

static int target_zero(struct data_io *io, uint64_t offset, uint64_t size)
{
	struct target *target = (struct target *)io;

	MUST(!target->flushed && offset <= io->size && size <= io->size - offset);
	target->nr_writes++;
	memset(target->bytes + offset, 0, size);
	return PD_OK;
}

static int target_flush(struct data_io *io)
{
	((struct target *)io)->flushed = true;
	return PD_OK;
}

static const struct data_io_ops target_ops = {
	.write = target_write, .zero = target_zero, .flush = target_flush};

static void target_init(struct target *target)
{
	target->io = (struct data_io){&target_ops, MAX_SIZE};
	target->nr_writes = 0;
	target->flushed = false;
	memset(target->bytes, FILLER, MAX_SIZE);
}

/* The reader that is tested. */

static int source_skip(void *context, uint64_t nr)
{
	struct source *source = context;
	size_t left = source->size - source->at;

	source->at += nr < left ? (size_t)nr : left;
	return PD_OK;
}

/* All of these may read the stream in pieces. */
static int check(const uint8_t *data, size_t size, size_t piece, bool skips)
{
	static struct rbd_diff diff;
	struct source source = {data, size, 0, piece};
	const struct rbd_diff_input input = {{source_read, &source}, skips ? source_skip : NULL};
	int r = rbd_diff_open(&diff, &input);

	return r ? r : apply_check(&diff);
}

static int apply(const uint8_t *data, size_t size, size_t piece, struct target *target)
{
	static struct rbd_diff diff;
	struct source source = {data, size, 0, piece};
	const struct rbd_diff_input input = {{source_read, &source}, NULL};
	const struct apply apply = {.diff = &diff, .target = &target->io};
	int r = rbd_diff_open(&diff, &input);

	target_init(target);
	return r ? r : apply_run(&apply, NULL);
}

static void apply_to_too_small(const uint8_t *data, size_t size, size_t piece)
{
	static struct target target;
	int r = apply(data, size, piece, &target);

	MUST((r == PD_ERR_NO_SPACE || r == PD_ERR_CORRUPT) && !target.nr_writes);
}

/* Either all of what the plain reader made of it, or, of a bad stream, nothing else. */
static void compare(const struct target *target, const uint8_t *bytes, bool is_good)
{
	MUST(target->flushed == is_good);
	if (!memcmp(target->bytes, bytes, MAX_SIZE))
		return;
	for (size_t i = 0; i < MAX_SIZE; i++)
		MUST(target->bytes[i] == bytes[i] || (!is_good && target->bytes[i] == FILLER));
}

/* Writing again. */

struct memory {
	uint8_t *bytes;
	size_t size;
};

static int memory_write(void *context, const char *text, size_t size)
{
	struct memory *memory = context;

	memory->bytes = realloc(memory->bytes, memory->size + size + 1);
	MUST(memory->bytes);
	memcpy(memory->bytes + memory->size, text, size);
	memory->size += size;
	return PD_OK;
}

static void put_extent(struct text *text, struct rbd_diff *diff, struct rbd_diff_extent extent)
{
	static uint8_t data[40000]; /* more than goes through the buffer of text */

	if (!extent.has_data)
		rbd_diff_put_zeroes(text, extent.offset, extent.length);
	while (extent.has_data && extent.length) {
		size_t part = extent.length < sizeof(data) ? (size_t)extent.length : sizeof(data);

		MUST(!rbd_diff_read(diff, data, part));
		rbd_diff_put_data(text, extent.offset, data, part);
		extent.offset += part;
		extent.length -= part;
	}
}

static struct memory write_again(const uint8_t *data, size_t size)
{
	static struct rbd_diff diff;
	struct source source = {data, size, 0, 0};
	const struct rbd_diff_input input = {{source_read, &source}, NULL};
	struct memory memory = {NULL, 0};
	const struct text_output output = {memory_write, &memory};
	struct rbd_diff_extent extent;
	struct text text;

	MUST(!rbd_diff_open(&diff, &input) && !text_init(&text, &output));
	rbd_diff_put_header(&text, &diff.header);
	while (!rbd_diff_next(&diff, &extent) && extent.length)
		put_extent(&text, &diff, extent);
	rbd_diff_put_end(&text);
	MUST(!text_flush(&text));
	text_destroy(&text);
	return memory;
}

static void check_written_again(const uint8_t *data, size_t size, const uint8_t *bytes)
{
	static struct target target;
	struct memory once = write_again(data, size);
	struct memory twice = write_again(once.bytes, once.size);

	MUST(once.size == twice.size && !memcmp(once.bytes, twice.bytes, once.size));
	if (bytes) {
		MUST(!apply(once.bytes, once.size, 0, &target));
		compare(&target, bytes, true);
	}
	free(once.bytes);
	free(twice.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[MAX_SIZE];
	static struct target target;
	size_t piece = size % 5 ? size % 97 + 1 : 0;
	struct plain plain;
	bool is_good, fits;
	int r = check(data, size, piece, false);

	memset(bytes, FILLER, sizeof(bytes));
	is_good = read_plainly(&plain, data, size, bytes);
	fits = plain.header.size <= MAX_SIZE;
	MUST(r == (is_good ? PD_OK : PD_ERR_CORRUPT));
	MUST(check(data, size, piece, true) == r);
	if (fits) {
		MUST(apply(data, size, piece, &target) == r);
		compare(&target, bytes, is_good);
	} else {
		apply_to_too_small(data, size, piece);
	}
	if (is_good)
		check_written_again(data, size, fits ? bytes : NULL);
	return 0;
}
