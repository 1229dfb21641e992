/* SPDX-License-Identifier: MIT */
/* Runs a command and measures it, for the benchmark. */
#ifndef TESTS_BENCH_RUN_H
#define TESTS_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_ROUNDS_MAX 99

enum output {
	TO_NULL,
	TO_FILE, /* a new one */
	TO_PIPE, /* which is emptied as fast as can be */
};

/* What is said of a command's lines when it is run for that. */
struct lines {
	uint64_t eras, bits, others; /* lines of <era>, of <bit>, and all others */
	uint64_t bytes;
};

struct command {
	const char *line; /* words and blanks; NULL: there is none */
	enum output output;
	const char *file; /* for TO_FILE */
	unsigned nr_runs;
	double seconds[RUN_ROUNDS_MAX], cpu_seconds[RUN_ROUNDS_MAX];
	double sum;
	uint64_t peak_rss; /* bytes */
	bool failed;
};

/* Runs it once more. Does nothing if it has failed before. */
void run_command(struct command *command);

/* Runs it and counts the lines that it prints. false: it failed. */
bool run_and_count(const struct command *command, struct lines *lines);

double run_median(const double *values, unsigned nr);

#endif
