/* SPDX-License-Identifier: MIT */
/*
 * The text that a command takes in, from a file or stdin, to be read any number of times: what cannot
 * be rewound is copied to a temporary file first. Reading shows as progress.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include "era/xml_read.h"
#include "tools/cli.h"

#include <stdbool.h>
#include <sys/stat.h>

struct input {
	struct cli *cli;
	const char *name; /* for messages */
	int fd;
	struct stat st; /* of what was opened, not of the copy */
	uint64_t size;
	bool failed; /* it could not be read: a message has been printed */
	struct progress progress;
	struct text_input text;
};

/*
 * path: "-" for stdin. passes: how often it is going to be read. false: a message has been printed.
 * Close it in any case.
 */
bool input_open(struct input *input, struct cli *cli, const char *path, unsigned passes);
void input_close(struct input *input);

/* Makes it the subject of messages, and the next read one from its beginning. */
bool input_rewind(struct input *input);

#endif
