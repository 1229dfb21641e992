/* SPDX-License-Identifier: MIT */
/* era_invalidate: lists the data blocks that were written in an era or later. */
#include "era/changed.h"
#include "era/formats.h"
#include "era/metadata.h"
#include "era/read.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/output.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: era_invalidate --written-since ERA [options] {device|file}\n"
	"Lists the blocks of a device that were written in era ERA or later, from the\n"
	"metadata of its device-mapper era target.\n"
	"\n"
	"      --written-since ERA  the first era that counts\n"
	"      --metadata-snapshot  use the held metadata snapshot of a live device\n"
	"  -o, --output FILE        write to FILE rather than to standard output\n"
	"      --format xml         how to print them\n"
	"  -h, --help               print this help\n"
	"  -V, --version            print the version\n"
	"\n"
	"Exit status: 0 if the list is complete, 1 otherwise.\n";

struct options {
	const char *output;
	bool has_since;
	uint32_t since;
	bool snapshot;
};

enum { OPT_SINCE = CLI_LONG_OPTION, OPT_SNAPSHOT, OPT_FORMAT };

static const struct option long_options[] = {
	{"written-since", required_argument, NULL, OPT_SINCE},
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static int find_changed(struct cli_device *device, const struct options *options,
			const struct report *report, struct changed *changed)
{
	struct metadata *metadata = NULL;
	int r = metadata_open(device->io, options->snapshot, report, &metadata);

	if (r)
		return r;
	device->progress.total = metadata->live.space_map.nr_allocated * METADATA_BLOCK_SIZE;
	r = metadata_read(metadata, &changed->sink, report);
	metadata_close(metadata);
	return r;
}

static int print_changed(const struct cli *cli, const struct changed *changed,
			 const struct options *options, const struct stat *input)
{
	struct output output;
	int r;

	if (!output_open(&output, cli, options->output, input))
		return EXIT_FAILURE;
	r = format_xml(changed, &output.text);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "%s", pd_error_text(r));
	return r ? output_abort(&output) : output_commit(&output);
}

static int invalidate_file(struct cli *cli, const char *path, const struct options *options)
{
	struct cli_device device;
	struct changed changed;
	int status = EXIT_FAILURE;

	changed_init(&changed, options->since);
	if (cli_device_open(cli, &device, path, options->snapshot ? CLI_READ_LIVE : CLI_READ) &&
	    !find_changed(&device, options, &cli->report, &changed))
		status = print_changed(cli, &changed, options, &device.st);
	changed_destroy(&changed);
	cli_device_close(cli, &device);
	return status;
}

static bool take_option(const struct cli *cli, struct options *options, int c)
{
	switch (c) {
	case OPT_SINCE:
		options->has_since = cli_number(optarg, &options->since);
		if (!options->has_since)
			cli_usage_error(cli, "--written-since: not an era from 0 to 4294967295: %s",
					optarg);
		return options->has_since;
	case OPT_FORMAT:
		if (strcmp(optarg, "xml") != 0)
			cli_usage_error(cli, "--format: unknown format: %s", optarg);
		return !strcmp(optarg, "xml");
	case OPT_SNAPSHOT:
		options->snapshot = true;
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
	const char *path;
	int c;

	cli_init(&cli, "era_invalidate", usage);
	while ((c = getopt_long(argc, argv, "o:hV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		if (!take_option(&cli, &options, c))
			return EXIT_FAILURE;
	}
	path = cli_operand(&cli, argc, argv, "metadata device or file");
	if (!path)
		return EXIT_FAILURE;
	if (!options.has_since)
		return cli_usage_error(&cli, "--written-since is missing");
	return invalidate_file(&cli, path, &options);
}
