/* SPDX-License-Identifier: MIT */
/* The source that reads sound metadata, and stops at the first damage. */
#ifndef ERA_READ_H
#define ERA_READ_H

#include "era/metadata.h"
#include "era/stream.h"

/*
 * Hands all that was opened to a sink. A damage is reported, and is an error; only wrong hints, which
 * change no answer, are passed over. The sink's end() is called when everything has been checked (see
 * check.h), and a snapshot is still held. Without a sink (NULL) metadata is only found sound, or not.
 */
int metadata_read(struct metadata *metadata, struct sink *sink, const struct report *report);

#endif
