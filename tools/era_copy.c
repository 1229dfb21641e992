/* SPDX-License-Identifier: MIT */
/* era_copy: writes the changed blocks of an origin as a stream of differences. */
#include "era/copy.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/data.h"
#include "tools/output.h"
#include "tools/read.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"Usage: era_copy --written-since ERA [options] METADATA ORIGIN\n"
	"Writes the blocks of ORIGIN that were written in era ERA or later, by the metadata\n"
	"of its device-mapper era target, as a stream that era_apply applies to a copy.\n"
	"\n"
	"      --written-since ERA  the first era that counts; 0 copies the whole\n"
	"      --metadata-snapshot  use the held metadata snapshot of a live device\n"
	"      --next ERA           the era that the next copy is to begin with, where ORIGIN\n"
	"                           was frozen before the metadata snapshot was taken\n"
	"  -o, --output FILE        write to FILE rather than to standard output\n"
	"  -q, --quiet              print no messages, the exit status tells\n"
	"  -h, --help               print this help\n"
	"  -V, --version            print the version\n"
	"\n"
	"Exit status: 0 if the stream is complete, 1 otherwise.\n";

struct options {
	const char *metadata, *origin, *output;
	bool has_since, snapshot;
	uint32_t since;
	uint32_t next; /* 0: not given */
};

enum { OPT_SINCE = CLI_LONG_OPTION, OPT_SNAPSHOT, OPT_NEXT };

static const struct option long_options[] = {
	{"written-since", required_argument, NULL, OPT_SINCE},
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"next", required_argument, NULL, OPT_NEXT},
	{"output", required_argument, NULL, 'o'},
	{"quiet", no_argument, NULL, 'q'},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* Where the stream leads; what --next says cannot be later than what the metadata know. */
static bool make_header(const struct cli *cli, const struct options *options,
			const struct changed *changed, uint64_t size,
			struct rbd_diff_header *header)
{
	uint32_t next;

	if (copy_next_era(&changed->info, options->snapshot, &next, &cli->report))
		return false;
	if (options->next > next) {
		cli_fail(cli,
			 "knows only of what was written before era %u, so --next %u is too late",
			 next, options->next);
		return false;
	}
	*header = (struct rbd_diff_header){options->since, options->next ? options->next : next,
					   size};
	if (header->to >= header->from)
		return true;
	cli_fail(cli, "era %u, from which the next copy would begin, is before era %u", header->to,
		 header->from);
	return false;
}

static int write_stream(struct cli *cli, const struct copy *copy, const struct options *options,
			const struct data *origin)
{
	struct output output;
	int r;

	if (!output_open(&output, cli, options->output, &origin->st))
		return EXIT_FAILURE;
	r = copy_changed(copy, &output.text, &cli->report);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "out of memory");
	return r ? output_abort(&output) : output_commit(&output);
}

static int copy_origin(struct cli *cli, const struct options *options, struct changed *changed,
		       struct data *origin)
{
	struct extents extents;
	struct progress progress;
	struct copy copy = {&extents, origin->io, .progress = data_progress,
			    .progress_context = &progress};
	int status;

	cli->subject = options->metadata;
	if (extents_init(&extents, changed, origin->io->size, &cli->report) ||
	    !make_header(cli, options, changed, origin->io->size, &copy.header))
		return EXIT_FAILURE;
	cli->subject = options->origin;
	progress_init(&progress, cli->quiet);
	progress.total = extents_total(&extents);
	cli->progress = &progress;
	status = write_stream(cli, &copy, options, origin);
	progress_clear(&progress);
	cli->progress = NULL;
	return status;
}

static bool is_output(const struct options *options, const struct stat *input)
{
	struct stat st;

	return options->output && strcmp(options->output, "-") != 0 &&
	       !stat(options->output, &st) && cli_same_file(&st, input);
}

static int run(struct cli *cli, const struct options *options)
{
	struct changed changed;
	struct data origin;
	struct stat metadata;
	int status = EXIT_FAILURE;

	changed_init(&changed, options->since);
	/* The origin is opened first: its blocks must not change hands while the metadata are read. */
	if (data_open(&origin, cli, options->origin,
		      options->snapshot ? CLI_READ_LIVE : CLI_READ) &&
	    read_metadata(cli, options->metadata, options->snapshot, &changed.sink, &metadata)) {
		read_warn_of_era(cli, options->since, changed.info.current_era);
		if (cli_same_file(&metadata, &origin.st))
			cli_fail(cli, "is the origin itself");
		else if (is_output(options, &metadata))
			cli_fail(cli, "is the output itself");
		else
			status = copy_origin(cli, options, &changed, &origin);
	}
	data_close(&origin);
	changed_destroy(&changed);
	return status;
}

static bool take_era(const struct cli *cli, const char *option, uint32_t first, uint32_t *era)
{
	if (cli_number(optarg, era) && *era >= first)
		return true;
	cli_usage_error(cli, "%s: not an era from %u to 4294967295: %s", option, first, optarg);
	return false;
}

static bool take_option(struct cli *cli, struct options *options, int c)
{
	switch (c) {
	case OPT_SINCE:
		options->has_since = true;
		return take_era(cli, "--written-since", 0, &options->since);
	case OPT_NEXT:
		return take_era(cli, "--next", 1, &options->next);
	case OPT_SNAPSHOT:
		options->snapshot = true;
		return true;
	case 'q':
		cli->quiet = true;
		return true;
	default:
		options->output = optarg;
		return true;
	}
}

int main(int argc, char **argv)
{
	struct options options = {.output = NULL};
	struct cli cli;
	int c;

	cli_init(&cli, "era_copy", usage);
	while ((c = getopt_long(argc, argv, "o:qhV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		if (!take_option(&cli, &options, c))
			return EXIT_FAILURE;
	}
	if (!cli_two_operands(&cli, argc, argv, "metadata device or file", "origin"))
		return EXIT_FAILURE;
	if (!options.has_since)
		return cli_usage_error(&cli, "--written-since is missing");
	if ((!options.output || !strcmp(options.output, "-")) && isatty(STDOUT_FILENO))
		return cli_usage_error(&cli,
				       "a stream is not for a terminal: redirect it, or use -o");
	options.metadata = argv[optind];
	options.origin = argv[optind + 1];
	return run(&cli, &options);
}
