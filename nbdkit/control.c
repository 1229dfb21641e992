/* SPDX-License-Identifier: MIT */
/* The control socket of a served device. */
#include "nbdkit/control.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define AGAIN_MSEC 100

/* Requests. Each puts its answer into reply, without a newline. */

typedef char reply_text[CONTROL_LINE_MAX];

static void reply_result(int r, const char *usage, reply_text reply)
{
	if (!r)
		snprintf(reply, CONTROL_LINE_MAX, "ok");
	else if (r == PD_ERR_UNSUPPORTED)
		snprintf(reply, CONTROL_LINE_MAX, "error no era is left: this is the last one");
	else
		snprintf(reply, CONTROL_LINE_MAX, "error %s",
			 r == PD_ERR_USAGE ? usage : pd_error_text(r));
}

static void forget_holder(struct control *control)
{
	for (unsigned i = 0; i < control->nr_clients; i++)
		control->clients[i].holds = false;
}

static void do_message(struct control *control, const char *message, reply_text reply)
{
	int r;

	if (!strcasecmp(message, "checkpoint")) {
		reply_result(era_map_checkpoint(control->map), "", reply);
	} else if (!strcasecmp(message, "take_metadata_snap")) {
		reply_result(era_map_take_metadata_snap(control->map),
			     "a metadata snapshot is held already", reply);
	} else if (!strcasecmp(message, "drop_metadata_snap")) {
		r = era_map_drop_metadata_snap(control->map);
		if (!r)
			forget_holder(control);
		reply_result(r, "no metadata snapshot is held", reply);
	} else {
		snprintf(reply, CONTROL_LINE_MAX, "error unknown message");
	}
}

static void do_status(struct control *control, reply_text reply)
{
	char text[ERA_MAP_STATUS_MAX];
	struct era_map_status status;

	era_map_status(control->map, &status);
	era_map_status_text(&status, text);
	snprintf(reply, CONTROL_LINE_MAX, "ok 0 %" PRIu64 " era %s", control->nr_sectors, text);
}

static void do_snapshot(struct control *control, struct control_client *client, reply_text reply)
{
	struct era_map_status status;
	int r = era_map_take_metadata_snap(control->map);

	reply_result(r, "a metadata snapshot is held already", reply);
	if (r)
		return;
	client->holds = true;
	era_map_status(control->map, &status);
	snprintf(reply, CONTROL_LINE_MAX, "ok %" PRIu64 " %u", status.metadata_snap, status.era);
}

static void do_release(struct control *control, struct control_client *client, reply_text reply)
{
	int r = client->holds ? era_map_drop_metadata_snap(control->map) : PD_ERR_USAGE;

	if (!r)
		client->holds = false;
	reply_result(r, "the metadata snapshot was dropped meanwhile", reply);
}

static void do_line(struct control *control, struct control_client *client, const char *line)
{
	static const char message[] = "message ";
	reply_text reply;
	size_t length;

	if (!strcmp(line, "status"))
		do_status(control, reply);
	else if (!strcmp(line, "snapshot"))
		do_snapshot(control, client, reply);
	else if (!strcmp(line, "release"))
		do_release(control, client, reply);
	else if (!strncmp(line, message, strlen(message)))
		do_message(control, line + strlen(message), reply);
	else
		snprintf(reply, sizeof(reply), "error unknown request");
	length = strlen(reply);
	reply[length] = '\n';
	/* A client that does not wait for the answer does without it. */
	send(client->fd, reply, length + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Clients. */

/* false: none can be added now, for want of descriptors or memory. */
static bool add_client(struct control *control)
{
	int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	if (control->nr_clients < CONTROL_MAX_CLIENTS)
		control->clients[control->nr_clients++] = (struct control_client){.fd = fd};
	else
		close(fd);
	return true;
}

static void remove_client(struct control *control, unsigned i)
{
	struct control_client *client = &control->clients[i];

	if (client->holds)
		era_map_drop_metadata_snap(control->map);
	close(client->fd);
	*client = control->clients[--control->nr_clients];
}

/* false: it has gone, or talks too much. */
static bool hear_client(struct control *control, struct control_client *client)
{
	ssize_t n =
		recv(client->fd, client->line + client->nr, sizeof(client->line) - client->nr, 0);
	char *newline;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->nr += (size_t)n;
	while ((newline = memchr(client->line, '\n', client->nr))) {
		size_t used = (size_t)(newline - client->line) + 1;

		*newline = '\0';
		do_line(control, client, client->line);
		client->nr -= used;
		memmove(client->line, client->line + used, client->nr);
	}
	return n && client->nr < sizeof(client->line);
}

static void *serve(void *context)
{
	struct control *control = context;
	struct pollfd fds[CONTROL_MAX_CLIENTS + 2];
	bool accepting = true;

	for (;;) {
		unsigned nr = control->nr_clients;

		for (unsigned i = 0; i < nr; i++)
			fds[i] = (struct pollfd){control->clients[i].fd, POLLIN, 0};
		/* Where no client can be accepted, those who wait do so until it is tried again. */
		fds[nr] = (struct pollfd){accepting ? control->listener : -1, POLLIN, 0};
		fds[nr + 1] = (struct pollfd){control->stop[0], POLLIN, 0};
		if (poll(fds, nr + 2, accepting ? -1 : AGAIN_MSEC) < 0) {
			usleep(AGAIN_MSEC * 1000);
			continue;
		}
		if (fds[nr + 1].revents)
			return NULL;
		/* From the last one down: the last takes the place of one that is removed. */
		for (unsigned i = nr; i-- > 0;)
			if (fds[i].revents && !hear_client(control, &control->clients[i]))
				remove_client(control, i);
		accepting = !fds[nr].revents || add_client(control);
	}
}

/* The socket. */

static bool nobody_listens(const struct sockaddr_un *address)
{
	struct stat st;
	bool refused;
	int fd;

	/* What is no socket refuses connections as well. */
	if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
	/* The mode that the socket is to have in the file system, from its first instant. */
	if (fchmod(fd, S_IRUSR | S_IWUSR))
		return errno;
	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE || !nobody_listens(address))
		return errno;
	unlink(address->sun_path);
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
}

static int make_socket(struct control *control, const struct sockaddr_un *address)
{
	int r;

	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listener < 0)
		return errno;
	r = bind_to(control->listener, address);
	if (r)
		return r;
	control->path = strdup(address->sun_path);
	if (!control->path)
		return ENOMEM;
	if (listen(control->listener, CONTROL_MAX_CLIENTS) || pipe2(control->stop, O_CLOEXEC))
		return errno;
	return 0;
}

int control_open(struct control *control, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*control = (struct control){.listener = -1, .stop = {-1, -1}};
	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	strcpy(address.sun_path, path);
	return make_socket(control, &address);
}

int control_start(struct control *control, struct era_map *map, uint64_t nr_sectors)
{
	int r;

	control->map = map;
	control->nr_sectors = nr_sectors;
	r = pthread_create(&control->thread, NULL, serve, control);
	control->started = !r;
	return r;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void control_close(struct control *control)
{
	if (control->started && write(control->stop[1], "", 1) == 1)
		pthread_join(control->thread, NULL);
	while (control->nr_clients)
		remove_client(control, control->nr_clients - 1);
	close_fd(control->listener);
	close_fd(control->stop[0]);
	close_fd(control->stop[1]);
	if (control->path)
		unlink(control->path);
	free(control->path);
	*control = (struct control){.listener = -1, .stop = {-1, -1}};
}
