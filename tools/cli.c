/* SPDX-License-Identifier: MIT */
/* What all commands share. */
#include "tools/cli.h"
#include "era/superblock.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file name or a piece of XML may hold what would confuse a terminal. */
static void print_line(const struct cli *cli, const char *text)
{
	char line[REPORT_MAX * 2];

	if (cli->quiet)
		return;
	progress_clear(cli->progress);
	snprintf(line, sizeof(line), "%s: %s%s%s", cli->program, cli->subject ? cli->subject : "",
		 cli->subject ? ": " : "", text);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "%s\n", line);
}

static void print_report(void *context, const char *text)
{
	print_line(context, text);
}

/*
 * A file that is opened where a standard one is closed would get what is meant for that: messages
 * would go into the metadata. What fills the gap is opened the wrong way round, so that to use it fails.
 */
static void fill_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			exit(EXIT_FAILURE);
}

void cli_init(struct cli *cli, const char *program, const char *usage)
{
	fill_standard_files();
	*cli = (struct cli){.program = program, .usage = usage, .report = {print_report, cli}};
	/* A closed pipe is an error of the write, which ends the command quietly. */
	signal(SIGPIPE, SIG_IGN);
}

static void vfail(const struct cli *cli, const char *format, va_list args)
{
	char text[REPORT_MAX];

	vsnprintf(text, sizeof(text), format, args);
	print_line(cli, text);
}

int cli_fail(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(cli, format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int cli_usage_error(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(cli, format, args);
	va_end(args);
	return cli_fail(cli, "try '%s --help'", cli->program);
}

int cli_common_option(const struct cli *cli, int option)
{
	switch (option) {
	case 'h':
		fputs(cli->usage, stdout);
		return cli_finish(cli, EXIT_SUCCESS);
	case 'V':
		puts(ERA_VERSION);
		return cli_finish(cli, EXIT_SUCCESS);
	default:
		/* getopt_long() has said what is wrong. */
		return cli_fail(cli, "try '%s --help'", cli->program);
	}
}

bool cli_two_operands(const struct cli *cli, int argc, char **argv, const char *first,
		      const char *second)
{
	if (optind == argc - 2)
		return true;
	if (optind > argc - 2)
		cli_usage_error(cli, "no %s was given", optind == argc ? first : second);
	else
		cli_usage_error(cli, "an operand too many: %s", argv[optind + 2]);
	return false;
}

const char *cli_operand(const struct cli *cli, int argc, char **argv, const char *what)
{
	if (optind == argc - 1)
		return argv[optind];
	if (optind == argc)
		cli_usage_error(cli, "no %s was given", what);
	else
		cli_usage_error(cli, "more than one %s was given: %s", what, argv[optind + 1]);
	return NULL;
}

bool cli_only_input(const struct cli *cli, int argc, char **argv, const char *input)
{
	if (optind < argc)
		cli_usage_error(cli, "an operand that is not understood: %s", argv[optind]);
	else if (!input)
		cli_usage_error(cli, "no input was given (-i)");
	return optind == argc && input;
}

/* The digits that text begins with, and where they end. */
static bool digits(const char *text, unsigned long long *value, char **end)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	return !errno;
}

bool cli_number(const char *text, uint32_t *number)
{
	char *end;
	unsigned long long value;

	if (!digits(text, &value, &end) || *end || value > UINT32_MAX)
		return false;
	*number = (uint32_t)value;
	return true;
}

/* The unit that a suffix stands for; 0: there is no such suffix. */
static uint64_t unit_of(const char *suffix)
{
	static const char powers[] = "kmgtpe";
	const char *power;

	if (!strcmp(suffix, "b"))
		return 1;
	if (!strcmp(suffix, "s"))
		return 512;
	power = *suffix ? strchr(powers, *suffix | 0x20) : NULL;
	if (!power || (suffix[1] && strcmp(suffix + 1, "iB") != 0))
		return 0;
	return UINT64_C(1024) << 10 * (power - powers);
}

bool cli_size(const char *text, uint64_t unit, uint64_t *bytes)
{
	char *end;
	unsigned long long value;

	if (!digits(text, &value, &end))
		return false;
	if (*end)
		unit = unit_of(end);
	return unit && !__builtin_mul_overflow(value, unit, bytes) && *bytes <= INT64_MAX;
}

static bool check_kind(const struct cli *cli, const struct stat *st)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return true;
	cli_fail(cli, "%s, where a regular file or a block device is meant",
		 S_ISDIR(st->st_mode)	 ? "a directory"
		 : S_ISCHR(st->st_mode)	 ? "a character device"
		 : S_ISFIFO(st->st_mode) ? "a named pipe"
					 : "a special file");
	return false;
}

