/* SPDX-License-Identifier: MIT */
/* Keeps a stream as records, each of a head and, padded, what belongs to it. */
#include "era/spool.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 8 /* bytes: all records begin at a multiple */
#define PAYLOAD_MAX 32768
#define READ_SIZE (256 * 1024)
#define CHECKSUM_BEGIN 0xffffffff /* or nothing but zeroes would be right */

enum kind { BEGIN, WRITESET_BEGIN, WORDS, WRITESET_END, ERAS, END };

struct head {
	uint32_t kind;
	uint32_t n;	/* words, eras; bits of a writeset */
	uint64_t first; /* word, block; a writeset's era */
	/* Of all records up to this one and its payload, so that none can be missing or another's. */
	uint32_t checksum;
	uint32_t padding;
};

struct spool {
	struct sink sink;
	struct sink *next;
	struct text text;
	uint32_t checksum; /* so far */
};

static size_t padded(size_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static uint32_t add_to_checksum(uint32_t checksum, const struct head *head, const void *payload,
				size_t size)
{
	checksum = crc32c(checksum, head, offsetof(struct head, checksum));
	return crc32c(checksum, payload, size);
}

static void keep(struct spool *spool, enum kind kind, uint64_t first, uint32_t n,
		 const void *payload, size_t size)
{
	struct head head = {.kind = kind, .n = n, .first = first};
	char *to = text_room(&spool->text, sizeof(head) + padded(size));

	if (size)
		memcpy(to + sizeof(head), payload, size);
	memset(to + sizeof(head) + size, 0, padded(size) - size);
	spool->checksum = add_to_checksum(spool->checksum, &head, to + sizeof(head), padded(size));
	head.checksum = spool->checksum;
	memcpy(to, &head, sizeof(head));
	text_filled(&spool->text, to + sizeof(head) + padded(size));
}

/* Values of `size` bytes each, in pieces. */
static void keep_values(struct spool *spool, enum kind kind, uint64_t first, const void *values,
			unsigned n, size_t size)
{
	const uint8_t *from = values;

	while (n) {
		unsigned part = n < PAYLOAD_MAX / size ? n : (unsigned)(PAYLOAD_MAX / size);

		keep(spool, kind, first, part, from, part * size);
		first += part;
		from += part * size;
		n -= part;
	}
}

static int spool_begin(struct sink *sink, const struct stream_info *info)
{
	struct spool *spool = (struct spool *)sink;

	keep(spool, BEGIN, 0, 0, info, sizeof(*info));
	return spool->next->ops->begin(spool->next, info);
}

static int spool_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct spool *spool = (struct spool *)sink;

	keep(spool, WRITESET_BEGIN, era, nr_bits, NULL, 0);
	return spool->next->ops->writeset_begin(spool->next, era, nr_bits);
}

static int spool_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	struct spool *spool = (struct spool *)sink;

	keep_values(spool, WORDS, first_word, words, n, sizeof(*words));
	return spool->next->ops->writeset_words(spool->next, first_word, words, n);
}

static int spool_writeset_end(struct sink *sink)
{
	struct spool *spool = (struct spool *)sink;

	keep(spool, WRITESET_END, 0, 0, NULL, 0);
	return spool->next->ops->writeset_end(spool->next);
}

static int spool_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct spool *spool = (struct spool *)sink;

	keep_values(spool, ERAS, first_block, eras, n, sizeof(*eras));
	return spool->next->ops->eras(spool->next, first_block, eras, n);
}

static int spool_end(struct sink *sink)
{
	struct spool *spool = (struct spool *)sink;

	keep(spool, END, 0, 0, NULL, 0);
	text_flush(&spool->text);
	return spool->next->ops->end(spool->next);
}

