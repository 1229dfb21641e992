/* SPDX-License-Identifier: MIT */
/* The file that tells which era a target is as of (see era/apply.h). */
#ifndef TOOLS_STATE_FILE_H
#define TOOLS_STATE_FILE_H

#include "era/apply.h"
#include "tools/cli.h"

/* *found: whether there is one. false: it cannot be read, or is something else; a message says so. */
bool state_file_read(const struct cli *cli, const char *path, struct apply_state *state,
		     bool *found);

/* Replaces it, durably: it has the old state or the new one at every instant. */
bool state_file_write(const struct cli *cli, const char *path, const struct apply_state *state,
		      const struct stat *target);

#endif
