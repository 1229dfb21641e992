/* SPDX-License-Identifier: MIT */
/* Text on its way out. */
#include "era/text.h"
#include "persistent-data/error.h"

#include <stdlib.h>

int text_init(struct text *text, const struct text_output *output)
{
	text->output = *output;
	text->error = PD_OK;
	text->buffer = malloc(TEXT_BUFFER_SIZE);
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

char *put_decimal(char *to, uint32_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";
	char digits[DECIMAL_MAX];
	char *first = digits + DECIMAL_MAX;

	while (value >= 100) {
		first -= 2;
		memcpy(first, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		first -= 2;
		memcpy(first, pairs + value * 2, 2);
	} else {
		*--first = (char)('0' + value);
	}
	return put_string(to, first, (size_t)(digits + DECIMAL_MAX - first));
}

void counter_set(struct counter *counter, uint32_t value)
{
	counter->value = value;
	counter->nr_digits = (unsigned)(put_decimal(counter->digits, value) - counter->digits);
}

void counter_carry(struct counter *counter)
{
	unsigned i = counter->nr_digits;

	while (i && counter->digits[i - 1] == '9')
		counter->digits[--i] = '0';
	if (i)
		counter->digits[i - 1]++;
	else
		counter_set(counter, counter->value);
}
