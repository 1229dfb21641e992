/* SPDX-License-Identifier: MIT */
/* The source that reads XML, as era_dump writes it, through expat. */
#ifndef ERA_XML_READ_H
#define ERA_XML_READ_H

#include "era/stream.h"
#include "persistent-data/report.h"

#include <stddef.h>

/* Where text comes from: up to size bytes, *nr of them at last, none at its end; or an error. */
struct text_input {
	int (*read)(void *context, char *buffer, size_t size, size_t *nr);
	void *context;
};

/*
 * Hands a whole document to a sink. Whatever is wrong with the document is reported, with line and
 * column, as PD_ERR_CORRUPT; what the input or the sink returned is handed back without a report.
 */
int xml_read(const struct text_input *input, struct sink *sink, const struct report *report);

#endif
