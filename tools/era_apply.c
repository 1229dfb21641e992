/* SPDX-License-Identifier: MIT */
/* era_apply: applies a stream of differences to a copy of an origin. */
#include "era/apply.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"
#include "tools/cli.h"
#include "tools/data.h"
#include "tools/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char usage[] =
	"Usage: era_apply [options] TARGET\n"
	"Applies a stream that era_copy wrote to TARGET, a copy of its origin.\n"
	"\n"
	"  -i, --input FILE  the stream; - is standard input, which is the default\n"
	"      --state FILE  where it is kept which era TARGET is as of; the default is\n"
	"                    TARGET.era, but a block device needs it\n"
	"      --from ERA    TARGET was copied by other means, and is as of the beginning of\n"
	"                    era ERA; only where there is no state file yet\n"
	"  -q, --quiet       print no messages, the exit status tells\n"
	"  -h, --help        print this help\n"
	"  -V, --version     print the version\n"
	"\n"
	"Exit status: 0 if all was applied, 1 otherwise.\n";

struct options {
	const char *input, *state, *target;
	uint32_t from; /* 0: not given */
};

enum { OPT_STATE = CLI_LONG_OPTION, OPT_FROM };

static const struct option long_options[] = {
	{"input", required_argument, NULL, 'i'},
	{"state", required_argument, NULL, OPT_STATE},
	{"from", required_argument, NULL, OPT_FROM},
	{"quiet", no_argument, NULL, 'q'},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* The stream. */

struct source {
	struct cli *cli;
	const char *name;
	int fd;
	struct stat st;
	off_t begin; /* in a regular file; -1: it can be read once only */
	int error;   /* errno of a read that failed */
	struct rbd_diff_input input;
	struct rbd_diff diff;
};

/* It is told later: another thread may be showing progress now. */
static int source_fail(struct source *source)
{
	source->error = errno;
	return PD_ERR_IO;
}

static int source_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct source *source = context;

	return read_stream(source->fd, buffer, size, nr) ? source_fail(source) : PD_OK;
}

static int source_skip(void *context, uint64_t nr)
{
	struct source *source = context;

	return lseek(source->fd, (off_t)nr, SEEK_CUR) < 0 ? source_fail(source) : PD_OK;
}

/* Tells what the stream is to blame for. Returns whether all was well. */
static bool source_conclude(const struct source *source, int r)
{
	if (r == PD_ERR_CORRUPT)
		cli_fail(source->cli, "%s: %s", source->name, source->diff.problem);
	else if (r && source->error)
		cli_fail(source->cli, "%s: cannot be read: %s", source->name,
			 strerror(source->error));
	return !r;
}

static bool source_header(struct source *source)
{
	return source_conclude(source, rbd_diff_open(&source->diff, &source->input));
}

static bool source_open(struct source *source, struct cli *cli, const char *path)
{
	bool is_stdin = !strcmp(path, "-");

	source->cli = cli;
	source->name = is_stdin ? "standard input" : path;
	source->input = (struct rbd_diff_input){{source_read, source}, NULL};
	source->error = 0;
	source->begin = -1;
	source->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (source->fd < 0 || fstat(source->fd, &source->st)) {
		cli_fail(cli, "%s: cannot be opened: %s", source->name, strerror(errno));
		return false;
	}
	if (S_ISREG(source->st.st_mode)) {
		source->begin = lseek(source->fd, 0, SEEK_CUR);
		source->input.skip = source_skip;
	}
	widen_pipe(source->fd);
	return source_header(source);
}

/* Where the stream can be read twice, all of it is looked at before anything is written. */
static bool source_check(struct source *source)
{
	if (source->begin < 0)
		return true;
	if (!source_conclude(source, apply_check(&source->diff)))
		return false;
	if (lseek(source->fd, source->begin, SEEK_SET) < 0)
		return source_conclude(source, source_fail(source));
	return source_header(source);
}

/* The target. */

static const char *state_path(const struct cli *cli, const struct options *options,
			      char path[PATH_MAX])
{
	struct stat st;

	if (options->state)
		return options->state;
	if (!stat(options->target, &st) && S_ISBLK(st.st_mode)) {
		cli_usage_error(cli,
				"%s is a block device: --state has to say where its era is kept",
				options->target);
		return NULL;
	}
	if (snprintf(path, PATH_MAX, "%s.era", options->target) < PATH_MAX)
		return path;
	cli_fail(cli, "%s: too long a name", options->target);
	return NULL;
}

