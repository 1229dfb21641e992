/* SPDX-License-Identifier: MIT */
/*
 * Asks NBD servers in turn, in random order and for some milliseconds at a time, so that what else the
 * machine does is the same for all: to tell differences of one per cent, where runs of a second differ by
 * ten.
 *
 * usage: in_turn SECONDS PATTERN SIZE DEPTH SOCKET...
 *
 * PATTERN is one of fio's: write, randwrite, randread, randrw; SIZE in bytes, DEPTH requests are in
 * flight. Prints, for each turn of all servers, the nanoseconds a request of each.
 */
#include <libnbd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SERVERS 8
#define MAX_SIZE (1 << 20)

struct server {
	struct nbd_handle *nbd;
	uint64_t size;
};

struct load {
	bool sequential, reads, writes;
	uint32_t size;
	unsigned depth; /* requests in flight */
	uint64_t next;	/* of the blocks of that size, if they are sequential */
	uint8_t buffer[MAX_SIZE];
};

static void die(void)
{
	fprintf(stderr, "in_turn: %s\n", nbd_get_error());
	exit(EXIT_FAILURE);
}

static void connect_to(struct server *server, const char *path)
{
	int64_t size = -1;

	server->nbd = nbd_create();
	if (server->nbd && !nbd_connect_unix(server->nbd, path))
		size = nbd_get_size(server->nbd);
	if (size < 0)
		die();
	server->size = (uint64_t)size;
}

static void ask(struct load *load, struct server *server)
{
	uint64_t nr = server->size / load->size;
	uint64_t block = (load->sequential ? load->next++ : (uint64_t)random()) % nr;
	uint64_t offset = block * load->size;
	int64_t r;

	if (load->writes && (!load->reads || random() % 2))
		r = nbd_aio_pwrite(server->nbd, load->buffer, load->size, offset,
				   NBD_NULL_COMPLETION, 0);
	else
		r = nbd_aio_pread(server->nbd, load->buffer, load->size, offset,
				  NBD_NULL_COMPLETION, 0);
	if (r < 0)
		die();
}

/* Returns when a request has been answered. */
static void hear(struct server *server)
{
	int64_t cookie;

	while ((cookie = nbd_aio_peek_command_completed(server->nbd)) <= 0)
		if (nbd_poll(server->nbd, -1) < 0)
			die();
	if (nbd_aio_command_completed(server->nbd, (uint64_t)cookie) < 0)
		die();
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds a request. */
static double turn(struct load *load, struct server *server)
{
	unsigned nr = load->size > 65536 ? 64 : load->depth == 1 ? 256 : 1024, asked = 0;
	double begin = now();

	for (unsigned heard = 0; heard < nr; heard++) {
		for (; asked < nr && asked < heard + load->depth; asked++)
			ask(load, server);
		hear(server);
	}
	return (now() - begin) / nr;
}

static void run(struct load *load, struct server *servers, int nr, double seconds)
{
	double end = now() + seconds, times[MAX_SERVERS];
	int order[MAX_SERVERS];

	while (now() < end) {
		for (int i = 0; i < nr; i++) {
			int at = (int)(random() % (i + 1));

			order[i] = order[at];
			order[at] = i;
		}
		for (int i = 0; i < nr; i++)
			times[order[i]] = turn(load, &servers[order[i]]);
		for (int i = 0; i < nr; i++)
			printf("%.0f%c", times[i] * 1e9, i + 1 < nr ? ' ' : '\n');
	}
}

/* false: there is no such pattern. */
static bool take_pattern(struct load *load, const char *pattern)
{
	load->sequential = !strcmp(pattern, "write");
	load->reads = !strcmp(pattern, "randread") || !strcmp(pattern, "randrw");
	load->writes =
		load->sequential || !strcmp(pattern, "randwrite") || !strcmp(pattern, "randrw");
	return load->reads || load->writes;
}

int main(int argc, char **argv)
{
	static struct server servers[MAX_SERVERS];
	static struct load load;
	int nr = argc - 5;

	if (nr < 1 || nr > MAX_SERVERS) {
		fprintf(stderr, "usage: in_turn SECONDS PATTERN SIZE DEPTH SOCKET...\n");
		return EXIT_FAILURE;
	}
	load.size = (uint32_t)atoi(argv[3]);
	load.depth = (unsigned)atoi(argv[4]);
	if (!take_pattern(&load, argv[2]) || !load.size || load.size > MAX_SIZE || !load.depth) {
		fprintf(stderr, "in_turn: PATTERN, SIZE or DEPTH out of bounds\n");
		return EXIT_FAILURE;
	}
	srandom((unsigned)time(NULL));
	for (int i = 0; i < nr; i++)
		connect_to(&servers[i], argv[5 + i]);
	run(&load, servers, nr, atof(argv[1]));
	return EXIT_SUCCESS;
}
