/* SPDX-License-Identifier: MIT */
/* A case of the benchmark: what is measured against what, and what came out. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "tests/bench/run.h"

#include <stdio.h>

#define LINE_MAX_LENGTH 1024

struct bench_case {
	const char *name;
	/*
	 * Command lines, in which @ stands for the directory of the inputs and % for the number of
	 * lines printed, as floor(1) wants to have it. NULL: none.
	 */
	const char *ours;
	const char *floor;
	const char *peer;   /* NULL: `ours` is */
	enum output output; /* of all of them */
	/* The target: at most so many times the floor's time, ... */
	double at_most;
	/* ... or at least so many GB/s of text, and this is the file it is in, if it is not printed. */
	double gigabytes;
	const char *text;
	bool no_peer;	    /* it has no such option */
	bool logical;	    /* may take more memory */
	const char *device; /* this input as a block device, & in `ours`; fio is the floor */
};

struct bench_settings {
	const char *directory; /* of the inputs */
	const char *bin;       /* our commands */
	const char *tools;     /* the floor and the generator */
	const char *peer;      /* directory of the other commands; NULL: there are none */
	uint64_t nr_blocks;    /* data blocks */
	unsigned nr_rounds;
};

struct bench_row {
	const struct bench_case *what;
	double seconds, cpu_seconds;
	double floor, floor_cpu; /* seconds; 0: there is none, and so for all below */
	double peer;
	double gigabytes;		 /* of text in a second */
	uint64_t peak_rss, peak_rss_max; /* bytes */
	bool failed, missed;
	bool skipped; /* what it takes is not there */
};

void bench_print_head(const struct bench_settings *settings, FILE *json);
void bench_print_row(const struct bench_row *row, FILE *json, bool first);
void bench_print_end(FILE *json);

#endif
