/* SPDX-License-Identifier: MIT */
/* era_dump: prints metadata as XML. */
#include "era/logical.h"
#include "era/metadata.h"
#include "era/read.h"
#include "era/salvage.h"
#include "era/xml_write.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/output.h"

#include <stdlib.h>

static const char usage[] =
	"Usage: era_dump [options] {device|file}\n"
	"Prints the metadata of a device-mapper era target as XML.\n"
	"\n"
	"  -o, --output FILE        write to FILE rather than to standard output\n"
	"      --logical            fold all writesets into the era array\n"
	"  -r, --repair             dump what can be saved; whatever is lost counts as changed\n"
	"      --metadata-snapshot  dump the held metadata snapshot of a live device\n"
	"      --compact            print writesets as runs of marked blocks\n"
	"  -h, --help               print this help\n"
	"  -V, --version            print the version\n"
	"\n"
	"Exit status: 0 if all was dumped, 1 otherwise.\n";

struct options {
	const char *output;
	bool logical, repair, snapshot, compact;
};

enum { OPT_LOGICAL = CLI_LONG_OPTION, OPT_SNAPSHOT, OPT_COMPACT };

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"logical", no_argument, NULL, OPT_LOGICAL},
	{"repair", no_argument, NULL, 'r'},
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"compact", no_argument, NULL, OPT_COMPACT},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* What is dumped: sound metadata, or what can be saved. */
struct source {
	struct metadata *metadata; /* NULL: the other one */
	struct salvage *salvage;
};

static int open_source(struct source *source, const struct cli *cli, struct cli_device *device,
		       const struct options *options)
{
	const struct find_hints hints = {0};
	int r;

	if (options->repair)
		return salvage_open(device->io, &hints, &cli->report, &source->salvage);
	r = metadata_open(device->io, options->snapshot, &cli->report, &source->metadata);
	if (!r)
		device->progress.total =
			source->metadata->live.space_map.nr_allocated * METADATA_BLOCK_SIZE;
	return r;
}

static void close_source(struct source *source)
{
	metadata_close(source->metadata);
	salvage_close(source->salvage);
}

static int read_source(const struct source *source, struct sink *sink, const struct report *report)
{
	return source->metadata ? metadata_read(source->metadata, sink, report)
				: salvage_read(source->salvage, sink, report);
}

static int dump_to(const struct source *source, struct sink *xml, bool logical,
		   const struct report *report)
{
	struct sink *folded = NULL;
	int r = PD_OK;

	if (logical)
		r = logical_open(xml, &folded);
	if (r)
		report_message(report, "%s", pd_error_text(r));
	else
		r = read_source(source, logical ? folded : xml, report);
	logical_close(folded);
	return r;
}

static int dump(const struct source *source, const struct text_output *output,
		const struct options *options, const struct report *report)
{
	struct sink *xml = NULL;
	int r = xml_write_open(output, options->compact, report, &xml);

	if (!r)
		r = dump_to(source, xml, options->logical, report);
	else
		report_message(report, "%s", pd_error_text(r));
	xml_write_close(xml);
	return r;
}

static int dump_metadata(const struct cli *cli, struct cli_device *device,
			 const struct options *options, const struct stat *input)
{
	struct source source = {NULL, NULL};
	struct output output;
	int r = open_source(&source, cli, device, options);

	if (r)
		return EXIT_FAILURE;
	if (!output_open(&output, cli, options->output, input)) {
		close_source(&source);
		return EXIT_FAILURE;
	}
	r = dump(&source, &output.text, options, &cli->report);
	close_source(&source);
	return r ? output_abort(&output) : output_commit(&output);
}

static int dump_file(struct cli *cli, const char *path, const struct options *options)
{
	struct cli_device device;
	int status = EXIT_FAILURE;

	if (cli_device_open(cli, &device, path, options->snapshot ? CLI_READ_LIVE : CLI_READ))
		status = dump_metadata(cli, &device, options, &device.st);
	cli_device_close(cli, &device);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {.output = NULL};
	struct cli cli;
	const char *path;
	int c;

	cli_init(&cli, "era_dump", usage);
	while ((c = getopt_long(argc, argv, "o:rhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'o':
			options.output = optarg;
			break;
		case OPT_LOGICAL:
			options.logical = true;
			break;
		case 'r':
			options.repair = true;
			break;
		case OPT_SNAPSHOT:
			options.snapshot = true;
			break;
		case OPT_COMPACT:
			options.compact = true;
			break;
		default:
			return cli_common_option(&cli, c);
		}
	}
	if (options.repair && options.snapshot)
		return cli_usage_error(&cli, "--repair is not for the snapshot of a live device");
	path = cli_operand(&cli, argc, argv, "metadata device or file");
	return path ? dump_file(&cli, path, &options) : EXIT_FAILURE;
}
