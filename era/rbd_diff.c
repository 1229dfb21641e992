/* SPDX-License-Identifier: MIT */
/* Writes and reads RBD's stream of differences. */
#include "era/rbd_diff.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <stdarg.h>
#include <stdio.h>

#define BANNER "rbd diff v1\n"
#define NAME_BEGIN "era-"
#define NAME_MAX_LENGTH 4096 /* longer ones are garbage, says rbd */
#define COPY_MAX (32 * 1024) /* bytes: data that goes through the buffer of text */

enum tag {
	TAG_FROM = 'f',
	TAG_TO = 't',
	TAG_SIZE = 's',
	TAG_DATA = 'w',
	TAG_ZEROES = 'z',
	TAG_END = 'e',
};

/* Writing. */

static void put_name(struct text *text, enum tag tag, uint32_t era)
{
	char name[sizeof(NAME_BEGIN) + DECIMAL_MAX];
	int length = snprintf(name, sizeof(name), NAME_BEGIN "%u", era);
	char *p = text_room(text, 5 + sizeof(name));

	*p++ = (char)tag;
	put_le32(p, (uint32_t)length);
	text_filled(text, put_string(p + 4, name, (size_t)length));
}

void rbd_diff_put_header(struct text *text, const struct rbd_diff_header *header)
{
	char *p = text_room(text, sizeof(BANNER));

	text_filled(text, PUT_LITERAL(p, BANNER));
	if (header->from)
		put_name(text, TAG_FROM, header->from);
	put_name(text, TAG_TO, header->to);
	p = text_room(text, 9);
	*p++ = TAG_SIZE;
	put_le64(p, header->size);
	text_filled(text, p + 8);
}

static void put_extent(struct text *text, enum tag tag, uint64_t offset, uint64_t length)
{
	char *p = text_room(text, 17);

	*p++ = (char)tag;
	put_le64(p, offset);
	put_le64(p + 8, length);
	text_filled(text, p + 16);
}

void rbd_diff_put_data(struct text *text, uint64_t offset, const uint8_t *data, size_t length)
{
	put_extent(text, TAG_DATA, offset, length);
	if (length <= COPY_MAX) {
		char *p = text_room(text, length);

		memcpy(p, data, length);
		text_filled(text, p + length);
	} else if (!text_flush(text)) {
		text->error = text->output.write(text->output.context, (const char *)data, length);
	}
}

void rbd_diff_put_zeroes(struct text *text, uint64_t offset, uint64_t length)
{
	put_extent(text, TAG_ZEROES, offset, length);
}

void rbd_diff_put_end(struct text *text)
{
	char *p = text_room(text, 1);

	*p++ = TAG_END;
	text_filled(text, p);
}

/* Reading. */

__attribute__((format(printf, 2, 3))) static int refuse(struct rbd_diff *diff, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(diff->problem, sizeof(diff->problem), format, args);
	va_end(args);
	return PD_ERR_CORRUPT;
}

static int refill(struct rbd_diff *diff)
{
	const struct text_input *text = &diff->input->text;

	diff->at = diff->nr_buffered = 0;
	return text->read(text->context, diff->buffer, sizeof(diff->buffer), &diff->nr_buffered);
}

/* What is buffered, or read behind it, `length` bytes of it. to NULL: they are passed over. */
static int take(struct rbd_diff *diff, uint8_t *to, uint64_t length)
{
	while (length) {
		size_t part = diff->nr_buffered - diff->at;
		int r;

		if (!part) {
			r = refill(diff);
			if (r)
				return r;
			if (!diff->nr_buffered)
				return refuse(diff, "ends at byte %llu, without an end marker",
					      (unsigned long long)diff->nr_read);
			continue;
		}
		if (part > length)
			part = (size_t)length;
		if (to)
			memcpy(to, diff->buffer + diff->at, part);
		to = to ? to + part : NULL;
		diff->at += part;
		diff->nr_read += part;
		length -= part;
	}
	return PD_OK;
}

static int take_tag(struct rbd_diff *diff)
{
	uint8_t tag = 0;
	int r = take(diff, &tag, 1);

	diff->tag = tag;
	return r;
}

/* "era-" and a number that is not 0, without leading zeroes. */
static bool parse_name(const char *name, size_t length, uint32_t *era)
{
	const size_t begin = sizeof(NAME_BEGIN) - 1;
	uint64_t value = 0;

	if (length <= begin || length > begin + DECIMAL_MAX || name[begin] == '0' ||
	    memcmp(name, NAME_BEGIN, begin) != 0)
		return false;
	for (size_t i = begin; i < length; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(name[i] - '0');
	}
	*era = (uint32_t)value;
	return value <= UINT32_MAX;
}

static int take_name(struct rbd_diff *diff, bool *has, uint32_t *era)
{
	uint8_t size[4];
	char name[NAME_MAX_LENGTH];
	uint32_t length;
	int r = take(diff, size, sizeof(size));

	if (r)
		return r;
	length = get_le32(size);
	if (length > NAME_MAX_LENGTH)
		return refuse(diff, "a snapshot's name of %u bytes", length);
	r = take(diff, (uint8_t *)name, length);
	if (r)
		return r;
	if (*has)
		return refuse(diff, "two snapshot names of a kind");
	*has = true;
	if (!parse_name(name, length, era))
		return refuse(diff, "snapshot '%.*s' is not the beginning of an era",
			      length < 60 ? (int)length : 60, name);
	return PD_OK;
}

