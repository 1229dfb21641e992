/* SPDX-License-Identifier: MIT */
/*
 * As much of Criterion as tests of threads need, for builds with a sanitizer that Criterion itself,
 * which runs each test in a process of its own, does not get along with. One test program is one file.
 */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_REQUIRE(condition)                                                       \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                       \
		}                                                                      \
	} while (0)

#define cr_assert(condition, ...) PLAIN_REQUIRE(condition)
#define cr_assert_not(condition, ...) PLAIN_REQUIRE(!(condition))
#define cr_assert_not_null(pointer, ...) PLAIN_REQUIRE(pointer)
#define cr_assert_eq(a, b, ...) PLAIN_REQUIRE((a) == (b))
#define cr_assert_lt(a, b, ...) PLAIN_REQUIRE((a) < (b))
#define cr_assert_geq(a, b, ...) PLAIN_REQUIRE((a) >= (b))
#define cr_expect cr_assert
#define cr_expect_eq cr_assert_eq
#define cr_expect_lt cr_assert_lt
#define cr_expect_geq cr_assert_geq
#define cr_expect_str_eq(a, b, ...) PLAIN_REQUIRE(!strcmp(a, b))
#define cr_log_info(...)                              \
	do {                                          \
		char plain_line[200];                 \
		snprintf(plain_line, 200, __VA_ARGS__); \
		puts(plain_line);                     \
	} while (0)

/* All tests run one after another, in main(). */
#define Test(suite, name)                                                        \
	static void suite##_##name(void);                                        \
	__attribute__((constructor)) static void plain_add_##suite##_##name(void) \
	{                                                                        \
		plain_tests[plain_nr_tests++] = suite##_##name;                  \
	}                                                                        \
	static void suite##_##name(void)

#ifdef PLAIN_MAIN
static void (*plain_tests[64])(void);
static int plain_nr_tests;

int main(void)
{
	for (int i = 0; i < plain_nr_tests; i++)
		plain_tests[i]();
	return 0;
}
#endif

#endif
