/* SPDX-License-Identifier: MIT */
/*
 * The images in tests/fixtures (or where ERA_FIXTURES says), unpacked for a test, and a temporary
 * directory for what a test makes of them.
 */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "tests/support/truth.h"

#include <limits.h>
#include <stddef.h>

struct fixture_name {
	char name[64];
};

/* The names of all fixtures, sorted. *nr: how many. To be freed. */
struct fixture_name *fixture_names(size_t *nr);

struct fixture {
	char image[PATH_MAX];
	struct truth truth;
};

/* Unpacks the image into the temporary directory, sparse. A failure ends the test. */
void fixture_open(struct fixture *fixture, const char *name);

/* The path of a file in the temporary directory, to be used before 16 more are asked for. */
const char *fixture_path(const char *name);

/* Makes a file there, with these bytes; or of zeroes, if there are none. Its path. */
const char *fixture_file(const char *name, const void *bytes, size_t size);

/* Makes (before each test), removes (after it) the directory. */
void fixture_set_up(void);
void fixture_tear_down(void);

#endif
