/* SPDX-License-Identifier: MIT */
/* Prints sets of changed blocks. */
#include "era/formats.h"
#include "persistent-data/error.h"

static void put_run(struct text *text, uint32_t begin, uint32_t end)
{
	char *p = text_room(text);

	if (end - begin == 1) {
		p = PUT_LITERAL(p, "  <block block=\"");
		p = put_decimal(p, begin);
	} else {
		p = PUT_LITERAL(p, "  <range begin=\"");
		p = put_decimal(p, begin);
		p = PUT_LITERAL(p, "\" end=\"");
		p = put_decimal(p, end);
	}
	text_filled(text, PUT_LITERAL(p, "\"/>\n"));
}

int format_xml(const struct changed *changed, const struct text_output *output)
{
	struct text text;
	uint32_t begin, end = 0;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_filled(&text, PUT_LITERAL(text_room(&text), "<blocks>\n"));
	while (!text_error(&text) && changed_next(changed, &begin, &end))
		put_run(&text, begin, end);
	text_filled(&text, PUT_LITERAL(text_room(&text), "</blocks>\n"));
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}
