/* SPDX-License-Identifier: MIT */
/*
 * Reading markup through expat: text goes in piece by piece, problems are told once, with line and
 * column, and end the reading. Memory is bounded, and document types are refused.
 */
#ifndef ERA_MARKUP_H
#define ERA_MARKUP_H

#include "era/xml_read.h"

#include <expat.h>
#include <stdbool.h>
#include <stdint.h>

struct markup {
	XML_Parser parser;
	const struct report *report;
	int error;	 /* the first one; expat's events can come in after it */
	uint64_t nr_fed; /* bytes given to expat */
	/* Of what stood before what expat was given, and is counted in its place. */
	uint64_t nr_lines_before;
	size_t stand_in; /* bytes that expat was given instead of it, in its first line */
};

/*
 * The first member of what these events are to get as user_data is the markup. PD_ERR_NO_MEMORY;
 * close it in any case.
 */
int markup_open(struct markup *markup, const struct report *report,
		XML_StartElementHandler on_start, XML_EndElementHandler on_end);
void markup_close(struct markup *markup);

/* A piece of text, or all that follows. 0, or the error that ended it. */
int markup_feed(struct markup *markup, const char *text, size_t size);
int markup_feed_rest(struct markup *markup, const struct text_input *input);
/* There is no more. */
int markup_end(struct markup *markup);

/* Ends the reading, the second with a message, and "about" what if that is not NULL. Return the error. */
int markup_stop(struct markup *markup, int error);
int markup_refuse(struct markup *markup, const char *problem, const char *about);

/* What a visitor returned: PD_ERR_CORRUPT is refused for the problem that it named. */
void markup_conclude(struct markup *markup, int r, const char *problem);

/* Decimal digits and nothing else, up to max. */
bool markup_number(const char *text, uint64_t max, uint64_t *number);

#endif
