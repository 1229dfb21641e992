/* SPDX-License-Identifier: MIT */
/* Runs commands and keeps what they print. */
#include "tests/support/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPU_SECONDS 60
#define WALL_SECONDS 240
#define ERR_MAX 65536

struct files {
	char path[PATH_MAX]; /* of the command; */
	int program;	     /* open */
	int in, out, err;
	pid_t feeder; /* of a pipe; 0: there is none */
};

static void die(const char *what)
{
	cr_assert_fail("%s: %s", what, strerror(errno));
}

bool command_sanitized(void)
{
	const char *value = getenv("ERA_SANITIZED");

	return value && *value;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

static int memory_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		die("memfd_create");
	return fd;
}

static void find_program(struct files *files, const char *name)
{
	const char *directory = getenv("ERA_BIN");

	if (strchr(name, '/'))
		snprintf(files->path, PATH_MAX, "%s", name);
	else
		snprintf(files->path, PATH_MAX, "%s/%s", directory ? directory : "build/bin", name);
	files->program = open_or_die(files->path, O_RDONLY);
}

/* A process that writes the bytes into a pipe, whose other end is returned. */
static int feed(const char *bytes, size_t size, pid_t *feeder)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		die("pipe2");
	*feeder = fork();
	if (*feeder < 0)
		die("fork");
	if (!*feeder) {
		signal(SIGPIPE, SIG_DFL);
		close(fds[0]);
		while (size) {
			ssize_t n = write(fds[1], bytes, size);

			if (n < 0)
				break;
			bytes += n;
			size -= (size_t)n;
		}
		_exit(0);
	}
	close(fds[1]);
	return fds[0];
}

static int unread_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		die("pipe2");
	close(fds[0]);
	return fds[1];
}

static struct files open_files(const struct command_setup *setup, const char *name)
{
	struct files files = {.err = memory_file("err")};

	find_program(&files, name);
	if (setup->piped)
		files.in = feed(setup->piped, setup->piped_size, &files.feeder);
	else
		files.in = open_or_die(setup->input ? setup->input : "/dev/null", O_RDONLY);
	if (setup->output)
		files.out = open_or_die(setup->output, O_WRONLY);
	else if (setup->closed_output)
		files.out = unread_pipe();
	else
		files.out = memory_file("out");
	return files;
}

static void limit(int resource, uint64_t value)
{
	struct rlimit limit = {value, value};

	if (setrlimit(resource, &limit))
		_exit(126);
}

/* The child's side. Its messages, if it gets nowhere, are its exit statuses. */
static void become(const struct command_setup *setup, const struct files *files,
		   const char *const argv[])
{
	if (dup2(files->in, 0) < 0 || dup2(files->out, 1) < 0 || dup2(files->err, 2) < 0)
		_exit(126);
	limit(RLIMIT_CPU, CPU_SECONDS);
	limit(RLIMIT_CORE, 0);
	alarm(WALL_SECONDS);
	if (setup->file_size) {
		limit(RLIMIT_FSIZE, setup->file_size);
		signal(SIGXFSZ, setup->killed_at_size ? SIG_DFL : SIG_IGN);
	}
	if (setup->memory && !command_sanitized())
		limit(RLIMIT_AS, setup->memory);
	if (setup->user && (setgroups(0, NULL) || setgid(setup->user) || setuid(setup->user)))
		_exit(126);
	/* Another user might not get at its path. */
	if (setup->user)
		fexecve(files->program, (char *const *)(uintptr_t)argv, environ);
	else
		execv(files->path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* What was written, zero-terminated. To be freed. */
static char *contents(int fd, size_t max, size_t *size)
{
	struct stat st;
	char *text;

	*size = 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		*size = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
	text = malloc(*size + 1);
	if (!text)
		die("malloc");
	for (size_t got = 0; got < *size;) {
		ssize_t n = pread(fd, text + got, *size - got, (off_t)got);

		if (n <= 0)
			die("pread");
		got += (size_t)n;
	}
	text[*size] = 0;
	return text;
}

static void reap(pid_t pid, struct command_result *result)
{
	struct rusage usage;
	int status;

	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			die("wait4");
	result->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	result->peak_kib = usage.ru_maxrss;
}

static void close_files(const struct files *files)
{
	close(files->program);
	close(files->in);
	close(files->out);
	close(files->err);
	if (files->feeder)
		waitpid(files->feeder, NULL, 0);
}

struct command_result command_run(const struct command_setup *setup, const char *const argv[])
{
	static const struct command_setup plain = {.input = NULL};
	struct command_result result = {.out = NULL};
	const struct command_setup *how = setup ? setup : &plain;
	struct files files = open_files(how, argv[0]);
	size_t err_size;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		become(how, &files, argv);
	reap(pid, &result);
	cr_assert(result.status != 126 && result.status != 127, "%s cannot be run", argv[0]);
	result.out = contents(how->output ? -1 : files.out, SIZE_MAX, &result.out_size);
	result.err = contents(files.err, ERR_MAX, &err_size);
	close_files(&files);
	return result;
}

void command_free(struct command_result *result)
{
	free(result->out);
	free(result->err);
	*result = (struct command_result){.out = NULL};
}

/* Where two texts differ; the smaller size, if one begins with the other. */
static size_t first_difference(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t i = 0;

	while (i < a_size && i < b_size && a[i] == b[i])
		i++;
	return i;
}

/* The beginning of the line in which a byte is. */
static const char *line_at(const char *text, size_t at)
{
	while (at && text[at - 1] != '\n')
		at--;
	return text + at;
}

static int line_length(const char *line)
{
	size_t length = strcspn(line, "\n");

	return length < 100 ? (int)length : 100;
}

bool command_printed(const struct command_result *result, const char *out, size_t size,
		     char problem[400])
{
	const char *was, *is;
	size_t at;

	problem[0] = 0;
	if (result->status || result->err[0]) {
		snprintf(problem, 400, "exit status %d, signal %d, said: %.300s", result->status,
			 result->signal, result->err);
		return false;
	}
	at = first_difference(result->out, result->out_size, out, size);
	if (at == size && at == result->out_size)
		return true;
	was = line_at(result->out, at);
	is = line_at(out, at);
	snprintf(problem, 400, "printed %zu bytes, not %zu; differs at byte %zu: %.*s, not %.*s",
		 result->out_size, size, at, line_length(was), was, line_length(is), is);
	return false;
}

/* Whether there is a message, and every line of it begins with the command's name. */
static bool has_messages(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		if (strncmp(line, name, length) || strncmp(line + length, ": ", 2) ||
		    !strchr(line, '\n'))
			return false;
	return *text;
}

bool command_refused(const struct command_result *result, const char *name, const char *phrase,
		     char problem[400])
{
	problem[0] = 0;
	if (result->status == 1 && !result->out_size && has_messages(result->err, name) &&
	    strstr(result->err, phrase))
		return true;
	snprintf(problem, 400,
		 "no '%s': exit status %d, signal %d, printed %zu bytes, said: %.250s", phrase,
		 result->status, result->signal, result->out_size, result->err);
	return false;
}
