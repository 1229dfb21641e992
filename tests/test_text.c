/* SPDX-License-Identifier: MIT */
/* Numbers as text, against printf; and the buffer on their way out. */
#include "era/text.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* The numbers about which digits change: powers of ten, of two, and their neighbours. */
static unsigned edges(uint32_t *numbers)
{
	unsigned n = 0;

	for (uint64_t power = 1; power <= UINT32_MAX; power *= 10)
		for (int i = -2; i <= 2; i++)
			numbers[n++] = (uint32_t)(power + (uint64_t)(int64_t)i);
	for (uint64_t power = 1; power <= UINT32_MAX; power *= 2)
		for (int i = -2; i <= 2; i++)
			numbers[n++] = (uint32_t)(power + (uint64_t)(int64_t)i);
	return n;
}

static void expect_number(uint32_t number)
{
	char text[DECIMAL_MAX + PUT_SLACK], expected[16];

	snprintf(expected, sizeof(expected), "%u", number);
	*put_decimal(text, number) = '\0';
	cr_assert_str_eq(text, expected);
}

Test(text, decimal_numbers)
{
	uint32_t numbers[512];
	unsigned n = edges(numbers);
	unsigned seed = 1;

	for (unsigned i = 0; i < n; i++)
		expect_number(numbers[i]);
	for (uint32_t i = 0; i < 300000; i++)
		expect_number(i);
	for (unsigned i = 0; i < 300000; i++)
		expect_number((uint32_t)rand_r(&seed) * 3 >> (i % 31));
}

Test(text, numbered_lines)
{
	static const uint32_t starts[] = {0, 7, 95, 995, 99990, 999999, 99999990, 4294967200};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct numbered line;
		char text[NUMBERED_MAX + PUT_SLACK], expected[64];

		numbered_set(&line, "<a n=\"", starts[i], "\" v=\"");
		for (uint32_t k = 0; k < 95; k++) {
			snprintf(expected, sizeof(expected), "<a n=\"%u\" v=\"", starts[i] + k);
			*put_numbered(text, &line) = '\0';
			cr_assert_str_eq(text, expected);
		}
	}
}

struct sunk {
	size_t size;
	unsigned nr_odd; /* writes that began somewhere else than a large piece of the file */
	uint64_t sum;
	int error;
};

static int sink_text(void *context, const char *text, size_t size)
{
	struct sunk *sunk = context;

	if (sunk->error)
		return sunk->error;
	sunk->nr_odd += sunk->size % STREAM_WRITE_MAX != 0;
	for (size_t i = 0; i < size; i++)
		sunk->sum += (sunk->size + i) * (uint8_t)text[i];
	sunk->size += size;
	return PD_OK;
}

/* slow: where there are processors enough, by way of another thread. */
static void write_numbers(bool slow)
{
	struct sunk sunk = {0}, expected = {0};
	struct text_output output = {sink_text, &sunk, slow};
	char line[32];
	struct text text;

	cr_assert_eq(text_init(&text, &output), PD_OK);
	for (uint32_t i = 0; i < 500000; i++) {
		char *p = text_room(&text, 32);

		text_filled(&text, PUT_LITERAL(put_decimal(p, i), "\n"));
		sink_text(&expected, line, (size_t)snprintf(line, sizeof(line), "%u\n", i));
	}
	cr_expect_eq(text_flush(&text), PD_OK);
	cr_expect(sunk.size == expected.size && sunk.sum == expected.sum);
	cr_expect_eq(sunk.nr_odd, 0);
	text_destroy(&text);
}

Test(text, nothing_is_lost_between_buffers)
{
	write_numbers(false);
	write_numbers(true);
}

static void write_with_error(bool slow)
{
	struct sunk sunk = {.error = PD_ERR_CLOSED};
	struct text_output output = {sink_text, &sunk, slow};
	struct text text;

	cr_assert_eq(text_init(&text, &output), PD_OK);
	/* So much that what was passed on first has arrived, or rather not. */
	for (unsigned i = 0; i < 4 * TEXT_SLOW_BUFFER_SIZE; i += 8)
		text_filled(&text, PUT_LITERAL(text_room(&text, 8), "8 bytes\n"));
	cr_expect_eq(text_error(&text), PD_ERR_CLOSED);
	sunk.error = PD_OK;
	cr_expect_eq(text_flush(&text), PD_ERR_CLOSED);
	cr_expect_eq(sunk.size, 0);
	text_destroy(&text);
}

Test(text, an_error_stays)
{
	write_with_error(false);
	write_with_error(true);
}
