/* SPDX-License-Identifier: MIT */
/* era_repair: salvages damaged metadata into a new place. */
#include "era/salvage.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/fresh.h"

#include <stdlib.h>

static const char usage[] =
	"Usage: era_repair -i {device|file} -o {device|file} [options]\n"
	"Writes new metadata of a device-mapper era target from damaged metadata. Whatever is\n"
	"lost counts as changed.\n"
	"\n"
	"  -i, --input {device|file}   the damaged metadata, which stays as it is\n"
	"  -o, --output {device|file}  where the new metadata goes; it must exist\n"
	"      --nr-blocks N           data blocks there are, if the superblock is lost\n"
	"      --block-size SECTORS    size of a data block, if the superblock is lost\n"
	"      --current-era ERA       an era that has begun, the latest that you know of\n"
	"  -q, --quiet                 print nothing, the exit status tells\n"
	"  -v, --verbose               tell what was written as well\n"
	"  -h, --help                  print this help\n"
	"  -V, --version               print the version\n"
	"\n"
	"Exit status: 0 if the new metadata is written and sound, 1 otherwise.\n";

struct options {
	const char *input, *output;
	struct find_hints hints;
	bool verbose;
};

enum { OPT_NR_BLOCKS = CLI_LONG_OPTION, OPT_BLOCK_SIZE, OPT_CURRENT_ERA };

static const struct option long_options[] = {
	{"input", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},
	{"nr-blocks", required_argument, NULL, OPT_NR_BLOCKS},
	{"block-size", required_argument, NULL, OPT_BLOCK_SIZE},
	{"current-era", required_argument, NULL, OPT_CURRENT_ERA},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static bool measure_salvage(const struct cli *cli, struct salvage *salvage, struct measure *measure)
{
	int r;

	measure_init(measure);
	r = salvage_read(salvage, &measure->sink, NULL);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "%s", pd_error_text(r));
	return fresh_measured(cli, r);
}

static bool write_salvage(struct cli *cli, struct salvage *salvage, struct block_io *io,
			  const struct options *options)
{
	struct sink *sink = NULL;
	int r = metadata_write_open(io, &sink);

	if (!r)
		r = salvage_read(salvage, sink, &cli->report);
	else
		cli_fail(cli, "%s", pd_error_text(r));
	metadata_write_close(sink);
	cli->subject = options->output;
	return fresh_written(cli, r);
}

static void tell_written(const struct cli *cli, const struct stream_info *info,
			 const struct measure *measure)
{
	report_message(&cli->report,
		       "written: %u data blocks of %u sectors, %llu writesets, current era %u",
		       info->nr_blocks, info->data_block_size,
		       (unsigned long long)measure->nr_writesets, info->current_era);
}

/* All is salvaged twice: nothing may be written before it is known to fit. */
static bool repair_to(struct cli *cli, struct salvage *salvage, struct cli_device *output,
		      const struct options *options)
{
	struct measure measure;

	if (!measure_salvage(cli, salvage, &measure))
		return false;
	cli->subject = options->output;
	if (!fresh_fits(cli, &measure, output->io))
		return false;
	cli->subject = options->input;
	if (!write_salvage(cli, salvage, output->io, options))
		return false;
	if (options->verbose)
		tell_written(cli, salvage_info(salvage), &measure);
	return true;
}

static bool repair_devices(struct cli *cli, struct cli_device *input, struct cli_device *output,
			   const struct options *options)
{
	struct salvage *salvage = NULL;
	bool done;
	int r;

	cli->subject = options->input;
	r = salvage_open(input->io, &options->hints, &cli->report, &salvage);
	if (r) {
		if (r != PD_ERR_NO_MEMORY &&
		    (!options->hints.nr_blocks || !options->hints.data_block_size))
			cli_fail(cli, "what a lost superblock said can be given with --nr-blocks "
				      "and --block-size");
		return false;
	}
	done = repair_to(cli, salvage, output, options);
	salvage_close(salvage);
	return done;
}

/* To be known before it is opened: the input is open exclusively. */
static bool is_elsewhere(struct cli *cli, const struct cli_device *input, const char *output)
{
	struct stat st;

	if (stat(output, &st) || !cli_same_file(&input->st, &st))
		return true;
	cli->subject = output;
	cli_fail(cli, "is the input itself");
	return false;
}

static int repair(struct cli *cli, const struct options *options)
{
	struct cli_device input, output = {.fd = -1};
	bool done = cli_device_open(cli, &input, options->input, CLI_READ) &&
		    is_elsewhere(cli, &input, options->output) &&
		    cli_device_open(cli, &output, options->output, CLI_WRITE) &&
		    repair_devices(cli, &input, &output, options);

	cli_device_close(cli, &output);
	cli_device_close(cli, &input);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int take_number(const struct cli *cli, const char *option, uint32_t *number)
{
	if (cli_number(optarg, number) && *number)
		return EXIT_SUCCESS;
	return cli_usage_error(cli, "%s: not a number above 0: %s", option, optarg);
}

static int check_options(const struct cli *cli, const struct options *options, int argc,
			 char **argv)
{
	if (!cli_only_input(cli, argc, argv, options->input))
		return EXIT_FAILURE;
	if (!options->output)
		return cli_usage_error(cli, "no output was given (-o)");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {.input = NULL};
	struct cli cli;
	int status = EXIT_SUCCESS;
	int c;

	cli_init(&cli, "era_repair", usage);
	while (!status && (c = getopt_long(argc, argv, "i:o:qvhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'i':
			options.input = optarg;
			break;
		case 'o':
			options.output = optarg;
			break;
		case OPT_NR_BLOCKS:
			status = take_number(&cli, "--nr-blocks", &options.hints.nr_blocks);
			break;
		case OPT_BLOCK_SIZE:
			status = take_number(&cli, "--block-size", &options.hints.data_block_size);
			break;
		case OPT_CURRENT_ERA:
			status = take_number(&cli, "--current-era", &options.hints.current_era);
			break;
		case 'q':
			cli.quiet = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			return cli_common_option(&cli, c);
		}
	}
	if (status || check_options(&cli, &options, argc, argv))
		return EXIT_FAILURE;
	return repair(&cli, &options);
}