/* Makes an empty file for a copy of the whole where there is nothing. */
static bool make_file(const struct cli *cli, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0 && errno != EEXIST) {
		cli_fail(cli, "%s: cannot be made: %s", path, strerror(errno));
		return false;
	}
	if (fd >= 0)
		close(fd);
	return true;
}

/* Whether the stream may follow on what the state file tells. */
static bool check_state(struct cli *cli, const struct options *options, const char *path,
			const struct rbd_diff_header *header)
{
	struct apply_state state;
	bool found;

	if (!state_file_read(cli, path, &state, &found))
		return false;
	if (found && options->from) {
		cli_fail(cli, "%s tells which era it is as of: --from is not for it", path);
		return false;
	}
	if (!found && options->from)
		state = (struct apply_state){.era = options->from, .size = header->size};
	return !apply_accept(found || options->from ? &state : NULL, header, &cli->report);
}

static bool check_target(struct cli *cli, const struct data *target, const struct source *source)
{
	const struct rbd_diff_header *header = &source->diff.header;
	bool is_file = S_ISREG(target->st.st_mode);
	bool fits = is_file ? !header->from || target->io->size == header->size
			    : target->io->size >= header->size;

	if (cli_same_file(&target->st, &source->st))
		cli_fail(cli, "is the stream itself");
	else if (is_file && flock(target->fd, LOCK_EX | LOCK_NB))
		cli_fail(cli, "in use by another era_apply");
	else if (!fits)
		cli_fail(cli, "has %llu bytes, but the stream is of a device of %llu",
			 (unsigned long long)target->io->size, (unsigned long long)header->size);
	else
		return true;
	return false;
}

static bool write_target(struct cli *cli, struct source *source, struct data *target)
{
	struct progress progress;
	struct apply apply = {&source->diff, target->io, data_progress, &progress};
	int r;

	progress_init(&progress, cli->quiet);
	progress.total = source->begin < 0 ? 0 : (uint64_t)source->st.st_size;
	cli->progress = &progress;
	r = apply_run(&apply, &cli->report);
	progress_clear(&progress);
	cli->progress = NULL;
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "out of memory");
	return source_conclude(source, r);
}

/* What the target is as of is put down before and after, see era/apply.h. */
static bool apply_to(struct cli *cli, struct source *source, struct data *target, const char *path)
{
	const struct rbd_diff_header *header = &source->diff.header;
	struct apply_state state = {header->from, header->to, header->size, true};

	if (!state_file_write(cli, path, &state, &target->st))
		return false;
	if ((target->io->size != header->size && S_ISREG(target->st.st_mode) &&
	     !data_resize(target, cli, header->size)) ||
	    !write_target(cli, source, target)) {
		cli_fail(cli,
			 "was written in part: apply this stream again, or a copy of the whole");
		return false;
	}
	state = (struct apply_state){.era = header->to, .size = header->size};
	return state_file_write(cli, path, &state, &target->st);
}

static bool apply_source(struct cli *cli, const struct options *options, struct source *source,
			 const char *path)
{
	const struct rbd_diff_header *header = &source->diff.header;
	struct data target;
	bool done;

	if (!source_check(source) || (!header->from && !make_file(cli, options->target)))
		return false;
	done = data_open(&target, cli, options->target, CLI_WRITE) &&
	       check_target(cli, &target, source) && check_state(cli, options, path, header) &&
	       apply_to(cli, source, &target, path);
	data_close(&target);
	return done;
}

static int run(struct cli *cli, const struct options *options)
{
	char default_path[PATH_MAX];
	const char *path = state_path(cli, options, default_path);
	struct source source;
	bool done;

	if (!path)
		return EXIT_FAILURE;
	done = source_open(&source, cli, options->input) &&
	       apply_source(cli, options, &source, path);
	if (source.fd >= 0)
		close(source.fd);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool take_option(struct cli *cli, struct options *options, int c)
{
	switch (c) {
	case 'i':
		options->input = optarg;
		return true;
	case OPT_STATE:
		options->state = optarg;
		return true;
	case OPT_FROM:
		if (cli_number(optarg, &options->from) && options->from)
			return true;
		cli_usage_error(cli, "--from: not an era from 1 to 4294967295: %s", optarg);
		return false;
	default:
		cli->quiet = true;
		return true;
	}
}

int main(int argc, char **argv)
{
	struct options options = {.input = "-"};
	struct cli cli;
	int c;

	cli_init(&cli, "era_apply", usage);
	while ((c = getopt_long(argc, argv, "i:qhV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		if (!take_option(&cli, &options, c))
			return EXIT_FAILURE;
	}
	options.target = cli_operand(&cli, argc, argv, "target");
	return options.target ? run(&cli, &options) : EXIT_FAILURE;
}