int spool_open(const struct text_output *output, struct sink *next, struct sink **result)
{
	static const struct sink_ops ops = {
		.begin = spool_begin,
		.writeset_begin = spool_writeset_begin,
		.writeset_words = spool_words,
		.writeset_end = spool_writeset_end,
		.eras = spool_eras,
		.end = spool_end,
	};
	struct spool *spool = malloc(sizeof(*spool));

	if (!spool || text_init(&spool->text, output)) {
		free(spool);
		return PD_ERR_NO_MEMORY;
	}
	spool->sink.ops = &ops;
	spool->next = next;
	spool->checksum = CHECKSUM_BEGIN;
	*result = &spool->sink;
	return PD_OK;
}

int spool_error(const struct sink *sink)
{
	return text_error(&((const struct spool *)sink)->text);
}

void spool_close(struct sink *sink)
{
	struct spool *spool = (struct spool *)sink;

	if (!spool)
		return;
	text_destroy(&spool->text);
	free(spool);
}

/* Playing. */

struct replay {
	const struct text_input *input;
	uint8_t *buffer;   /* aligned, as records are */
	size_t begin, end; /* of what is in it and was not taken yet */
	uint32_t checksum; /* of the records so far */
};

/* The next size bytes, which are there until more are asked for; NULL: they cannot be had. */
static const void *next_bytes(struct replay *replay, size_t size)
{
	const uint8_t *bytes;

	if (replay->end - replay->begin < size) {
		memmove(replay->buffer, replay->buffer + replay->begin,
			replay->end - replay->begin);
		replay->end -= replay->begin;
		replay->begin = 0;
	}
	while (replay->end < replay->begin + size) {
		size_t nr;

		if (replay->input->read(replay->input->context,
					(char *)replay->buffer + replay->end,
					READ_SIZE - replay->end, &nr))
			return NULL;
		if (!nr)
			return NULL;
		replay->end += nr;
	}
	bytes = replay->buffer + replay->begin;
	replay->begin += size;
	return bytes;
}

static size_t payload_size(const struct head *head)
{
	switch (head->kind) {
	case BEGIN:
		return padded(sizeof(struct stream_info));
	case WORDS:
		return head->n * sizeof(uint64_t);
	case ERAS:
		return padded(head->n * sizeof(uint32_t));
	default:
		return 0;
	}
}

/* The next record as it was kept; false: it is not there any longer. */
static bool next_record(struct replay *replay, struct head *head, const void **payload)
{
	const void *bytes = next_bytes(replay, sizeof(*head));

	if (!bytes)
		return false;
	memcpy(head, bytes, sizeof(*head));
	*payload = next_bytes(replay, payload_size(head));
	if (!*payload)
		return false;
	replay->checksum = add_to_checksum(replay->checksum, head, *payload, payload_size(head));
	return replay->checksum == head->checksum;
}

static int play(const struct head *head, const void *payload, struct sink *sink)
{
	switch (head->kind) {
	case BEGIN:
		return sink->ops->begin(sink, payload);
	case WRITESET_BEGIN:
		return sink->ops->writeset_begin(sink, (uint32_t)head->first, head->n);
	case WORDS:
		return sink->ops->writeset_words(sink, head->first, payload, head->n);
	case WRITESET_END:
		return sink->ops->writeset_end(sink);
	case ERAS:
		return sink->ops->eras(sink, (uint32_t)head->first, payload, head->n);
	default:
		return sink->ops->end(sink);
	}
}

static int play_all(struct replay *replay, struct sink *sink)
{
	struct head head = {.kind = BEGIN};
	const void *payload;
	int r = PD_OK;

	while (!r && head.kind != END)
		r = next_record(replay, &head, &payload) ? play(&head, payload, sink)
							 : PD_ERR_CORRUPT;
	return r;
}

int spool_replay(const struct text_input *input, struct sink *sink)
{
	struct replay replay = {
		.input = input, .buffer = malloc(READ_SIZE), .checksum = CHECKSUM_BEGIN};
	int r = replay.buffer ? play_all(&replay, sink) : PD_ERR_NO_MEMORY;

	free(replay.buffer);
	return r;
}
