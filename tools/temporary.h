/* SPDX-License-Identifier: MIT */
/*
 * A temporary file without a name, in TMPDIR or else /tmp, which is gone when it is closed or its
 * process ends.
 */
#ifndef TOOLS_TEMPORARY_H
#define TOOLS_TEMPORARY_H

#include "era/text.h"
#include "era/xml_read.h"

#include <stdbool.h>
#include <stdint.h>

struct temporary {
	int fd;	       /* -1: there is none */
	int error;     /* in terms of errno: why not, or what became of reading or writing it */
	uint64_t room; /* bytes that may still be written */
	struct text_output output; /* writes at its end, */
	struct text_input input;   /* reads on from the place that it was set to */
};

/* Never becomes larger than max bytes. false: error tells why. It must not be moved while it is open. */
bool temporary_open(struct temporary *temporary, uint64_t max);
void temporary_close(struct temporary *temporary);

/* To its beginning. */
bool temporary_rewind(struct temporary *temporary);

#endif
