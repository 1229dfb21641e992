/* SPDX-License-Identifier: MIT */
/*
 * The text that a command takes in, from a file or stdin. Reading shows as progress.
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
	struct stat st;	 /* of what was opened, not of a copy */
	bool can_rewind; /* it can be read from its beginning any number of times */
	uint64_t size;
	bool failed; /* it could not be read: a message has been printed */
	struct progress progress;
	struct text_input text;
};

/* path: "-" for stdin. false: a message has been printed. Close it in any case. */
bool input_open(struct input *input, struct cli *cli, const char *path);
void input_close(struct input *input);

/* Makes it the subject of messages. */
void input_begin(struct input *input);

/* What cannot be rewound is copied to a temporary file, and read from there. false as above. */
bool input_keep(struct input *input);

/* To its beginning, and makes it the subject of messages. Only what can be rewound. false as above. */
bool input_rewind(struct input *input);

#endif
