/* SPDX-License-Identifier: MIT */
/*
 * Runs a command as a user would, from any input and to any output, within limits. Its output is kept
 * in memory. For commands that are fed hostile metadata see bounded.h.
 */
#ifndef TESTS_SUPPORT_COMMAND_H
#define TESTS_SUPPORT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where it differs from a plain run. Zeroes: a plain run. */
struct command_setup {
	const char *input; /* the file that is its standard input; NULL: /dev/null */
	const char *piped; /* what comes through a pipe instead */
	size_t piped_size;
	const char *output;  /* the file that is its standard output, which is not kept then */
	bool closed_output;  /* nobody reads its standard output, which is a pipe */
	uint64_t file_size;  /* in bytes; beyond that writes fail */
	bool killed_at_size; /* or rather end the command */
	uint64_t memory;     /* in bytes of address space; not with sanitizers */
	uid_t user;	     /* to run as; root only */
};

struct command_result {
	int status;	 /* of exit; -1: none */
	int signal;	 /* 0: none */
	char *out, *err; /* zero-terminated; err is cut off where it gets long */
	size_t out_size;
	long peak_kib; /* of memory; at least what the caller itself has had */
};

/*
 * argv[0] is the name of one of the project's commands, or the path of another one; arguments end
 * with NULL. A command that cannot be started ends the test. To be freed.
 */
struct command_result command_run(const struct command_setup *setup, const char *const argv[]);
void command_free(struct command_result *result);

#define COMMAND(...) command_run(NULL, (const char *const[]){__VA_ARGS__, NULL})
#define COMMAND_WITH(setup, ...) command_run(setup, (const char *const[]){__VA_ARGS__, NULL})

/*
 * Whether the run printed just this, said nothing, and exited with 0. Otherwise problem says what it
 * did.
 */
bool command_printed(const struct command_result *result, const char *out, size_t size,
		     char problem[400]);

/*
 * Whether the run refused to answer: exited with 1, printed nothing, and said so in lines that begin
 * with the command's name, of which one has this phrase. Otherwise problem says what it did.
 */
bool command_refused(const struct command_result *result, const char *name, const char *phrase,
		     char problem[400]);

/* Whether the commands are built with sanitizers: they take more time and memory then. */
bool command_sanitized(void);

#endif
