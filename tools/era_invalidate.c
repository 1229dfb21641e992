/* SPDX-License-Identifier: MIT */
/* era_invalidate: lists the data blocks that were written in an era or later. */
#include "era/changed.h"
#include "era/formats.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/input.h"
#include "tools/output.h"
#include "tools/read.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: era_invalidate --written-since ERA [options] {device|file}\n"
	"Lists the blocks of a device that were written in era ERA or later, from the\n"
	"metadata of its device-mapper era target.\n"
	"\n"
	"      --written-since ERA   the first era that counts\n"
	"      --metadata-snapshot   use the held metadata snapshot of a live device\n"
	"  -o, --output FILE         write to FILE rather than to standard output\n"
	"      --format FORMAT       how to print them:\n"
	"                              xml         block numbers, as other tools print them\n"
	"                              ranges      lines of offset and length in bytes\n"
	"                              json        extents in bytes, and all numbers\n"
	"                              extentlist  for nbdkit's extentlist filter\n"
	"                              dmsetup     commands that make a cache forget them\n"
	"      --json                the same as --format json\n"
	"      --device-size SIZE    the device's size, which ends its last block (ranges,\n"
	"                            json, extentlist); in bytes, or with a suffix bskmgtpe\n"
	"      --cache-metadata FILE the cache's mappings, from cache_dump (dmsetup)\n"
	"      --cache-name NAME     the cache's name (dmsetup)\n"
	"  -h, --help                print this help\n"
	"  -V, --version             print the version\n"
	"\n"
	"Exit status: 0 if the list is complete, 1 otherwise.\n";

enum format { FORMAT_XML, FORMAT_RANGES, FORMAT_JSON, FORMAT_EXTENTLIST, FORMAT_DMSETUP };

static const char *const formats[] = {"xml", "ranges", "json", "extentlist", "dmsetup"};

#define NR_FORMATS (sizeof(formats) / sizeof(formats[0]))

struct options {
	const char *output;
	bool has_since;
	uint32_t since;
	bool snapshot;
	enum format format;
	uint64_t device_size;
	const char *cache_metadata, *cache_name;
};

enum {
	OPT_SINCE = CLI_LONG_OPTION,
	OPT_SNAPSHOT,
	OPT_FORMAT,
	OPT_JSON,
	OPT_DEVICE_SIZE,
	OPT_CACHE_METADATA,
	OPT_CACHE_NAME
};

static const struct option long_options[] = {
	{"written-since", required_argument, NULL, OPT_SINCE},
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"json", no_argument, NULL, OPT_JSON},
	{"device-size", required_argument, NULL, OPT_DEVICE_SIZE},
	{"cache-metadata", required_argument, NULL, OPT_CACHE_METADATA},
	{"cache-name", required_argument, NULL, OPT_CACHE_NAME},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static int print_extents(const struct changed *changed, const struct options *options,
			 const struct text_output *output, const struct report *report)
{
	struct extents extents;
	int r = extents_init(&extents, changed, options->device_size, report);

	if (r)
		return r;
	return options->format == FORMAT_JSON ? format_json(&extents, options->snapshot, output)
					      : format_ranges(&extents, output);
}

/* Messages are about the cache's metadata while these are read, and about path before and after. */
static int print_cache_blocks(struct cli *cli, const struct changed *changed,
			      const struct options *options, const struct text_output *output)
{
	const char *path = cli->subject;
	struct cache_blocks blocks = {.changed = changed};
	struct input xml;
	int r = PD_ERR_IO;

	if (input_open(&xml, cli, options->cache_metadata))
		r = cache_blocks_read(&blocks, changed, &xml.text, &cli->report);
	input_close(&xml);
	cli->subject = path;
	if (!r)
		r = format_dmsetup(&blocks, options->cache_name, output);
	cache_blocks_destroy(&blocks);
	return r;
}

