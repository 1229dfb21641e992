/* SPDX-License-Identifier: MIT */
/* era_metadata_size: tells how large a metadata device has to be. */
#include "era/extents.h"
#include "era/metadata_size.h"
#include "era/superblock.h"
#include "tools/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: era_metadata_size [options] {--device-size SIZE | --nr-blocks N}\n"
	"Tells how large the metadata device of a device-mapper era target has to be.\n"
	"\n"
	"      --device-size SIZE    the size of the origin: in bytes, or with a suffix bskmgtpe\n"
	"      --nr-blocks N         or its number of blocks\n"
	"      --block-size SECTORS  the size of a block: in sectors, or with a suffix; the\n"
	"                            default is 64 KiB, and more for devices above 1 TiB\n"
	"      --snapshot            with room for a metadata snapshot that is held for long\n"
	"      --writesets N         how many eras may end before the first of them has been\n"
	"                            digested; the default is 4\n"
	"  -u, --unit UNIT           of what is printed: one of bskKmMgGtTpPeEzZyY; the default "
	"is\n"
	"                            s, sectors; small letters are powers of 1024, capitals of "
	"1000\n"
	"  -n, --numeric-only[=short|long]\n"
	"                            print the number only (and the unit behind it)\n"
	"  -h, --help                print this help\n"
	"  -V, --version             print the version\n"
	"\n"
	"Exit status: 0 if a device of that size can be used, 1 otherwise.\n";

enum numeric { NUMERIC_OFF, NUMERIC_PLAIN, NUMERIC_SHORT, NUMERIC_LONG };

struct options {
	bool has_size, has_blocks;
	uint64_t device_size; /* bytes */
	uint64_t block_size;  /* bytes; 0: not given */
	struct metadata_need need;
	char unit;
	enum numeric numeric;
};

enum {
	OPT_DEVICE_SIZE = CLI_LONG_OPTION,
	OPT_NR_BLOCKS,
	OPT_BLOCK_SIZE,
	OPT_SNAPSHOT,
	OPT_WRITESETS
};

