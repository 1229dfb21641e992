/* SPDX-License-Identifier: MIT */
/* The other end of the control socket. */
#include "tools/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int control_connect(struct cli *cli, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	cli->subject = path;
	if (strlen(path) >= sizeof(address.sun_path)) {
		cli_fail(cli, "too long for the name of a socket");
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	if (errno == ECONNREFUSED)
		cli_fail(cli, "nobody serves a device there");
	else
		cli_fail(cli, "cannot connect: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
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
