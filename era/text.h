/* SPDX-License-Identifier: MIT */
/*
 * Text on its way out: a large buffer that is written whenever it is full, and decimal numbers.
 *
 * Writers ask for room for a whole line, fill it through a pointer, and say where they stopped. An
 * error of writing sticks: text_error() tells, and what comes after it goes nowhere.
 */
#ifndef ERA_TEXT_H
#define ERA_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEXT_BUFFER_SIZE (256 * 1024)
#define TEXT_LINE_MAX 512 /* the most that may be asked for at once */
#define DECIMAL_MAX 10	  /* digits of the largest 32-bit number */

/* Where text goes: writes all of it, or returns an error. */
struct text_output {
	int (*write)(void *context, const char *text, size_t size);
	void *context;
};

struct text {
	struct text_output output;
	int error;
	char *end; /* of what is in the buffer */
	char *buffer;
};

/* PD_ERR_NO_MEMORY. */
int text_init(struct text *text, const struct text_output *output);
void text_destroy(struct text *text);

/* Writes what the buffer holds. Returns the first error there was. */
int text_flush(struct text *text);

static inline int text_error(const struct text *text)
{
	return text->error;
}

/* Room for TEXT_LINE_MAX bytes, which need not all be used. */
static inline char *text_room(struct text *text)
{
	if ((size_t)(text->end - text->buffer) > TEXT_BUFFER_SIZE - TEXT_LINE_MAX)
		text_flush(text);
	return text->end;
}

/* The room has been filled up to end. */
static inline void text_filled(struct text *text, char *end)
{
	text->end = end;
}

/* These put something at a place and return the place behind it. */

static inline char *put_string(char *to, const char *string, size_t length)
{
	memcpy(to, string, length);
	return to + length;
}

#define PUT_LITERAL(to, literal) put_string(to, literal, sizeof(literal) - 1)

char *put_decimal(char *to, uint32_t value);

/* A number that goes up by one from line to line: its digits are kept, and need no division. */
struct counter {
	uint32_t value;
	unsigned nr_digits;
	char digits[16];
};

void counter_set(struct counter *counter, uint32_t value);
void counter_carry(struct counter *counter);

static inline void counter_next(struct counter *counter)
{
	counter->value++;
	if (counter->digits[counter->nr_digits - 1] == '9')
		counter_carry(counter);
	else
		counter->digits[counter->nr_digits - 1]++;
}

/* May write up to 16 bytes, of which those behind the digits mean nothing. */
static inline char *put_counter(char *to, const struct counter *counter)
{
	memcpy(to, counter->digits, sizeof(counter->digits));
	return to + counter->nr_digits;
}

#endif