static void tell_open_error(const struct cli *cli, enum cli_access access)
{
	if (errno == EBUSY)
		cli_fail(cli, "in use, perhaps by a live target%s",
			 access == CLI_READ ? "; to read its metadata snapshot, use "
					      "--metadata-snapshot"
					    : "");
	else
		cli_fail(cli, "cannot be opened: %s", strerror(errno));
}

/* A file is locked by whoever serves a device with it, as a block device is opened exclusively. */
static bool is_locked(int fd, const struct stat *st, enum cli_access access)
{
	int how = access == CLI_WRITE ? LOCK_EX : LOCK_SH;

	if (!S_ISREG(st->st_mode) || access == CLI_READ_LIVE || !flock(fd, how | LOCK_NB) ||
	    errno != EWOULDBLOCK)
		return false;
	errno = EBUSY;
	return true;
}

bool cli_open(struct cli *cli, const char *path, enum cli_access access, struct stat *st, int *fd)
{
	int flags = O_CLOEXEC | (access == CLI_WRITE ? O_RDWR : O_RDONLY);

	cli->subject = path;
	*fd = -1;
	/* Looked at before it is opened: opening a named pipe would wait for its other end. */
	if (stat(path, st)) {
		tell_open_error(cli, access);
		return false;
	}
	if (!check_kind(cli, st))
		return false;
	if (S_ISBLK(st->st_mode) && access != CLI_READ_LIVE)
		flags |= O_EXCL;
	*fd = open(path, flags);
	if (*fd >= 0 && !is_locked(*fd, st, access))
		return true;
	tell_open_error(cli, access);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return false;
}

/* A short dump has no whole block, and is XML in the first place. */
static bool is_short_xml(const struct cli *cli, const struct cli_device *device)
{
	uint8_t block[METADATA_BLOCK_SIZE] = {0};
	const char *what = NULL;

	if (pread(device->fd, block, sizeof(block), 0) > 0)
		what = superblock_mistaken(block);
	if (what)
		cli_fail(cli, "%s", what);
	return what;
}

bool cli_device_open(struct cli *cli, struct cli_device *device, const char *path,
		     enum cli_access access)
{
	int r;

	*device = (struct cli_device){.fd = -1};
	if (!cli_open(cli, path, access, &device->st, &device->fd))
		return false;
	r = block_io_open_fd(device->fd, &device->file);
	if (r) {
		cli_fail(cli, "cannot be used as a metadata device: %s",
			 r == PD_ERR_IO ? strerror(errno) : pd_error_text(r));
		return false;
	}
	if (access != CLI_WRITE && !device->file->nr_blocks && is_short_xml(cli, device))
		return false;
	progress_init(&device->progress, cli->quiet);
	progress_io_init(&device->counted, device->file, &device->progress);
	cli->progress = &device->progress;
	device->io = &device->counted.io;
	return true;
}

void cli_device_close(struct cli *cli, struct cli_device *device)
{
	progress_clear(&device->progress);
	if (cli->progress == &device->progress)
		cli->progress = NULL;
	block_io_close(device->file);
	if (device->fd >= 0)
		close(device->fd);
}

/* By identity: the names may differ. */
bool cli_same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int cli_finish(const struct cli *cli, int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		cli_fail(cli, "cannot write to standard output: %s", strerror(errno));
	return EXIT_FAILURE;
}
