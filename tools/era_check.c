/* SPDX-License-Identifier: MIT */
/* era_check: checks metadata, and tells all that is wrong with it. */
#include "era/check.h"
#include "era/fold.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/findings_json.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"Usage: era_check [options] {device|file}\n"
	"Checks the metadata of a device-mapper era target.\n"
	"\n"
	"  -q, --quiet                    print nothing, the exit status tells\n"
	"      --super-block-only         check the superblock alone\n"
	"      --ignore-non-fatal-errors  exit 0 if nothing worse is found\n"
	"      --metadata-snapshot        check the held metadata snapshot of a live device\n"
	"      --json                     print what is found as JSON\n"
	"  -h, --help                     print this help\n"
	"  -V, --version                  print the version\n"
	"\n"
	"Exit status: 0 if the metadata is sound, 1 otherwise.\n";

struct options {
	bool super_block_only, ignore_non_fatal, snapshot, json;
};

enum { OPT_SUPER_BLOCK_ONLY = CLI_LONG_OPTION, OPT_IGNORE_NON_FATAL, OPT_SNAPSHOT, OPT_JSON };

static const struct option long_options[] = {
	{"quiet", no_argument, NULL, 'q'},
	{"super-block-only", no_argument, NULL, OPT_SUPER_BLOCK_ONLY},
	{"ignore-non-fatal-errors", no_argument, NULL, OPT_IGNORE_NON_FATAL},
	{"metadata-snapshot", no_argument, NULL, OPT_SNAPSHOT},
	{"json", no_argument, NULL, OPT_JSON},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static void print_finding(void *context, const struct finding *finding)
{
	char text[FINDING_TEXT_MAX];

	finding_text(finding, text);
	cli_fail(context, "%s", text);
}

static void print_more(void *context, const struct fold_kind *kind, uint64_t nr_more)
{
	cli_fail(context, "%s%s: %s: %llu more of these",
		 kind->snapshot ? "metadata snapshot: " : "", structure_name(kind->structure),
		 kind->what, (unsigned long long)nr_more);
}

static int add_finding(void *context, const struct finding *finding)
{
	fold_add(context, finding);
	return PD_OK;
}

static int check(struct block_io *io, const struct options *options, struct progress *progress,
		 struct fold *fold, const struct report *report)
{
	struct check_visitor visitor = {NULL, fold, add_finding};
	struct metadata *metadata;
	int r = metadata_open(io, options->snapshot, report, &metadata);

	if (r)
		return r;
	progress->total = metadata->live.space_map.nr_allocated * METADATA_BLOCK_SIZE;
	r = options->super_block_only ? superblock_check(metadata, &visitor)
				      : metadata_check(metadata, &visitor, report);
	if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	metadata_close(metadata);
	return r;
}

static bool is_sound(const struct fold *fold, const struct options *options, int r)
{
	return !r && !fold->nr_fatal && (!fold->nr_non_fatal || options->ignore_non_fatal);
}

static int check_as_text(const struct cli *cli, struct cli_device *device,
			 const struct options *options)
{
	struct fold fold = {
		.finding = print_finding, .more = print_more, .context = (void *)(uintptr_t)cli};
	int r = check(device->io, options, &device->progress, &fold, &cli->report);

	fold_finish(&fold);
	if (fold.nr_fatal || fold.nr_non_fatal)
		cli_fail(cli, "%llu fatal, %llu non-fatal findings",
			 (unsigned long long)fold.nr_fatal, (unsigned long long)fold.nr_non_fatal);
	else if (!r && !cli->quiet)
		printf("%s: sound\n", cli->subject);
	return is_sound(&fold, options, r) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_as_json(const struct cli *cli, struct cli_device *device,
			 const struct options *options)
{
	struct findings_json json;
	struct fold fold = {
		.finding = findings_json_finding, .more = findings_json_more, .context = &json};
	struct report report = {findings_json_message, &json};
	bool sound;
	int r;

	findings_json_begin(&json, cli->quiet ? NULL : stdout, options->snapshot);
	r = check(device->io, options, &device->progress, &fold, &report);
	fold_finish(&fold);
	sound = is_sound(&fold, options, r);
	findings_json_end(&json, &fold, sound);
	return sound ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_file(struct cli *cli, const char *path, const struct options *options)
{
	struct cli_device device;
	int status = EXIT_FAILURE;

	if (cli_device_open(cli, &device, path, options->snapshot ? CLI_READ_LIVE : CLI_READ))
		status = options->json ? check_as_json(cli, &device, options)
				       : check_as_text(cli, &device, options);
	cli_device_close(cli, &device);
	return cli_finish(cli, status);
}

int main(int argc, char **argv)
{
	struct options options = {.json = false};
	struct cli cli;
	const char *path;
	int c;

	cli_init(&cli, "era_check", usage);
	while ((c = getopt_long(argc, argv, "qhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'q':
			cli.quiet = true;
			break;
		case OPT_SUPER_BLOCK_ONLY:
			options.super_block_only = true;
			break;
		case OPT_IGNORE_NON_FATAL:
			options.ignore_non_fatal = true;
			break;
		case OPT_SNAPSHOT:
			options.snapshot = true;
			break;
		case OPT_JSON:
			options.json = true;
			break;
		default:
			return cli_common_option(&cli, c);
		}
	}
	path = cli_operand(&cli, argc, argv, "metadata device or file");
	return path ? check_file(&cli, path, &options) : EXIT_FAILURE;
}
