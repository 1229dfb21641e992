/* SPDX-License-Identifier: MIT */
/* Formats messages for a person and hands them to whoever asked for them. */
#include "persistent-data/report.h"

#include <stdarg.h>
#include <stdio.h>

static void vreport(const struct report *report, const char *format, va_list args)
{
	char text[REPORT_MAX];

	if (!report || !report->message)
		return;
	vsnprintf(text, sizeof(text), format, args);
	report->message(report->context, text);
}

void report_message(const struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vreport(report, format, args);
	va_end(args);
}

int report_error(const struct report *report, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vreport(report, format, args);
	va_end(args);
	return error;
}
