/* SPDX-License-Identifier: MIT */
/* The other end of the control socket. */
#include "tools/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* -1: errno tells why. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int control_connect(struct cli *cli, const char *path)
{
	int fd = connect_to(path);

	cli->subject = path;
	if (fd < 0 && errno == ECONNREFUSED)
		cli_fail(cli, "nobody serves a device there");
	else if (fd < 0)
		cli_fail(cli, "cannot connect: %s", strerror(errno));
	return fd;
}

void control_remove_dead(const char *path)
{
	struct stat st;
	int fd;

	/* What is no socket refuses connections as well. */
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = connect_to(path);
	if (fd >= 0)
		close(fd);
	else if (errno == ECONNREFUSED)
		unlink(path);
}

static bool send_line(const struct cli *cli, int fd, const char *line)
{
	char text[CONTROL_REPLY_MAX];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	if (length >= (int)sizeof(text)) {
		cli_fail(cli, "too long a message");
		return false;
	}
	if (send(fd, text, (size_t)length, MSG_NOSIGNAL) == length)
		return true;
	cli_fail(cli, "cannot be asked: %s", strerror(errno));
	return false;
}

static bool receive_line(const struct cli *cli, int fd, char text[CONTROL_REPLY_MAX])
{
	size_t nr = 0;

	while (nr < CONTROL_REPLY_MAX - 1) {
		ssize_t n = recv(fd, text + nr, 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			cli_fail(cli, "no answer: %s", n ? strerror(errno) : "the server has gone");
			return false;
		}
		if (text[nr] == '\n')
			break;
		nr++;
	}
	text[nr] = '\0';
	return true;
}

bool control_ask(const struct cli *cli, int fd, const char *line, char reply[CONTROL_REPLY_MAX])
{
	char text[CONTROL_REPLY_MAX];

	if (!send_line(cli, fd, line) || !receive_line(cli, fd, text))
		return false;
	if (strncmp(text, "ok", 2) != 0) {
		cli_fail(cli, "%s: %s", line, strncmp(text, "error ", 6) ? text : text + 6);
		return false;
	}
	strcpy(reply, text[2] ? text + 3 : "");
	return true;
}
