/* SPDX-License-Identifier: MIT */
/* era_map: serves a device and records which of its blocks are written in which era. */
#include "tools/cli.h"
#include "tools/control_client.h"
#include "tools/held_snapshot.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
	"Usage: era_map serve [options] METADATA ORIGIN BLOCK_SIZE\n"
	"       era_map message CONTROL {checkpoint|take_metadata_snap|drop_metadata_snap}\n"
	"       era_map status CONTROL\n"
	"       era_map snapshot CONTROL -- COMMAND...\n"
	"Serves ORIGIN as a network block device, and records in METADATA which of its\n"
	"blocks, of BLOCK_SIZE sectors each, are written in which era.\n"
	"\n"
	"      --socket PATH     serve on a Unix domain socket\n"
	"      --port N          serve on a TCP port (10809)\n"
	"      --address ADDR    the address that this port is on (127.0.0.1)\n"
	"      --control PATH    listen for messages on a socket of this name\n"
	"  -h, --help            print this help\n"
	"  -V, --version         print the version\n"
	"\n"
	"Exit status: 0 if all went well, 1 otherwise; of snapshot, that of COMMAND.\n";

enum { OPT_SOCKET = CLI_LONG_OPTION, OPT_PORT, OPT_ADDRESS, OPT_CONTROL };

static const struct option long_options[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"port", required_argument, NULL, OPT_PORT},
	{"address", required_argument, NULL, OPT_ADDRESS},
	{"control", required_argument, NULL, OPT_CONTROL},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct options {
	const char *socket, *port, *address, *control;
};

/* Serving. */

/* From the directory of the commands, both where they are built and where they are installed. */
#define PLUGIN "../lib/nbdkit/plugins/nbdkit-era-plugin.so"

static bool find_plugin(const struct cli *cli, char path[PATH_MAX])
{
	char self[PATH_MAX - sizeof(PLUGIN) - 1];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n >= 0) {
		self[n] = '\0';
		snprintf(path, PATH_MAX, "%s/%s", dirname(self), PLUGIN);
		if (!access(path, R_OK))
			return true;
	}
	cli_fail(cli, "the nbdkit plugin is not installed: %s: %s", PLUGIN, strerror(errno));
	return false;
}

/* "name=value", for nbdkit; freed by nobody, since all that follows is exec. */
static const char *parameter(const char *name, const char *value)
{
	char *text;

	if (asprintf(&text, "%s=%s", name, value) >= 0)
		return text;
	abort();
}

/* Each connection takes some, and nbdkit does badly without. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_nbdkit(const struct cli *cli, const struct options *options, char **operands,
		      uint32_t block_size)
{
	char plugin[PATH_MAX], sectors[16];
	/* First writes wait for a commit: they share more of them, and are less in the way of others. */
	const char *arguments[16] = {"nbdkit", "--foreground", "--threads", "64"};
	unsigned nr = 4;

	if (!find_plugin(cli, plugin))
		return EXIT_FAILURE;
	if (options->socket) {
		control_remove_dead(options->socket);
		arguments[nr++] = "--unix";
		arguments[nr++] = options->socket;
	} else {
		arguments[nr++] = "--ipaddr";
		arguments[nr++] = options->address ? options->address : "127.0.0.1";
		arguments[nr++] = "--port";
		arguments[nr++] = options->port ? options->port : "10809";
	}
	arguments[nr++] = plugin;
	arguments[nr++] = parameter("metadata", operands[0]);
	arguments[nr++] = parameter("origin", operands[1]);
	/* Said anew: nbdkit takes what begins with 0 for octal. */
	snprintf(sectors, sizeof(sectors), "%u", block_size);
	arguments[nr++] = parameter("block-size", sectors);
	if (options->control)
		arguments[nr++] = parameter("control", options->control);
	allow_many_files();
	execvp(arguments[0], (char *const *)(uintptr_t)arguments);
	return cli_fail(cli, "nbdkit: %s", strerror(errno));
}

