/* SPDX-License-Identifier: MIT */
/*
 * Text on its way out: a large buffer that is written whenever it is full, and decimal numbers.
 *
 * Writers ask for room, fill it through a pointer, and say where they stopped. What puts something
 * into the room may write more bytes than it returns, PUT_SLACK at most, so that it needs no branches
 * for short pieces; the room has them to spare. An error of writing sticks: text_error() tells, and
 * what comes after it goes nowhere.
 */
#ifndef ERA_TEXT_H
#define ERA_TEXT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What is made and dropped stays in the cache in a small buffer; to have another thread write one that
 * is full takes less time the larger it is.
 */
#define TEXT_ROOM_MAX (64 * 1024) /* the most that may be asked for at once */
#define TEXT_BUFFER_SIZE (256 * 1024 + TEXT_ROOM_MAX)
#define TEXT_SLOW_BUFFER_SIZE (1024 * 1024 + TEXT_ROOM_MAX)
#define PUT_SLACK 64
#define DECIMAL_MAX 10	 /* digits of the largest 32-bit number */
#define DECIMAL64_MAX 20 /* and of the largest 64-bit one */

/* Where text goes: writes all of it, or returns an error. */
struct text_output {
	int (*write)(void *context, const char *text, size_t size);
	void *context;
	/* To write takes so long that it is worth doing by another thread, while text is made. */
	bool slow;
};

/* Text that is passed on. */
struct text_part {
	const struct text_output *output;
	const char *text;
	size_t size;
};

struct text {
	struct text_output output;
	int error;
	char *end; /* of what is in the buffer */
	char *buffer;
	size_t buffer_size;    /* without slack */
	struct worker *writer; /* NULL: there is none */
	char *other; /* a second buffer, which the writer may be at; NULL: there is none yet */
	struct text_part parts[2]; /* the last that were passed on, by turns */
	unsigned turn;
};

/* PD_ERR_NO_MEMORY. */
int text_init(struct text *text, const struct text_output *output);
void text_destroy(struct text *text);

/* Writes what the buffer holds. Returns the first error there was. */
int text_flush(struct text *text);

/* The same, but the text may still be on its way when this returns. */
void text_pass_on(struct text *text);

static inline int text_error(const struct text *text)
{
	return text->error;
}

/* Room for so many bytes, and for slack behind them. */
static inline char *text_room(struct text *text, size_t size)
{
	if ((size_t)(text->end - text->buffer) > text->buffer_size - size)
		text_pass_on(text);
	return text->end;
}

/* Formats a piece of TEXT_PRINT_MAX bytes at most. For what is not printed for each block. */
#define TEXT_PRINT_MAX 1024
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

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

/* Decimal numbers, as eight digits in a word, the first one lowest. */

/* Of two numbers below 10000 four digits each; first the lower one's. */
static inline uint64_t four_digits_each(uint32_t lower, uint32_t upper)
{
	/* Pairs, then digits, each step in all parts of the word at once. */
	uint64_t halves = lower | (uint64_t)upper << 32;
	uint64_t hundreds = (halves * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
	uint64_t pairs = hundreds | (halves - 100 * hundreds) << 16;
	uint64_t tens = (pairs * 103 >> 10) & UINT64_C(0x000f000f000f000f);

	return (tens | (pairs - 10 * tens) << 8) + UINT64_C(0x3030303030303030);
}

static inline uint64_t eight_digits(uint32_t value)
{
	return four_digits_each(value / 10000, value % 10000);
}

static inline char *put_eight(char *to, uint64_t digits)
{
	digits = htole64(digits);
	memcpy(to, &digits, sizeof(digits));
	return to + sizeof(digits);
}

/* The same for fewer than five digits, of which there are most. */
static inline uint64_t four_digits(uint32_t value)
{
	uint32_t hundreds = value * 5243 >> 19;
	uint32_t pairs = hundreds | (value - 100 * hundreds) << 16;
	uint32_t tens = (pairs * 103 >> 10) & 0x000f000f;

	return (tens | (pairs - 10 * tens) << 8) + 0x30303030;
}

/* Digits without their leading zeroes, of which the last digit is none; it is the nr_digits-th. */
static inline char *put_digits(char *to, uint64_t digits, unsigned nr_digits)
{
	uint64_t values = (digits & UINT64_C(0x0f0f0f0f0f0f0f0f)) | UINT64_C(1)
									    << (8 * nr_digits - 8);
	unsigned zeroes = (unsigned)__builtin_ctzll(values) / 8;

	put_eight(to, digits >> (8 * zeroes));
	return to + nr_digits - zeroes;
}

static inline char *put_decimal(char *to, uint32_t value)
{
	if (value < 10000)
		return put_digits(to, four_digits(value), 4);
	if (value < 100000000)
		return put_digits(to, eight_digits(value), 8);
	to = put_digits(to, four_digits(value / 100000000), 4);
	return put_eight(to, eight_digits(value % 100000000));
}

/* The same for 64 bits, of which there are DECIMAL64_MAX digits at most. */
static inline char *put_decimal64(char *to, uint64_t value)
{
	if (value <= UINT32_MAX)
		return put_decimal(to, (uint32_t)value);
	to = put_decimal64(to, value / 100000000);
	return put_eight(to, eight_digits((uint32_t)(value % 100000000)));
}

/*
 * The beginning of lines that are numbered one by one: what stands before the number, the number, and
 * what stands behind it. All of it is kept from line to line, and only digits change.
 */
struct numbered {
	char text[PUT_SLACK]; /* as it is for the first of the ten numbers at hand */
	unsigned length;      /* of the text */
	unsigned number_at;   /* where the number stands in it, */
	unsigned last;	      /* and its last digit, */
	char digit;	      /* and what that is now */
};

#define NUMBERED_MAX 48 /* bytes that before, the longest number, and behind may take together */

void numbered_set(struct numbered *line, const char *before, uint32_t number, const char *behind);

/* The next number is not one of the ten that the text is for. */
void numbered_carry(struct numbered *line);

static inline char *put_numbered(char *to, struct numbered *line)
{
	memcpy(to, line->text, NUMBERED_MAX);
	/* Into the copy: to change the text would make the next copy wait for it. */
	to[line->last] = line->digit;
	to += line->length;
	if (line->digit++ == '9')
		numbered_carry(line);
	return to;
}

#endif
