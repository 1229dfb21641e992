/* SPDX-License-Identifier: MIT */
/* Text on its way out. */
#include "era/text.h"
#include "persistent-data/error.h"
#include "persistent-data/memory.h"
#include "persistent-data/thread.h"
#include "persistent-data/whole_io.h"
#include "persistent-data/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char *new_buffer(const struct text *text)
{
	_Static_assert(PUT_SLACK <= MEMORY_PAGE, "a page is slack enough");
	return aligned_alloc(MEMORY_PAGE, text->buffer_size + MEMORY_PAGE);
}

int text_init(struct text *text, const struct text_output *output)
{
	text->output = *output;
	text->error = PD_OK;
	text->buffer_size = output->slow ? TEXT_SLOW_BUFFER_SIZE : TEXT_BUFFER_SIZE;
	text->buffer = new_buffer(text);
	text->end = text->buffer;
	text->writer = NULL;
	text->other = NULL;
	text->turn = 0;
	return text->buffer ? PD_OK : PD_ERR_NO_MEMORY;
}

/* Waits for text that is on its way. */
static void arrive(struct text *text)
{
	int r = text->writer ? worker_wait(text->writer) : PD_OK;

	if (!text->error)
		text->error = r;
}

void text_destroy(struct text *text)
{
	arrive(text);
	worker_close(text->writer);
	free(text->other);
	free(text->buffer);
	text->buffer = NULL;
}

int text_flush(struct text *text)
{
	size_t size = (size_t)(text->end - text->buffer);

	arrive(text);
	if (!text->error && size)
		text->error = text->output.write(text->output.context, text->buffer, size);
	text->end = text->buffer;
	return text->error;
}

void text_print(struct text *text, const char *format, ...)
{
	char *to = text_room(text, TEXT_PRINT_MAX);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(to, TEXT_PRINT_MAX, format, args);
	va_end(args);
	if (n < 0 || n >= TEXT_PRINT_MAX)
		text->error = PD_ERR_USAGE; /* rather than a piece that is cut off */
	else
		text_filled(text, to + n);
}

static int write_part(void *context)
{
	const struct text_part *part = context;

	return part->output->write(part->output->context, part->text, part->size);
}

/* The second buffer and its writer; where they cannot be had, one buffer does. */
static bool open_writer(struct text *text)
{
	if (text->other)
		return true;
	if (!text->output.slow || thread_nr_processors() < 2)
		return false;
	text->writer = text->writer ? text->writer : worker_open();
	text->other = text->writer ? new_buffer(text) : NULL;
	return text->other;
}

/*
 * All but a rest, so that writes begin and end where pages do, in memory as in a file: the system
 * copies others in twice the time.
 */
void text_pass_on(struct text *text)
{
	size_t filled = (size_t)(text->end - text->buffer);
	size_t rest = filled % STREAM_WRITE_MAX;
	char *full = text->buffer;
	bool has_writer = open_writer(text);
	struct text_part *part = &text->parts[text->turn++ % 2];

	*part = (struct text_part){&text->output, full, filled - rest};
	if (!text->error)
		text->error = has_writer ? worker_start(text->writer, write_part, part)
					 : write_part(part);
	if (has_writer) {
		text->buffer = text->other;
		text->other = full;
	}
	memcpy(text->buffer, full + part->size, rest);
	text->end = text->buffer + rest;
}

void numbered_set(struct numbered *line, const char *before, uint32_t number, const char *behind)
{
	char *p = put_string(line->text, before, strlen(before));

	line->number_at = (unsigned)(p - line->text);
	p = put_decimal(p, number);
	line->last = (unsigned)(p - line->text) - 1;
	line->digit = line->text[line->last];
	p = put_string(p, behind, strlen(behind));
	line->length = (unsigned)(p - line->text);
}

/* All digits are nines: the number becomes longer by one, and begins with a one. */
static void grow(struct numbered *line)
{
	char *number = line->text + line->number_at;

	memmove(number + 1, number, line->length - line->number_at);
	*number = '1';
	line->length++;
	line->last++;
}

void numbered_carry(struct numbered *line)
{
	unsigned i = line->last;

	line->text[i] = line->digit = '0';
	while (i > line->number_at && line->text[i - 1] == '9')
		line->text[--i] = '0';
	if (i > line->number_at)
		line->text[i - 1]++;
	else
		grow(line);
}
