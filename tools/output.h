/* SPDX-License-Identifier: MIT */
/*
 * The text that a command puts out: to stdout, or to a file that appears under its name only when it
 * is complete. What was there before stays as it was if the command fails or is interrupted.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include "era/text.h"
#include "tools/cli.h"

#include <stdbool.h>
#include <sys/stat.h>

struct output {
	const struct cli *cli;
	const char *name; /* for messages */
	int fd;
	int error;	 /* errno of the write that failed */
	char *path;	 /* where the complete file goes; NULL: what is written is there at once */
	char *temporary; /* its name until then; NULL: it has none yet */
	struct text_output text;
};

/*
 * path: NULL or "-" for stdout; a device or pipe is written to as it is. input: what must not be
 * written over. false: a message has been printed.
 */
bool output_open(struct output *output, const struct cli *cli, const char *path,
		 const struct stat *input);

/* Done: makes the file appear. Returns the exit status; a message has been printed if it is not 0. */
int output_commit(struct output *output);

/* Given up: says why if it was the output's fault. Returns the exit status, 1. */
int output_abort(struct output *output);

#endif