static int serve(const struct cli *cli, const struct options *options, char **operands, int nr)
{
	uint32_t block_size, number;

	if (nr != 3)
		return cli_usage_error(cli, "serve: give METADATA, ORIGIN and BLOCK_SIZE");
	if (!cli_number(operands[2], &block_size) || !block_size || block_size % 8)
		return cli_usage_error(cli, "BLOCK_SIZE: not a multiple of 8 sectors: %s",
				       operands[2]);
	if (options->port && (!cli_number(options->port, &number) || number > 65535))
		return cli_usage_error(cli, "--port: not a port: %s", options->port);
	if (options->socket && (options->port || options->address))
		return cli_usage_error(cli, "--socket goes with neither --port nor --address");
	return run_nbdkit(cli, options, operands, block_size);
}

/* Asking. */

static int ask(struct cli *cli, const char *control, const char *line, bool print)
{
	char reply[CONTROL_REPLY_MAX];
	int fd = control_connect(cli, control);
	bool answered = fd >= 0 && control_ask(cli, fd, line, reply);

	if (fd >= 0)
		close(fd);
	if (answered && print)
		puts(reply);
	return cli_finish(cli, answered ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int send_message(struct cli *cli, char **operands, int nr)
{
	char line[CONTROL_REPLY_MAX];

	if (nr != 2 || strlen(operands[1]) > 100 || strchr(operands[1], '\n'))
		return cli_usage_error(cli, "message: give CONTROL and one message");
	snprintf(line, sizeof(line), "message %s", operands[1]);
	return ask(cli, operands[0], line, false);
}

static int print_status(struct cli *cli, char **operands, int nr)
{
	if (nr != 1)
		return cli_usage_error(cli, "status: give CONTROL");
	return ask(cli, operands[0], "status", true);
}

static int snapshot(struct cli *cli, char **operands, int nr)
{
	char **command = operands + 1;

	if (nr > 1 && !strcmp(command[0], "--")) {
		command++;
		nr--;
	}
	if (nr < 2)
		return cli_usage_error(cli, "snapshot: give CONTROL and a command");
	return held_snapshot_run(cli, operands[0], command);
}

static void take_option(struct options *options, int c)
{
	switch (c) {
	case OPT_SOCKET:
		options->socket = optarg;
		break;
	case OPT_PORT:
		options->port = optarg;
		break;
	case OPT_ADDRESS:
		options->address = optarg;
		break;
	default:
		options->control = optarg;
	}
}

static int run_verb(struct cli *cli, const struct options *options, char **words, int nr)
{
	const char *verb = nr ? words[0] : "";
	bool any = options->socket || options->port || options->address || options->control;

	if (!strcmp(verb, "serve"))
		return serve(cli, options, words + 1, nr - 1);
	if (any)
		return cli_usage_error(cli, "options go with serve only");
	if (!strcmp(verb, "message"))
		return send_message(cli, words + 1, nr - 1);
	if (!strcmp(verb, "status"))
		return print_status(cli, words + 1, nr - 1);
	if (!strcmp(verb, "snapshot"))
		return snapshot(cli, words + 1, nr - 1);
	return cli_usage_error(cli, "serve, message, status or snapshot is meant%s%s",
			       nr ? ", not " : "", verb);
}

/* Options may stand behind operands, but those of a snapshot's command are its own. */
static bool is_snapshot(int argc, char **argv)
{
	return argc > 2 && !strcmp(argv[1], "snapshot") && argv[2][0] != '-';
}

int main(int argc, char **argv)
{
	struct options options = {.socket = NULL};
	struct cli cli;
	int c;

	cli_init(&cli, "era_map", usage);
	if (is_snapshot(argc, argv))
		return snapshot(&cli, argv + 2, argc - 2);
	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		take_option(&options, c);
	}
	return run_verb(&cli, &options, argv + optind, argc - optind);
}
