/* SPDX-License-Identifier: MIT */
/* era_restore: writes metadata from XML. */
#include "era/measure.h"
#include "era/spool.h"
#include "era/write.h"
#include "era/xml_read.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/fresh.h"
#include "tools/input.h"
#include "tools/schema.h"
#include "tools/temporary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: era_restore -i FILE -o {device|file} [options]\n"
	"       era_restore -i FILE --validate\n"
	"Writes the metadata of a device-mapper era target from XML.\n"
	"\n"
	"  -i, --input FILE             the XML; - is standard input\n"
	"  -o, --output {device|file}   where the metadata goes; it must exist\n"
	"      --validate               only check the XML, also against its schema\n"
	"  -q, --quiet                  print nothing, the exit status tells\n"
	"  -h, --help                   print this help\n"
	"  -V, --version                print the version\n"
	"\n"
	"Exit status: 0 if all was written (or is valid), 1 otherwise.\n";

struct options {
	const char *input, *output;
	bool validate;
};

enum { OPT_VALIDATE = CLI_LONG_OPTION };

static const struct option long_options[] = {
	{"input", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'o'},
	{"quiet", no_argument, NULL, 'q'},
	{"validate", no_argument, NULL, OPT_VALIDATE},
	CLI_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* Reads all of it; whatever is wrong with it has been told when this returns. */
static int read_xml(struct input *xml, struct sink *sink)
{
	int r = xml_read(&xml->text, sink, &xml->cli->report);

	if (r == PD_ERR_NO_MEMORY)
		cli_fail(xml->cli, "out of memory");
	return r;
}

/* kept: what is read is kept there, too; it is closed where that cannot be done. */
static bool measure_xml(struct input *xml, struct measure *measure, struct temporary *kept)
{
	struct sink *spool = NULL;
	int r;

	measure_init(measure);
	if (kept->fd >= 0 && spool_open(&kept->output, &measure->sink, &spool))
		kept->error = ENOMEM;
	r = read_xml(xml, spool ? spool : &measure->sink);
	if (!spool || spool_error(spool))
		temporary_close(kept);
	spool_close(spool);
	return fresh_measured(xml->cli, r);
}

/* From what was kept, or else from the XML once more. */
static int write_again(struct input *xml, struct temporary *kept, struct block_io *io)
{
	struct sink *sink = NULL;
	int r = metadata_write_open(io, &sink);

	if (r)
		cli_fail(xml->cli, "%s", pd_error_text(r));
	else if (kept->fd < 0)
		r = input_rewind(xml) ? read_xml(xml, sink) : PD_ERR_IO;
	else
		r = temporary_rewind(kept) ? spool_replay(&kept->input, sink) : PD_ERR_CORRUPT;
	metadata_write_close(sink);
	return r;
}

/* What went wrong may be the temporary file's fault: it takes room, perhaps the output's, and can decay. */
static bool is_fault_of(const struct temporary *kept, int r)
{
	return kept->fd >= 0 && (r == PD_ERR_CORRUPT || (r == PD_ERR_IO && errno == ENOSPC));
}

static bool write_metadata(struct input *xml, struct temporary *kept, struct block_io *io,
			   const char *output)
{
	struct cli *cli = xml->cli;
	int r = write_again(xml, kept, io);

	if (is_fault_of(kept, r) && xml->can_rewind) {
		temporary_close(kept);
		r = write_again(xml, kept, io);
	}
	if (kept->fd >= 0 && r == PD_ERR_NO_MEMORY)
		cli_fail(cli, "out of memory");
	if (kept->fd >= 0 && r == PD_ERR_CORRUPT)
		cli_fail(cli, "what was kept of it in a temporary file is lost: %s",
			 kept->error ? strerror(kept->error) : "it has changed");
	cli->subject = output;
	return xml->failed ? false : fresh_written(cli, r);
}

/* Nothing may be written before all of the XML is known to be good, and to fit. */
static bool restore_by(struct input *xml, const char *output, struct block_io *io,
		       struct temporary *kept)
{
	struct cli *cli = xml->cli;
	struct measure measure;

	input_begin(xml);
	if (kept->fd < 0 && !input_keep(xml))
		return false;
	if (!measure_xml(xml, &measure, kept))
		return false;
	cli->subject = output;
	if (!fresh_fits(cli, &measure, io))
		return false;
	input_begin(xml);
	if (kept->fd < 0 && !xml->can_rewind) {
		cli_fail(cli, "cannot be kept in a temporary file: %s", strerror(kept->error));
		return false;
	}
	return write_metadata(xml, kept, io, output);
}

/*
 * A stream takes no more room than the metadata that are made of it. So what is larger than the output
 * is not kept: it does not fit, and a few lines of XML can ask for any amount.
 */
static bool restore_to(struct input *xml, const char *output, struct cli_device *device)
{
	uint64_t room = (device->io->nr_blocks + 1) * METADATA_BLOCK_SIZE;
	struct temporary kept;
	bool done;

	if (cli_same_file(&device->st, &xml->st)) {
		cli_fail(xml->cli, "is the input itself");
		return false;
	}
	temporary_open(&kept, room);
	done = restore_by(xml, output, device->io, &kept);
	temporary_close(&kept);
	return done;
}

static bool restore(struct input *xml, const char *output)
{
	struct cli_device device;
	bool done = cli_device_open(xml->cli, &device, output, CLI_WRITE) &&
		    restore_to(xml, output, &device);

	cli_device_close(xml->cli, &device);
	return done;
}

static bool validate(struct input *xml)
{
	struct measure measure;

	measure_init(&measure);
	return input_keep(xml) && fresh_measured(xml->cli, read_xml(xml, &measure.sink)) &&
	       input_rewind(xml) && schema_validate(xml->cli, xml->fd);
}

static int run(struct cli *cli, const struct options *options)
{
	struct input xml;
	bool done = input_open(&xml, cli, options->input);

	if (done)
		done = options->validate ? validate(&xml) : restore(&xml, options->output);
	input_close(&xml);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_options(const struct cli *cli, const struct options *options, int argc,
			 char **argv)
{
	if (!cli_only_input(cli, argc, argv, options->input))
		return EXIT_FAILURE;
	if (options->validate && options->output)
		return cli_usage_error(cli, "--validate writes nothing: it takes no -o");
	if (!options->validate && !options->output)
		return cli_usage_error(cli, "no output was given (-o)");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {.input = NULL};
	struct cli cli;
	int c;

	cli_init(&cli, "era_restore", usage);
	while ((c = getopt_long(argc, argv, "i:o:qhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'i':
			options.input = optarg;
			break;
		case 'o':
			options.output = optarg;
			break;
		case 'q':
			cli.quiet = true;
			break;
		case OPT_VALIDATE:
			options.validate = true;
			break;
		default:
			return cli_common_option(&cli, c);
		}
	}
	if (check_options(&cli, &options, argc, argv))
		return EXIT_FAILURE;
	return run(&cli, &options);
}