static const struct option long_options[] = {
	{"device-size", required_argument, NULL, OPT_DEVICE_SIZE},
	{"nr-blocks", required_argument, NULL, OPT_NR_BLOCKS},
	{"block-size", required_argument, NULL, OPT_BLOCK_SIZE},
	{"snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"writesets", required_argument, NULL, OPT_WRITESETS},
	{"unit", required_argument, NULL, 'u'},
	{"numeric-only", optional_argument, NULL, 'n'},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static const char unit_letters[] = "bskKmMgGtTpPeEzZyY";
static const char *const unit_names[] = {
	"bytes",     "sectors",	  "kibibytes", "kilobytes",  "mebibytes", "megabytes",
	"gibibytes", "gigabytes", "tebibytes", "terabytes",  "pebibytes", "petabytes",
	"exbibytes", "exabytes",  "zebibytes", "zettabytes", "yobibytes", "yottabytes",
};

static size_t unit_index(char letter)
{
	return (size_t)(strchr(unit_letters, letter) - unit_letters);
}

/* Bytes of a unit. */
static long double unit_size(size_t index)
{
	if (index < 2)
		return index ? SECTOR_SIZE : 1;
	return powl(index % 2 ? 1000 : 1024, (long double)(index / 2));
}

/* With two decimals, where it is no whole number: rounded up, for a device must not be smaller. */
static void print_amount(uint64_t bytes, char unit)
{
	long double amount = (long double)bytes / unit_size(unit_index(unit));

	if (amount == floorl(amount))
		printf("%.0Lf", amount);
	else
		printf("%.2Lf", ceill(amount * 100) / 100);
}

static void print_part(const char *name, uint64_t blocks)
{
	printf("  %-34s %10llu metadata blocks\n", name, (unsigned long long)blocks);
}

static void print_parts(const struct options *options, const struct metadata_size *size)
{
	printf(" estimated metadata area size for \"--block-size=%llusectors --nr-blocks=%u"
	       " --writesets=%u%s\"\n",
	       (unsigned long long)options->block_size / SECTOR_SIZE, options->need.nr_blocks,
	       options->need.nr_writesets, options->need.snapshot ? " --snapshot" : "");
	print_part("trees", size->trees);
	print_part("nodes of theirs that are not full", size->loose_nodes);
	if (size->snapshot)
		print_part("held metadata snapshot", size->snapshot);
	print_part("copies in the worst transaction", size->copy_on_write);
	print_part("space map and its copies", size->space_map);
	print_part("reserve", size->reserve);
}

static void print_size(const struct options *options, const struct metadata_size *size)
{
	size_t unit = unit_index(options->unit);

	if (options->numeric == NUMERIC_OFF)
		printf("era_metadata_size - ");
	print_amount(size->total * METADATA_BLOCK_SIZE, options->unit);
	if (options->numeric == NUMERIC_SHORT)
		putchar(options->unit);
	else if (options->numeric == NUMERIC_LONG)
		printf("%s", unit_names[unit]);
	else if (options->numeric == NUMERIC_OFF)
		printf(" %s", unit_names[unit]);
	if (options->numeric == NUMERIC_OFF)
		print_parts(options, size);
	else
		putchar('\n');
}

static int run(const struct cli *cli, const struct options *options)
{
	struct metadata_size size;

	metadata_size(&options->need, &size);
	print_size(options, &size);
	if (size.total <= METADATA_MAX_BLOCKS)
		return cli_finish(cli, EXIT_SUCCESS);
	cli_finish(cli, EXIT_FAILURE);
	return cli_fail(cli,
			"warning: the target uses %u metadata blocks at most, of a larger device "
			"too: larger data blocks are needed",
			METADATA_MAX_BLOCKS);
}

/* Fills in what was not given. Returns 0, or the exit status after a message. */
static int complete(const struct cli *cli, struct options *options)
{
	uint64_t nr_blocks;

	if (options->has_size == options->has_blocks)
		return cli_usage_error(cli, "either --device-size or --nr-blocks is needed");
	if (!options->block_size)
		options->block_size =
			metadata_size_block_sectors(options->device_size) * SECTOR_SIZE;
	if (options->has_blocks)
		return EXIT_SUCCESS;
	nr_blocks = options->device_size / options->block_size +
		    !!(options->device_size % options->block_size);
	if (nr_blocks > ERA_MAX_DATA_BLOCKS)
		return cli_fail(cli,
				"%llu blocks are more than the target takes (%u): larger ones are "
				"needed",
				(unsigned long long)nr_blocks, ERA_MAX_DATA_BLOCKS);
	options->need.nr_blocks = (uint32_t)nr_blocks;
	return EXIT_SUCCESS;
}

static bool take_numeric(struct options *options)
{
	options->numeric = !optarg		      ? NUMERIC_PLAIN
			   : !strcmp(optarg, "short") ? NUMERIC_SHORT
			   : !strcmp(optarg, "long")  ? NUMERIC_LONG
						      : NUMERIC_OFF;
	return options->numeric != NUMERIC_OFF;
}

/* As the kernel takes it: whole pages. */
static bool take_block_size(struct options *options)
{
	return cli_size(optarg, SECTOR_SIZE, &options->block_size) && options->block_size &&
	       options->block_size % METADATA_BLOCK_SIZE == 0 &&
	       options->block_size / SECTOR_SIZE <= UINT32_MAX;
}

static bool take_unit(struct options *options)
{
	options->unit = *optarg;
	return *optarg && !optarg[1] && strchr(unit_letters, *optarg);
}

/* Whether the option's argument makes sense. */
static bool take_option(struct options *options, int c)
{
	switch (c) {
	case OPT_DEVICE_SIZE:
		options->has_size = true;
		return cli_size(optarg, 1, &options->device_size) && options->device_size;
	case OPT_NR_BLOCKS:
		options->has_blocks = true;
		return cli_number(optarg, &options->need.nr_blocks) && options->need.nr_blocks &&
		       options->need.nr_blocks <= ERA_MAX_DATA_BLOCKS;
	case OPT_BLOCK_SIZE:
		return take_block_size(options);
	case OPT_SNAPSHOT:
		options->need.snapshot = true;
		return true;
	case OPT_WRITESETS:
		return cli_number(optarg, &options->need.nr_writesets) &&
		       options->need.nr_writesets;
	case 'u':
		return take_unit(options);
	default:
		return take_numeric(options);
	}
}

static const char *option_name(int c)
{
	const struct option *option = long_options;

	while (option->val != c)
		option++;
	return option->name;
}

int main(int argc, char **argv)
{
	struct options options = {.unit = 's', .need.nr_writesets = SIZE_DEFAULT_WRITESETS};
	struct cli cli;
	int c;

	cli_init(&cli, "era_metadata_size", usage);
	while ((c = getopt_long(argc, argv, "u:n::hV", long_options, NULL)) != -1) {
		if (c == 'h' || c == 'V' || c == '?')
			return cli_common_option(&cli, c);
		if (!take_option(&options, c))
			return cli_usage_error(&cli, "--%s: not what it takes: %s", option_name(c),
					       optarg);
	}
	if (optind < argc)
		return cli_usage_error(&cli, "an operand that is not understood: %s", argv[optind]);
	return complete(&cli, &options) ? EXIT_FAILURE : run(&cli, &options);
}
