/* SPDX-License-Identifier: MIT */
/*
 * How the library tells a person what happened: one fact a message, without a newline.
 *
 * The caller owns the report and whatever its context points to; both must outlive the calls they
 * are handed to. A NULL report, or one without a function, swallows the messages.
 */
#ifndef PERSISTENT_DATA_REPORT_H
#define PERSISTENT_DATA_REPORT_H

#ifdef __cplusplus
extern "C" {
#endif

struct report {
	void (*message)(void *context, const char *text);
	void *context;
};

#define REPORT_MAX 512 /* bytes of a message, terminating zero included; longer ones are cut */

/* Formats a message and hands it on. */
void report_message(const struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for an error: returns the code it was given, so that callers can return it in turn. */
int report_error(const struct report *report, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
