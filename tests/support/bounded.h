/* SPDX-License-Identifier: MIT */
/*
 * Runs one of the commands under test and says what became of it: output, exit status or signal,
 * and the time and memory it took. A run that takes too long is killed and counts as hung.
 */
#ifndef TESTS_SUPPORT_BOUNDED_H
#define TESTS_SUPPORT_BOUNDED_H

#include <stdbool.h>
#include <stddef.h>

struct outcome {
	int status; /* of exit; -1: none, see the next two */
	int signal; /* 0: none */
	bool hung;
	char *out, *err; /* zero-terminated */
	size_t out_size, err_size;
	double cpu_seconds;
	long peak_kib; /* of memory; at least what the caller itself has had */
};

/* argv[0] is the name of a command; arguments end with NULL. To be freed. */
struct outcome bounded_run(const char *const argv[]);
void outcome_free(struct outcome *outcome);

/* bounded_run() with the arguments in a row. */
#define BOUNDED_RUN(...) bounded_run((const char *const[]){__VA_ARGS__, NULL})

/* NULL if the run ended by itself with exit status 0 or 1, else what is wrong. */
const char *outcome_wrong(const struct outcome *outcome);

/* Whether the commands are built with sanitizers: they take more time and memory then. */
bool bounded_sanitized(void);

#endif
