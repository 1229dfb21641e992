/* SPDX-License-Identifier: MIT */
/* What all commands share: messages, the options every one has, inputs and their progress. */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include "persistent-data/block_io.h"
#include "persistent-data/report.h"
#include "tools/progress.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct cli {
	const char *program; /* the command's name */
	const char *usage;   /* what --help prints */
	const char *subject; /* the file that messages are about; NULL: none in particular */
	bool quiet;
	struct report report;	   /* prints a message about the subject */
	struct progress *progress; /* of what is going on; NULL: nothing is */
};

/* Options that every command has. */
#define CLI_COMMON_OPTIONS                        \
	{"help", no_argument, NULL, 'h'},         \
	{                                         \
		"version", no_argument, NULL, 'V' \
	}

/* Values of getopt_long() for options that have no letter begin here. */
#define CLI_LONG_OPTION 256

void cli_init(struct cli *cli, const char *program, const char *usage);

/* Prints "program: text", or "program: subject: text", to stderr, unless quiet. Returns 1. */
int cli_fail(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for bad usage: points to --help as well. */
int cli_usage_error(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * What getopt_long() returned and the command does not know: prints help or version, or complains.
 * Returns the exit status.
 */
int cli_common_option(const struct cli *cli, int option);

/* The one operand of a command, NULL (and a message) if there is none or more than one. */
const char *cli_operand(const struct cli *cli, int argc, char **argv, const char *what);

/* For a command that has two, argv[optind] and the next. false: a message has been printed. */
bool cli_two_operands(const struct cli *cli, int argc, char **argv, const char *first,
		      const char *second);

/* For a command that has options only, an input (-i) among them. false: a message has been printed. */
bool cli_only_input(const struct cli *cli, int argc, char **argv, const char *input);

/* A number from 0 to 2^32 - 1, decimal. */
bool cli_number(const char *text, uint32_t *number);

/*
 * A size in bytes: a decimal number of `unit` bytes each, or with a suffix: b (bytes), s (sectors of 512
 * bytes), or one of kmgtpe in either case, which are powers of 1024, for nobody is to get a size that
 * is smaller than he meant; "iB" may follow these.
 */
bool cli_size(const char *text, uint64_t unit, uint64_t *bytes);

/* Metadata to be read or written: a file, and the device on it, whose reads show as progress. */
struct cli_device {
	int fd;
	struct stat st;
	struct block_io *io; /* what to use; NULL if it could not be opened */
	struct block_io *file;
	struct progress_io counted;
	struct progress progress;
};

enum cli_access {
	CLI_READ,      /* alone: a block device is opened exclusively */
	CLI_READ_LIVE, /* while a target uses it */
	CLI_WRITE,     /* alone */
};

/*
 * Opens a regular file or block device, and makes path the subject of messages. false: one has been
 * printed, and *fd is -1.
 */
bool cli_open(struct cli *cli, const char *path, enum cli_access access, struct stat *st, int *fd);

/* The same for metadata. Close it in any case. */
bool cli_device_open(struct cli *cli, struct cli_device *device, const char *path,
		     enum cli_access access);
void cli_device_close(struct cli *cli, struct cli_device *device);

bool cli_same_file(const struct stat *a, const struct stat *b);

/* Flushes stdout. The exit status: `status`, or 1 if something did not get out. */
int cli_finish(const struct cli *cli, int status);

#endif