static int take_size(struct rbd_diff *diff)
{
	uint8_t size[8];
	int r = take(diff, size, sizeof(size));

	if (r)
		return r;
	if (diff->has_size)
		return refuse(diff, "two sizes");
	diff->has_size = true;
	diff->header.size = get_le64(size);
	return diff->header.size > INT64_MAX ? refuse(diff, "a size of more than 2^63 bytes")
					     : PD_OK;
}

static bool is_extent_or_end(int tag)
{
	return tag == TAG_DATA || tag == TAG_ZEROES || tag == TAG_END;
}

static int take_metadata(struct rbd_diff *diff)
{
	int r = take_tag(diff);

	while (!r && !is_extent_or_end(diff->tag)) {
		if (diff->tag == TAG_FROM)
			r = take_name(diff, &diff->has_from, &diff->header.from);
		else if (diff->tag == TAG_TO)
			r = take_name(diff, &diff->has_to, &diff->header.to);
		else if (diff->tag == TAG_SIZE)
			r = take_size(diff);
		else
			r = refuse(diff, "an unknown record (tag %d) before byte %llu", diff->tag,
				   (unsigned long long)diff->nr_read);
		if (!r)
			r = take_tag(diff);
	}
	return r;
}

int rbd_diff_open(struct rbd_diff *diff, const struct rbd_diff_input *input)
{
	char banner[sizeof(BANNER) - 1];
	int r;

	memset(diff, 0, offsetof(struct rbd_diff, buffer));
	diff->input = input;
	r = take(diff, (uint8_t *)banner, sizeof(banner));
	if (r == PD_ERR_CORRUPT || (!r && memcmp(banner, BANNER, sizeof(banner)) != 0))
		return refuse(diff, "not a stream of differences as rbd writes it (version 1)");
	if (!r)
		r = take_metadata(diff);
	if (r)
		return r;
	if (!diff->has_to)
		return refuse(diff, "does not say which era it leads to");
	if (!diff->has_size)
		return refuse(diff, "does not say the device's size");
	if (diff->header.to < diff->header.from)
		return refuse(diff, "leads from era %u back to era %u", diff->header.from,
			      diff->header.to);
	return PD_OK;
}

/* Through the input's own skip, where it has one, behind what is buffered. */
static int skip_data(struct rbd_diff *diff)
{
	uint64_t buffered = diff->nr_buffered - diff->at;
	uint64_t part = diff->left < buffered ? diff->left : buffered;
	int r = take(diff, NULL, part);

	diff->left -= part;
	if (!r && diff->left && diff->input->skip) {
		r = diff->input->skip(diff->input->text.context, diff->left);
		diff->nr_read += diff->left;
	} else if (!r) {
		r = take(diff, NULL, diff->left);
	}
	diff->left = 0;
	return r;
}

static int take_extent(struct rbd_diff *diff, struct rbd_diff_extent *extent)
{
	uint8_t numbers[16];
	uint64_t size = diff->header.size;
	int r = take(diff, numbers, sizeof(numbers));

	if (r)
		return r;
	extent->offset = get_le64(numbers);
	extent->length = get_le64(numbers + 8);
	extent->has_data = diff->tag == TAG_DATA;
	if (extent->offset > size || extent->length > size - extent->offset)
		return refuse(diff, "data at %llu go past the device's size of %llu bytes",
			      (unsigned long long)extent->offset, (unsigned long long)size);
	if (extent->offset < diff->next)
		return refuse(diff, "data at %llu overlap others, or are out of order",
			      (unsigned long long)extent->offset);
	diff->next = extent->offset + extent->length;
	diff->left = extent->has_data ? extent->length : 0;
	diff->tag = 0;
	return PD_OK;
}

static int take_end(struct rbd_diff *diff)
{
	int r = PD_OK;

	if (diff->at == diff->nr_buffered)
		r = refill(diff);
	if (!r && diff->at < diff->nr_buffered)
		return refuse(diff, "goes on behind its end marker, at byte %llu",
			      (unsigned long long)diff->nr_read);
	return r;
}

int rbd_diff_next(struct rbd_diff *diff, struct rbd_diff_extent *extent)
{
	int r = skip_data(diff);

	*extent = (struct rbd_diff_extent){.length = 0};
	/* An extent of no bytes says nothing, but would look like the end. */
	while (!r && !extent->length) {
		if (!diff->tag)
			r = take_tag(diff);
		if (r)
			return r;
		if (diff->tag == TAG_END)
			return take_end(diff);
		if (!is_extent_or_end(diff->tag))
			return refuse(diff, "an unknown record (tag %d) before byte %llu",
				      diff->tag, (unsigned long long)diff->nr_read);
		r = take_extent(diff, extent);
	}
	return r;
}

int rbd_diff_read(struct rbd_diff *diff, void *data, size_t length)
{
	diff->left -= length;
	return take(diff, data, length);
}
