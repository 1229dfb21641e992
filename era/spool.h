/* SPDX-License-Identifier: MIT */
/*
 * A stream that is kept for later, in the form in which it came, while somebody else has it already:
 * so what is dear to read need be read only once. Whoever keeps it is this process; nothing else
 * understands the form.
 */
#ifndef ERA_SPOOL_H
#define ERA_SPOOL_H

#include "era/stream.h"
#include "era/text.h"
#include "era/xml_read.h"

/*
 * A sink that hands all it gets to `next`, whose errors are its own, and writes it to output as well.
 * That this failed is no error of the sink: spool_error() tells. `next` and output's context stay the
 * caller's. PD_ERR_NO_MEMORY.
 */
int spool_open(const struct text_output *output, struct sink *next, struct sink **result);

/* 0, once the stream has ended, if all of it was kept. */
int spool_error(const struct sink *sink);

/* NULL is fine. */
void spool_close(struct sink *sink);

/*
 * Plays what was kept to a sink. What the sink returned, PD_ERR_NO_MEMORY, or PD_ERR_CORRUPT: it cannot
 * be read, or is not what was kept; nothing of that reaches the sink.
 */
int spool_replay(const struct text_input *input, struct sink *sink);

#endif
