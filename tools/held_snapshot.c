/* SPDX-License-Identifier: MIT */
/* Runs a command while a metadata snapshot is held. */
#include "tools/held_snapshot.h"
#include "tools/control_client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int end_signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

static volatile pid_t child;

/* Whoever wants to end us means the command. That the snapshot is dropped is left to do then. */
static void pass_on(int number)
{
	if (child > 0)
		kill(child, number);
}

static void set_handlers(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		sigaction(end_signals[i], &action, NULL);
}

static void block_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(end_signals[0]); i++)
		sigaddset(&set, end_signals[i]);
	sigprocmask(how, &set, NULL);
}

/* "136 6": the snapshot's block, and the era that began with it. */
static void set_environment(const char *reply)
{
	const char *space = strchr(reply, ' ');

	setenv("ERA_MAP_ERA", space ? space + 1 : "", 1);
}

static void run_child(const struct cli *cli, char **command)
{
	set_handlers(SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	block_signals(SIG_UNBLOCK);
	execvp(command[0], command);
	cli_fail(cli, "%s: %s", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int run(const struct cli *cli, char **command)
{
	int status;
	pid_t pid;

	/* Signals wait until it is known whom they are to be passed on to. */
	block_signals(SIG_BLOCK);
	set_handlers(pass_on);
	pid = fork();
	if (!pid)
		run_child(cli, command);
	child = pid;
	block_signals(SIG_UNBLOCK);
	if (pid < 0)
		return cli_fail(cli, "no process can be started: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cli_fail(cli, "the command is lost: %s", strerror(errno));
	child = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int held_snapshot_run(struct cli *cli, const char *control, char **command)
{
	char reply[CONTROL_REPLY_MAX];
	int status, fd = control_connect(cli, control);

	if (fd < 0)
		return EXIT_FAILURE;
	if (!control_ask(cli, fd, "snapshot", reply)) {
		close(fd);
		return EXIT_FAILURE;
	}
	set_environment(reply);
	status = run(cli, command);
	if (!control_ask(cli, fd, "release", reply))
		status = EXIT_FAILURE;
	close(fd);
	return status;
}
