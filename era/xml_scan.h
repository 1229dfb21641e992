/* SPDX-License-Identifier: MIT */
/*
 * Reads XML laid out exactly as era_dump prints it, far faster than a parser could.
 *
 * It knows nothing else. At the first line that it does not recognise to the byte, or that the
 * document refuses, it stops, and expat goes on from the beginning of that line: so expat alone says
 * what is wrong, and where.
 */
#ifndef ERA_XML_SCAN_H
#define ERA_XML_SCAN_H

#include "era/document.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Bytes of the longest line that is recognised, rounded up. So many must be readable behind the text
 * too, whatever they hold: a line is looked at before it is known to be there wholly.
 */
#define XML_SCAN_LINE 256

struct xml_scan {
	struct document *document;
	uint64_t nr_lines; /* taken so far */
};

/*
 * Takes as many lines as there are wholly within the text; *used: the bytes of these. *stopped: the
 * line behind them is not recognised, as far as it is there. 0, or what the document's sink returned.
 */
int xml_scan(struct xml_scan *scan, const char *text, size_t size, size_t *used, bool *stopped);

#endif
