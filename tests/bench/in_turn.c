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
#include <arpa/inet.h>
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define MAX_SERVERS 8
#define MAX_DEPTH 64
#define MAX_SIZE (1 << 20)

/* NBD's numbers, from its protocol's description. */
#define OPTION_MAGIC 0x49484156454F5054ull
#define OPTION_EXPORT_NAME 1
#define FLAGS 3 /* fixed newstyle, no zeroes */
#define GREETING 18
#define EXPORT 10 /* bytes that tell its size and flags */
#define REQUEST_MAGIC 0x25609513
#define COMMAND_READ 0
#define COMMAND_WRITE 1

struct request {
	uint32_t magic;
	uint16_t flags, command;
	uint64_t cookie, offset;
	uint32_t length;
} __attribute__((packed));

struct reply {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));

struct server {
	int fd;
	uint64_t size;
	uint16_t commands[MAX_DEPTH]; /* by cookie */
};

static struct {
	bool sequential, reads, writes;
	uint32_t size;
	unsigned depth;
	uint64_t next;
} load;

static uint8_t buffer[sizeof(struct request) + MAX_SIZE];

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void get(int fd, void *to, size_t size)
{
	if (recv(fd, to, size, MSG_WAITALL) != (ssize_t)size)
		die("a server went away");
}

static void put(int fd, const void *from, size_t size)
{
	if (send(fd, from, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("a server does not listen");
}

static void connect_to(struct server *server, const char *path)
{
	const struct {
		uint32_t flags;
		uint64_t magic;
		uint32_t option, length;
	} __attribute__((packed))
	ask = {htonl(FLAGS), htobe64(OPTION_MAGIC), htonl(OPTION_EXPORT_NAME), 0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (server->fd < 0 || connect(server->fd, (struct sockaddr *)&address, sizeof(address)))
		die(path);
	get(server->fd, buffer, GREETING);
	put(server->fd, &ask, sizeof(ask));
	get(server->fd, buffer, EXPORT);
	memcpy(&server->size, buffer, sizeof(server->size));
	server->size = be64toh(server->size);
}

static void ask(struct server *server, unsigned cookie)
{
	uint64_t nr = server->size / load.size;
	uint64_t block = (load.sequential ? load.next++ : (uint64_t)random()) % nr;
	bool write = load.writes && (!load.reads || random() % 2);
	struct request request = {.magic = htonl(REQUEST_MAGIC), .length = htonl(load.size)};

	server->commands[cookie] = write ? COMMAND_WRITE : COMMAND_READ;
	request.command = htons(server->commands[cookie]);
	request.cookie = cookie;
	request.offset = htobe64(block * load.size);
	memcpy(buffer, &request, sizeof(request));
	put(server->fd, buffer, sizeof(request) + (write ? load.size : 0));
}

static unsigned hear(struct server *server)
{
	struct reply reply;

	get(server->fd, &reply, sizeof(reply));
	if (reply.error) {
		fprintf(stderr, "a request failed\n");
		exit(EXIT_FAILURE);
	}
	if (server->commands[reply.cookie] == COMMAND_READ)
		get(server->fd, buffer + sizeof(struct request), load.size);
	return (unsigned)reply.cookie;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds a request. */
static double turn(struct server *server)
{
	unsigned nr = load.size > 65536 ? 64 : load.depth == 1 ? 256 : 1024, asked = 0;
	double begin = now();

	while (asked < load.depth)
		ask(server, asked++);
	for (unsigned heard = 0; heard < nr; heard++) {
		unsigned cookie = hear(server);

		if (asked++ < nr)
			ask(server, cookie);
	}
	return (now() - begin) / nr;
}

static void run(struct server *servers, int nr, double seconds)
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
			times[order[i]] = turn(&servers[order[i]]);
		for (int i = 0; i < nr; i++)
			printf("%.0f%c", times[i] * 1e9, i + 1 < nr ? ' ' : '\n');
	}
}

int main(int argc, char **argv)
{
	static struct server servers[MAX_SERVERS];
	int nr = argc - 5;

	if (nr < 1 || nr > MAX_SERVERS) {
		fprintf(stderr, "usage: in_turn SECONDS PATTERN SIZE DEPTH SOCKET...\n");
		return EXIT_FAILURE;
	}
	load.sequential = !strcmp(argv[2], "write");
	load.reads = !strcmp(argv[2], "randread") || !strcmp(argv[2], "randrw");
	load.writes = strcmp(argv[2], "randread");
	load.size = (uint32_t)atoi(argv[3]);
	load.depth = (unsigned)atoi(argv[4]);
	if (!load.size || load.size > MAX_SIZE || !load.depth || load.depth > MAX_DEPTH) {
		fprintf(stderr, "in_turn: SIZE or DEPTH out of bounds\n");
		return EXIT_FAILURE;
	}
	srandom((unsigned)time(NULL));
	for (int i = 0; i < nr; i++)
		connect_to(&servers[i], argv[5 + i]);
	run(servers, nr, atof(argv[1]));
	return EXIT_SUCCESS;
}
