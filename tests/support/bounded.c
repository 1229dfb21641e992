/* SPDX-License-Identifier: MIT */
/* Runs commands within bounds of time. */
#include "tests/support/bounded.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_SECONDS 20
#define ROOM 4096

extern char **environ;

struct stream {
	int fd;
	char *text;
	size_t size, room;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

bool bounded_sanitized(void)
{
	const char *value = getenv("ERA_SANITIZED");

	return value && *value;
}

/* Reads what is there; the stream is closed at its end. */
static void take(struct stream *stream)
{
	ssize_t n;

	if (stream->room < stream->size + ROOM) {
		stream->room = stream->size * 2 + ROOM * 2;
		stream->text = realloc(stream->text, stream->room);
		if (!stream->text)
			die("realloc");
	}
	n = read(stream->fd, stream->text + stream->size, stream->room - stream->size - 1);
	if (n > 0) {
		stream->size += (size_t)n;
	} else {
		close(stream->fd);
		stream->fd = -1;
	}
	stream->text[stream->size] = 0;
}

static int milliseconds_left(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)((begin->tv_sec + LIMIT_SECONDS - now.tv_sec) * 1000 +
		     (begin->tv_nsec - now.tv_nsec) / 1000000);
}

/* false: there was no end to it in time. */
static bool take_all(struct stream streams[2])
{
	struct timespec begin;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (streams[0].fd >= 0 || streams[1].fd >= 0) {
		struct pollfd fds[2] = {{streams[0].fd, POLLIN, 0}, {streams[1].fd, POLLIN, 0}};
		int left = milliseconds_left(&begin);

		if (left <= 0)
			return false;
		if (poll(fds, 2, left) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				take(&streams[i]);
	}
	return true;
}

static const char *find_command(const char *name, char path[PATH_MAX])
{
	const char *directory = getenv("ERA_BIN");

	snprintf(path, PATH_MAX, "%s/%s", directory ? directory : "build/bin", name);
	return path;
}

static pid_t spawn(const char *const argv[], struct stream streams[2])
{
	posix_spawn_file_actions_t actions;
	char path[PATH_MAX];
	int pipes[2][2];
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	for (int i = 0; i < 2; i++) {
		if (pipe2(pipes[i], O_CLOEXEC))
			die("pipe2");
		posix_spawn_file_actions_adddup2(&actions, pipes[i][1], i + 1);
		streams[i] = (struct stream){.fd = pipes[i][0]};
	}
	errno = posix_spawn(&pid, find_command(argv[0], path), &actions, NULL, (char *const *)argv,
			    environ);
	if (errno)
		die(path);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[0][1]);
	close(pipes[1][1]);
	return pid;
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void reap(pid_t pid, struct outcome *outcome)
{
	struct rusage usage;
	int status;

	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			die("wait4");
	outcome->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	outcome->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	outcome->cpu_seconds = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
	outcome->peak_kib = usage.ru_maxrss;
}

struct outcome bounded_run(const char *const argv[])
{
	struct outcome outcome = {.hung = false};
	struct stream streams[2];
	pid_t pid = spawn(argv, streams);

	if (!take_all(streams)) {
		outcome.hung = true;
		kill(pid, SIGKILL);
		for (int i = 0; i < 2; i++)
			while (streams[i].fd >= 0)
				take(&streams[i]);
	}
	reap(pid, &outcome);
	outcome.out = streams[0].text;
	outcome.out_size = streams[0].size;
	outcome.err = streams[1].text;
	outcome.err_size = streams[1].size;
	return outcome;
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err);
}

const char *outcome_wrong(const struct outcome *outcome)
{
	if (outcome->hung)
		return "it hung";
	if (outcome->signal)
		return strsignal(outcome->signal);
	return outcome->status == 0 || outcome->status == 1 ? NULL : "exit status not 0 or 1";
}
