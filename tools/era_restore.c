/* SPDX-License-Identifier: MIT */
/* era_restore: writes metadata from XML. */
#include "era/measure.h"
#include "era/write.h"
#include "era/xml_read.h"
#include "persistent-data/error.h"
#include "tools/cli.h"
#include "tools/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/*
 * The XML, which is read twice: nothing may be written before all of it is known to be good. What
 * cannot be read twice goes to a temporary file first.
 */
struct xml_file {
	struct cli *cli;
	int fd;
	struct stat st; /* of the input itself */
	uint64_t size;
	bool broken; /* it could not be read: a message has been printed */
	struct progress progress;
};

static int read_file(void *context, char *buffer, size_t size, size_t *nr)
{
	struct xml_file *file = context;
	ssize_t n;

	do
		n = read(file->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		cli_fail(file->cli, "cannot be read: %s", strerror(errno));
		file->broken = true;
		return PD_ERR_IO;
	}
	*nr = (size_t)n;
	progress_add(&file->progress, *nr);
	return PD_OK;
}

static bool write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		size -= (size_t)n;
	}
	return true;
}

static bool copy_to(struct xml_file *file, int fd)
{
	char buffer[64 * 1024];
	size_t nr;

	while (!read_file(file, buffer, sizeof(buffer), &nr)) {
		if (!nr)
			return true;
		if (!write_all(fd, buffer, nr)) {
			cli_fail(file->cli, "cannot be copied to a temporary file: %s",
				 strerror(errno));
			return false;
		}
	}
	return false;
}

static int open_temporary(void)
{
	const char *directory = getenv("TMPDIR");
	char name[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%s/era-XXXXXX", directory ? directory : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static bool keep_copy(struct xml_file *file)
{
	int fd = open_temporary();
	bool kept;

	if (fd < 0) {
		cli_fail(file->cli, "no temporary file can be made: %s", strerror(errno));
		return false;
	}
	kept = copy_to(file, fd);
	file->size = kept ? (uint64_t)lseek(fd, 0, SEEK_CUR) : 0;
	close(file->fd);
	file->fd = fd;
	return kept;
}

static bool open_xml(struct xml_file *file, struct cli *cli, const char *path)
{
	bool is_stdin = !strcmp(path, "-");

	*file = (struct xml_file){.cli = cli};
	cli->subject = is_stdin ? "standard input" : path;
	file->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &file->st)) {
		cli_fail(cli, "cannot be opened: %s", strerror(errno));
		return false;
	}
	if (S_ISDIR(file->st.st_mode)) {
		cli_fail(cli, "a directory, where XML is meant");
		return false;
	}
	file->size = (uint64_t)file->st.st_size;
	return S_ISREG(file->st.st_mode) || keep_copy(file);
}

/* To its begin, to be read from there. */
static int rewind_xml(struct xml_file *file)
{
	if (lseek(file->fd, 0, SEEK_SET) == 0)
		return PD_OK;
	cli_fail(file->cli, "cannot be read again: %s", strerror(errno));
	file->broken = true;
	return PD_ERR_IO;
}

/* Reads all of it; a message is printed for whatever is wrong with it. */
static int read_xml(struct xml_file *file, struct sink *sink)
{
	struct text_input input = {read_file, file};
	int r = rewind_xml(file);

	if (!r)
		r = xml_read(&input, sink, &file->cli->report);
	if (r == PD_ERR_NO_MEMORY)
		cli_fail(file->cli, "out of memory");
	return r;
}

static bool measure_xml(struct xml_file *file, struct measure *measure)
{
	measure_init(measure);
	return !read_xml(file, &measure->sink);
}

static bool check_fit(const struct cli *cli, const struct measure *measure,
		      const struct block_io *io)
{
	uint64_t needed = measure_device(measure);

	if (needed > METADATA_MAX_BLOCKS)
		cli_fail(cli, "%llu metadata blocks are needed, more than the format allows (%u)",
			 (unsigned long long)needed, METADATA_MAX_BLOCKS);
	else if (measure_total(measure, io->nr_blocks) > io->nr_blocks)
		cli_fail(cli, "too small: %llu metadata blocks are needed, it has %llu",
			 (unsigned long long)needed, (unsigned long long)io->nr_blocks);
	else
		return true;
	return false;
}

static bool write_metadata(struct xml_file *file, struct block_io *io, const char *xml_name)
{
	struct cli *cli = file->cli;
	const char *device_name = cli->subject;
	struct sink *sink = NULL;
	int r = metadata_write_open(io, &sink);

	cli->subject = xml_name;
	if (!r)
		r = read_xml(file, sink);
	metadata_write_close(sink);
	cli->subject = device_name;
	if (r == PD_ERR_IO && !file->broken)
		cli_fail(cli, "cannot be written: %s", strerror(errno));
	else if (r == PD_ERR_NO_SPACE)
		cli_fail(cli, "too small");
	return !r;
}

static bool restore_to(struct xml_file *file, const char *path)
{
	struct cli_device device;
	struct measure measure;
	struct cli *cli = file->cli;
	const char *xml_name = cli->subject;
	bool done = false;

	if (!measure_xml(file, &measure))
		return false;
	if (!cli_device_open(cli, &device, path, CLI_WRITE))
		done = false;
	else if (cli_same_file(&device.st, &file->st))
		cli_fail(cli, "is the input itself");
	else if (check_fit(cli, &measure, device.io))
		done = write_metadata(file, device.io, xml_name);
	cli_device_close(cli, &device);
	return done;
}

static bool validate(struct xml_file *file)
{
	struct measure measure;

	return measure_xml(file, &measure) && !rewind_xml(file) &&
	       schema_validate(file->cli, file->fd);
}

static int restore(struct cli *cli, const struct options *options)
{
	struct xml_file file;
	bool done = open_xml(&file, cli, options->input);

	if (done) {
		progress_init(&file.progress, cli->quiet);
		file.progress.total = file.size * 2;
		cli->progress = &file.progress;
		done = options->validate ? validate(&file) : restore_to(&file, options->output);
		progress_clear(&file.progress);
	}
	if (file.fd >= 0)
		close(file.fd);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_options(const struct cli *cli, const struct options *options, int argc,
			 char **argv)
{
	if (optind < argc)
		return cli_usage_error(cli, "an operand that is not understood: %s", argv[optind]);
	if (!options->input)
		return cli_usage_error(cli, "no input was given (-i)");
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
	return restore(&cli, &options);
}
