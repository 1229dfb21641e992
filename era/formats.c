/* SPDX-License-Identifier: MIT */
/* Prints sets of changed blocks. */
#include "era/formats.h"
#include "persistent-data/error.h"

#define LINE_SIZE 64 /* bytes */

static void put_run(struct text *text, struct ascending *number, uint32_t begin, uint32_t end)
{
	char *p = text_room(text, LINE_SIZE);

	if (end - begin == 1) {
		p = PUT_LITERAL(p, "  <block block=\"");
		p = put_ascending(p, number, begin);
	} else {
		p = PUT_LITERAL(p, "  <range begin=\"");
		p = put_ascending(p, number, begin);
		p = PUT_LITERAL(p, "\" end=\"");
		p = put_ascending(p, number, end);
	}
	text_filled(text, PUT_LITERAL(p, "\"/>\n"));
}

int format_xml(const struct changed *changed, const struct text_output *output)
{
	struct text text;
	struct ascending number = {.high = 0};
	uint32_t begin, end = 0;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_filled(&text, PUT_LITERAL(text_room(&text, LINE_SIZE), "<blocks>\n"));
	while (!text_error(&text) && changed_next(changed, &begin, &end))
		put_run(&text, &number, begin, end);
	text_filled(&text, PUT_LITERAL(text_room(&text, LINE_SIZE), "</blocks>\n"));
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}
