/* SPDX-License-Identifier: MIT */
/* era_ls: shows how old the blocks of a device are. */
#include "era/ages_format.h"
#include "era/extents.h"
#include "era/logical.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/output.h"
#include "tools/read.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] =
	"Usage: era_ls [options] {device|file}\n"
	"Shows how many blocks of a device were last written in which era, from the metadata\n"
	"of its device-mapper era target, and how large an increment since each era would be.\n"
	"\n"
	"      --metadata-snapshot  use the held metadata snapshot of a live device\n"
	"      --device-size SIZE   the device's size, which ends its last block: in bytes, or "
	"with\n"
	"                           a suffix bskmgtpe\n"
	"      --json               print it as JSON\n"
	"      --map                draw the device, as wide as the terminal is\n"
	"      --svg FILE           draw it as a picture into FILE; - is standard output\n"
	"  -h, --help               print this help\n"
	"  -V, --version            print the version\n"
	"\n"
	"Colours are used on a terminal, unless NO_COLOR is set.\n"
	"Exit status: 0 if all could be read, 1 otherwise.\n";

#define DEFAULT_WIDTH 80

struct options {
	const char *svg;
	bool snapshot, json, map;
	uint64_t device_size;
};

enum { OPT_SNAPSHOT = CLI_LONG_OPTION, OPT_DEVICE_SIZE, OPT_JSON, OPT_MAP, OPT_SVG };

static const struct option long_options[] = {
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"device-size", required_argument, NULL, OPT_DEVICE_SIZE},
	{"json", no_argument, NULL, OPT_JSON},
	{"map", no_argument, NULL, OPT_MAP},
	{"svg", required_argument, NULL, OPT_SVG},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* As the terminal says it, or the environment, for what goes to no terminal. */
static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint32_t number;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return columns && cli_number(columns, &number) && number ? number : DEFAULT_WIDTH;
}

static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

static int print(const struct cli *cli, const struct ages *ages, const struct options *options,
		 unsigned width, const struct stat *input)
{
	struct output output;
	int r;

	if (!output_open(&output, cli, options->svg, input))
		return EXIT_FAILURE;
	if (options->svg)
		r = ages_format_svg(ages, cli->subject, &output.text);
	else if (options->map)
		r = ages_format_map(ages, width, wants_colour(), &output.text);
	else if (options->json)
		r = ages_format_json(ages, options->snapshot, &output.text);
	else
		r = ages_format_table(ages, &output.text);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "%s", pd_error_text(r));
	return r ? output_abort(&output) : output_commit(&output);
}

static int list(struct cli *cli, const char *path, const struct options *options)
{
	unsigned width = terminal_width();
	const uint64_t cells[AGES_GRIDS] = {
		options->map ? ages_map_columns(width) * MAP_MAX_ROWS : 0,
		options->svg ? SVG_COLUMNS * SVG_MAX_ROWS : 0,
	};
	struct ages ages;
	struct sink *folded = NULL;
	struct stat st;
	int status = EXIT_FAILURE;

	ages_init(&ages, cells);
	if (logical_open(&ages.sink, &folded))
		cli_fail(cli, "%s", pd_error_text(PD_ERR_NO_MEMORY));
	else if (read_metadata(cli, path, options->snapshot, folded, &st) &&
		 !ages_finish(&ages, options->device_size, &cli->report))
		status = print(cli, &ages, options, width, &st);
	logical_close(folded);
	ages_destroy(&ages);
	return status;
}

static bool take_option(const struct cli *cli, struct options *options, int c)
{
	switch (c) {
	case OPT_SNAPSHOT:
		options->snapshot = true;
		return true;
	case OPT_JSON:
		options->json = true;
		return true;
	case OPT_MAP:
		options->map = true;
		return true;
	case OPT_SVG:
		options->svg = optarg;
		return true;
	default:
		if (cli_size(optarg, 1, &options->device_size))
			return true;
		cli_usage_error(cli, "--device-size: not a size: %s", optarg);
		return false;
	}
}

int main(int argc, char **argv)
{
	struct options options = {.device_size = DEVICE_SIZE_UNKNOWN};
	struct cli cli;
	const char *path;
	int c;

	cli_init(&cli, "era_ls", usage);
	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		if (!take_option(&cli, &options, c))
			return EXIT_FAILURE;
	}
	if (options.json + options.map + (options.svg != NULL) > 1)
		return cli_usage_error(&cli, "only one of --json, --map and --svg can be had");
	path = cli_operand(&cli, argc, argv, "metadata device or file");
	return path ? list(&cli, path, &options) : EXIT_FAILURE;
}
