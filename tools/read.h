/* SPDX-License-Identifier: MIT */
/* Metadata that a command reads as a whole. */
#ifndef TOOLS_READ_H
#define TOOLS_READ_H

#include "era/stream.h"
#include "tools/cli.h"

/*
 * Opens metadata, or the snapshot held in it, and hands all of it to a sink. path becomes the subject of
 * messages; *st: of the file. false: a message has been printed, and what the sink had is worthless.
 */
bool read_metadata(struct cli *cli, const char *path, bool snapshot, struct sink *sink,
		   struct stat *st);

/*
 * Changed blocks are asked for since an era that is neither the current one nor before it, nor the next
 * one: nothing changed since, and somebody has mistaken something. Says so.
 */
void read_warn_of_era(const struct cli *cli, uint32_t since, uint32_t current_era);

#endif
