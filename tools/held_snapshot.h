/* SPDX-License-Identifier: MIT */
/* Runs a command while a metadata snapshot is held. */
#ifndef TOOLS_HELD_SNAPSHOT_H
#define TOOLS_HELD_SNAPSHOT_H

#include "tools/cli.h"

/*
 * Takes a snapshot, runs the command and drops it again, whatever becomes of the command. Returns the
 * exit status: the command's, 128 and its signal, or 1 if the snapshot could not be taken or dropped.
 */
int held_snapshot_run(struct cli *cli, const char *control, char **command);

#endif
