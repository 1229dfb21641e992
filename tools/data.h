/* SPDX-License-Identifier: MIT */
/* Data that a command reads or writes: an origin, or a copy of one. */
#ifndef TOOLS_DATA_H
#define TOOLS_DATA_H

#include "era/data_io.h"
#include "tools/cli.h"

struct data {
	int fd;
	struct stat st;
	struct data_io *io; /* NULL if it could not be opened */
};

/* Makes path the subject of messages. false: one has been printed. Close it in any case. */
bool data_open(struct data *data, struct cli *cli, const char *path, enum cli_access access);
void data_close(struct data *data);

/* Makes a regular file longer or shorter. false: a message has been printed. */
bool data_resize(struct data *data, struct cli *cli, uint64_t size);

/* For struct copy and struct apply; context: a struct progress. */
void data_progress(void *context, uint64_t bytes);

#endif
