/* SPDX-License-Identifier: MIT */
/* Prints what was measured: as a Markdown table, and as JSON. */
#include "tests/bench/bench.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What the machine calls its processor. */
static void processor(char *name, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256] = "";

	snprintf(name, size, "unknown processor");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
			snprintf(name, size, "%s", strchr(line, ':') + 2);
			name[strcspn(name, "\n")] = '\0';
			break;
		}
	if (file)
		fclose(file);
}

void bench_print_head(const struct bench_settings *settings, FILE *json)
{
	char cpu[128], date[32];
	struct utsname kernel = {.sysname = ""};
	time_t now = time(NULL);

	processor(cpu, sizeof(cpu));
	uname(&kernel);
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&now));
	printf("%s: %ld processors (%s), Linux %s; %llu data blocks, medians of %u runs.\n\n", date,
	       sysconf(_SC_NPROCESSORS_ONLN), cpu, kernel.release,
	       (unsigned long long)settings->nr_blocks, settings->nr_rounds);
	printf("| work | time (CPU) | plain loop (CPU) | ratio | target | text | %s | peak memory "
	       "|\n"
	       "|---|---|---|---|---|---|---|---|\n",
	       settings->peer ? "thin-provisioning-tools" : "");
	fprintf(json,
		"{\"date\": \"%s\", \"processors\": %ld, \"processor\": \"%s\", "
		"\"kernel\": \"%s\", \"data_blocks\": %llu, \"rounds\": %u, \"rows\": [",
		date, sysconf(_SC_NPROCESSORS_ONLN), cpu, kernel.release,
		(unsigned long long)settings->nr_blocks, settings->nr_rounds);
}

static void print_target(const struct bench_row *row)
{
	if (row->what->at_most > 0)
		printf("<= %.2f", row->what->at_most);
	if (row->what->at_most > 0 && row->what->gigabytes > 0)
		printf(" or ");
	if (row->what->gigabytes > 0)
		printf(">= %.1f GB/s", row->what->gigabytes);
	printf("%s |", row->missed ? " **missed**" : "");
}

static void print_text(const struct bench_row *row)
{
	printf("| %s | ", row->what->name);
	if (row->failed) {
		printf("**failed** ||||||\n");
		return;
	}
	printf("%.1f (%.1f) ms |", row->seconds * 1e3, row->cpu_seconds * 1e3);
	if (row->floor > 0)
		printf(" %.1f (%.1f) ms | %.2f | ", row->floor * 1e3, row->floor_cpu * 1e3,
		       row->seconds / row->floor);
	else
		printf(" | | ");
	print_target(row);
	if (row->gigabytes > 0)
		printf(" %.1f GB/s", row->gigabytes);
	printf(" |");
	if (row->peer > 0)
		printf(" %.0f ms, %.1f times as long", row->peer * 1e3, row->peer / row->seconds);
	printf(" | %.1f MiB%s |\n", (double)row->peak_rss / 1048576,
	       row->peak_rss > row->peak_rss_max ? " **too much**" : "");
	fflush(stdout);
}

void bench_print_row(const struct bench_row *row, FILE *json, bool first)
{
	print_text(row);
	fprintf(json,
		"%s\n{\"work\": \"%s\", \"failed\": %s, \"seconds\": %g, \"cpu_seconds\": %g, "
		"\"floor_seconds\": %g, \"floor_cpu_seconds\": %g, \"ratio\": %g, \"ratio_max\": "
		"%g, \"text_gb_per_s\": %g, "
		"\"text_gb_per_s_min\": %g, \"peer_seconds\": %g, \"peak_rss\": %llu, "
		"\"peak_rss_max\": %llu, \"missed\": %s}",
		first ? "" : ",", row->what->name, row->failed ? "true" : "false", row->seconds,
		row->cpu_seconds, row->floor, row->floor_cpu,
		row->floor > 0 ? row->seconds / row->floor : 0, row->what->at_most, row->gigabytes,
		row->what->gigabytes, row->peer, (unsigned long long)row->peak_rss,
		(unsigned long long)row->peak_rss_max, row->missed ? "true" : "false");
}

void bench_print_end(FILE *json)
{
	fprintf(json, "\n]}\n");
}
