/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a served device. A client sends a line, and gets one:
 *
 *	status			ok 0 2048 era 8 20/2048 5 -
 *	message checkpoint	ok			(or take_metadata_snap, drop_metadata_snap)
 *	snapshot		ok 136 6		a snapshot is held: its block, and the era it began
 *	release			ok			of the snapshot that this client took
 *
 * or "error" and what is wrong. A snapshot that a client took by `snapshot` is dropped when the
 * connection ends, for whatever reason: none is forgotten.
 */
#ifndef NBDKIT_CONTROL_H
#define NBDKIT_CONTROL_H

#include "era/map.h"

#include <pthread.h>

#define CONTROL_LINE_MAX 200 /* bytes, with the newline */
#define CONTROL_MAX_CLIENTS 16

struct control_client {
	int fd;
	bool holds; /* the snapshot that is held is this client's */
	size_t nr;
	char line[CONTROL_LINE_MAX];
};

struct control {
	struct era_map *map;
	uint64_t nr_sectors; /* of the origin */
	char *path;
	int listener;
	int stop[2]; /* a pipe: what is written to it ends the thread */
	pthread_t thread;
	bool started;
	unsigned nr_clients;
	struct control_client clients[CONTROL_MAX_CLIENTS];
};

/*
 * Makes the socket, for its owner only (mode 0600). A socket that nobody listens to any more is
 * replaced. 0 or an errno value; close in any case.
 */
int control_open(struct control *control, const char *path);

/* Begins to listen, in a thread of its own. */
int control_start(struct control *control, struct era_map *map, uint64_t nr_sectors);

/* Drops what clients hold, and removes the socket. */
void control_close(struct control *control);

#endif
