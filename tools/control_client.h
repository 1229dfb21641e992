/* SPDX-License-Identifier: MIT */
/* The other end of the control socket of a served device; nbdkit/control.h says what is spoken. */
#ifndef TOOLS_CONTROL_CLIENT_H
#define TOOLS_CONTROL_CLIENT_H

#include "tools/cli.h"

#define CONTROL_REPLY_MAX 256

/* Connects, and makes path the subject of messages. -1: a message has been printed. */
int control_connect(struct cli *cli, const char *path);

/*
 * Sends a line (without its newline), waits for the answer and puts what follows the "ok" into reply.
 * false: a message has been printed.
 */
bool control_ask(const struct cli *cli, int fd, const char *line, char reply[CONTROL_REPLY_MAX]);

/* Removes a socket on which nobody listens, as one who was killed leaves it. */
void control_remove_dead(const char *path);

#endif
