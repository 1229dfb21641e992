/* SPDX-License-Identifier: MIT */
/* Ends connections when nbdkit is told to end. */
#include "nbdkit/hang_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_MSEC 50 /* one may have been about to connect */
#define NR_SIGNALS 3

static const int end_signals[NR_SIGNALS] = {SIGINT, SIGQUIT, SIGTERM};

/* A signal handler is told of nothing else. */
static struct {
	bool started;
	pthread_t thread;
	DIR *fds;    /* all that are open; this one is early, for there may be no more later */
	int told[2]; /* a pipe: of a signal; closed at the other end: to stop */
	struct sigaction before[NR_SIGNALS]; /* nbdkit's own */
} state;

static void tell(int number)
{
	int error = errno;
	ssize_t n = write(state.told[1], "", 1);

	(void)n; /* a full pipe says as much */
	for (int i = 0; i < NR_SIGNALS; i++)
		if (end_signals[i] == number)
			state.before[i].sa_handler(number);
	errno = error;
}

/* A listening socket has no peer. Of others that may be there, such as a log's, we read nothing. */
static void hang_up_on(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (!getpeername(fd, (struct sockaddr *)&address, &size))
		shutdown(fd, SHUT_RD);
}

/* nbdkit does not tell which sockets are its clients'. */
static void hang_up_on_all(void)
{
	const struct dirent *entry;

	rewinddir(state.fds);
	while ((entry = readdir(state.fds)))
		if (entry->d_name[0] != '.')
			hang_up_on(atoi(entry->d_name));
}

static void *watch(void *context)
{
	struct pollfd told = {state.told[0], POLLIN, 0};
	int timeout = -1;

	while (!(told.revents & POLLHUP)) {
		char byte;

		if (poll(&told, 1, timeout) < 0 || told.revents & POLLHUP)
			continue;
		if (told.revents & POLLIN && read(told.fd, &byte, 1) < 0)
			break;
		hang_up_on_all();
		timeout = AGAIN_MSEC;
	}
	return context;
}

static void chain_handlers(void)
{
	for (int i = 0; i < NR_SIGNALS; i++) {
		struct sigaction action;

		sigaction(end_signals[i], NULL, &state.before[i]);
		action = state.before[i];
		action.sa_handler = tell;
		if (state.before[i].sa_handler != SIG_DFL && state.before[i].sa_handler != SIG_IGN)
			sigaction(end_signals[i], &action, NULL);
	}
}

static int open_all(void)
{
	state.told[0] = state.told[1] = -1;
	state.fds = opendir("/proc/self/fd");
	return !state.fds || pipe2(state.told, O_CLOEXEC | O_NONBLOCK) ? errno : 0;
}

static void close_all(void)
{
	if (state.fds)
		closedir(state.fds);
	for (int i = 0; i < 2; i++)
		if (state.told[i] >= 0)
			close(state.told[i]);
}

int hang_up_start(void)
{
	int r = open_all();

	if (!r)
		r = pthread_create(&state.thread, NULL, watch, NULL);
	if (r) {
		close_all();
		return r;
	}
	state.started = true;
	chain_handlers();
	return 0;
}

void hang_up_stop(void)
{
	if (!state.started)
		return;
	for (int i = 0; i < NR_SIGNALS; i++)
		sigaction(end_signals[i], &state.before[i], NULL);
	close(state.told[1]);
	state.told[1] = -1;
	pthread_join(state.thread, NULL);
	close_all();
	state.started = false;
}
