/* SPDX-License-Identifier: MIT */
/* Runs a command and measures it. */
#include "tests/bench/run.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 32
#define CHUNK (1024 * 1024)

extern char **environ;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Starts a command whose standard output is fd. */
static pid_t start(const char *line, int fd)
{
	char *words = strdup(line);
	char *argv[WORDS_MAX] = {NULL};
	posix_spawn_file_actions_t actions;
	char *rest = NULL;
	pid_t pid = -1;
	int n = 0;

	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (n < WORDS_MAX - 1)
			argv[n++] = word;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ))
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	free(words);
	return pid;
}

static pid_t start_piped(const char *line, int *from)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = start(line, ends[1]);
	close(ends[1]);
	*from = ends[0];
	return pid;
}

static void empty(int from)
{
	static char chunk[CHUNK];

	while (read(from, chunk, CHUNK) > 0)
		;
	close(from);
}

static pid_t start_to(const struct command *command)
{
	const char *path = command->output == TO_FILE ? command->file : "/dev/null";
	int fd = -1;
	pid_t pid;

	if (command->output == TO_PIPE) {
		pid = start_piped(command->line, &fd);
		if (pid >= 0)
			empty(fd);
		return pid;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	pid = fd < 0 ? -1 : start(command->line, fd);
	if (fd >= 0)
		close(fd);
	return pid;
}

void run_command(struct command *command)
{
	struct rusage usage;
	double begin;
	int status = 0;
	pid_t pid;

	if (!command->line || command->failed || command->nr_runs == RUN_ROUNDS_MAX)
		return;
	if (command->file)
		unlink(command->file);
	begin = now();
	pid = start_to(command);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status) {
		command->failed = true;
		return;
	}
	command->seconds[command->nr_runs] = now() - begin;
	command->sum += command->seconds[command->nr_runs];
	command->cpu_seconds[command->nr_runs++] =
		seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
	if ((uint64_t)usage.ru_maxrss * 1024 > command->peak_rss)
		command->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
}

static void count(struct lines *lines, FILE *from)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&text, &room, from)) > 0) {
		lines->bytes += (uint64_t)n;
		if (!strncmp(text, "    <era ", 9))
			lines->eras++;
		else if (!strncmp(text, "    <bit ", 9))
			lines->bits++;
		else
			lines->others++;
	}
	free(text);
}

bool run_and_count(const struct command *command, struct lines *lines)
{
	int from = -1, status = -1;
	pid_t pid = start_piped(command->line, &from);
	FILE *file = pid < 0 ? NULL : fdopen(from, "r");

	if (!file)
		return false;
	count(lines, file);
	fclose(file);
	return waitpid(pid, &status, 0) == pid && !status;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

double run_median(const double *values, unsigned nr)
{
	double sorted[RUN_ROUNDS_MAX];

	if (!nr)
		return 0;
	memcpy(sorted, values, nr * sizeof(*values));
	qsort(sorted, nr, sizeof(*sorted), ascending);
	return nr % 2 ? sorted[nr / 2] : (sorted[nr / 2 - 1] + sorted[nr / 2]) / 2;
}