static int print_changed(struct cli *cli, const struct changed *changed,
			 const struct options *options, const struct stat *input)
{
	struct output output;
	int r;

	if (!output_open(&output, cli, options->output, input))
		return EXIT_FAILURE;
	if (options->format == FORMAT_XML)
		r = format_xml(changed, &output.text);
	else if (options->format == FORMAT_DMSETUP)
		r = print_cache_blocks(cli, changed, options, &output.text);
	else
		r = print_extents(changed, options, &output.text, &cli->report);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "%s", pd_error_text(r));
	return r ? output_abort(&output) : output_commit(&output);
}

static int invalidate_file(struct cli *cli, const char *path, const struct options *options)
{
	struct changed changed;
	struct stat st;
	int status = EXIT_FAILURE;

	changed_init(&changed, options->since);
	if (read_metadata(cli, path, options->snapshot, &changed.sink, &st)) {
		read_warn_of_era(cli, options->since, changed.info.current_era);
		status = print_changed(cli, &changed, options, &st);
	}
	changed_destroy(&changed);
	return status;
}

static bool take_since(const struct cli *cli, struct options *options)
{
	options->has_since = cli_number(optarg, &options->since);
	if (!options->has_since)
		cli_usage_error(cli, "--written-since: not an era from 0 to 4294967295: %s",
				optarg);
	return options->has_since;
}

static bool take_format(const struct cli *cli, struct options *options)
{
	for (unsigned i = 0; i < NR_FORMATS; i++) {
		if (!strcmp(optarg, formats[i])) {
			options->format = (enum format)i;
			return true;
		}
	}
	cli_usage_error(cli, "--format: unknown format: %s", optarg);
	return false;
}

static bool take_device_size(const struct cli *cli, struct options *options)
{
	if (cli_size(optarg, 1, &options->device_size))
		return true;
	cli_usage_error(cli, "--device-size: not a size: %s", optarg);
	return false;
}

static bool take_option(const struct cli *cli, struct options *options, int c)
{
	switch (c) {
	case OPT_SINCE:
		return take_since(cli, options);
	case OPT_FORMAT:
		return take_format(cli, options);
	case OPT_JSON:
		options->format = FORMAT_JSON;
		return true;
	case OPT_DEVICE_SIZE:
		return take_device_size(cli, options);
	case OPT_CACHE_METADATA:
		options->cache_metadata = optarg;
		return true;
	case OPT_CACHE_NAME:
		options->cache_name = optarg;
		return true;
	case OPT_SNAPSHOT:
		options->snapshot = true;
		return true;
	default:
		options->output = optarg;
		return true;
	}
}

/* Which options belong to which format. */
static int check_options(const struct cli *cli, const struct options *options)
{
	bool in_bytes = options->format != FORMAT_XML && options->format != FORMAT_DMSETUP;

	if (!options->has_since)
		return cli_usage_error(cli, "--written-since is missing");
	if (options->device_size != DEVICE_SIZE_UNKNOWN && !in_bytes)
		return cli_usage_error(cli, "--device-size is for formats in bytes, not for %s",
				       formats[options->format]);
	if (options->format != FORMAT_DMSETUP && (options->cache_metadata || options->cache_name))
		return cli_usage_error(cli, "--cache-metadata and --cache-name are for "
					    "--format dmsetup");
	if (options->format != FORMAT_DMSETUP)
		return EXIT_SUCCESS;
	if (!options->cache_metadata || !options->cache_name)
		return cli_usage_error(cli, "--format dmsetup takes --cache-metadata and "
					    "--cache-name");
	if (!format_dmsetup_takes(options->cache_name))
		return cli_usage_error(cli, "--cache-name: no device can have that name: %s",
				       options->cache_name);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {.device_size = DEVICE_SIZE_UNKNOWN};
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
	if (check_options(&cli, &options))
		return EXIT_FAILURE;
	return invalidate_file(&cli, path, &options);
}
