/* SPDX-License-Identifier: MIT */
/* Text on its way out. */
#include "era/text.h"
#include "persistent-data/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int text_init(struct text *text, const struct text_output *output)
{
	text->output = *output;
	text->error = PD_OK;
	text->buffer = malloc(TEXT_BUFFER_SIZE + PUT_SLACK);
	text->end = text->buffer;
	return text->buffer ? PD_OK : PD_ERR_NO_MEMORY;
}

void text_destroy(struct text *text)
{
	free(text->buffer);
	text->buffer = NULL;
}

int text_flush(struct text *text)
{
	size_t size = (size_t)(text->end - text->buffer);

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

void ascending_set(struct ascending *ascending, uint32_t high)
{
	char text[DECIMAL_MAX + PUT_SLACK];

	ascending->high = high;
	ascending->nr_digits = (unsigned)(put_decimal(text, high) - text);
	memcpy(ascending->digits, text, sizeof(ascending->digits));
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
