/* SPDX-License-Identifier: MIT */
/*
 * usage: bench [-n DATA_BLOCKS] [-r ROUNDS] [-d DIRECTORY] [-j JSON] [-p PEER_DIRECTORY] [NAME_PART]
 *
 * Makes metadata in DIRECTORY, measures the commands against plain loops and other implementations
 * of them, and prints a table. Each case's commands run in turns, so that a noisy machine is noisy for
 * all of them. The exit status tells of commands that failed, never of times.
 */
#include "tests/bench/bench.h"
#include "tests/bench/device.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEER_SECONDS 20.0 /* the others are not waited for any longer */
#define MIB 1048576
#define DEVICE_ROUNDS 3 /* as many more of them, since disks vary more than memory */
#define ROUNDS_MAX (RUN_ROUNDS_MAX / DEVICE_ROUNDS)

#define CHECK "era_check -q "
#define CHANGED "era_invalidate --written-since "
#define READ "floor read "
#define LINES "floor lines % "

static const struct bench_case cases[] = {
	{"era_check, no writesets", CHECK "@/r0", READ "@/r0", .at_most = 1.5},
	{"era_check, 8 writesets", CHECK "@/r8", READ "@/r8", .at_most = 1.5},
	{"era_check, 64 writesets", CHECK "@/r64", READ "@/r64", .at_most = 1.5},
	{"era_check, 64 writesets, scattered", CHECK "@/s64", READ "@/s64", .at_most = 1.5},
	{"era_check, 64 writesets, runs", CHECK "@/u64", READ "@/u64", .at_most = 1.5},
	{"era_check, 64 writesets, block device", CHECK "&", .device = "r64", .at_most = 1.11},
	{"era_check, no writesets, block device", CHECK "&", .device = "r0", .at_most = 1.11},
	{"era_check, 64 writesets, scattered, block device", CHECK "&", .device = "s64",
	 .at_most = 1.11},
	{"era_check, 10^5 blocks", CHECK "@/small", READ "@/small", .at_most = 1.5},
	{"era_invalidate, few", CHANGED "1000 @/r0", LINES "@/r0", .at_most = 1.5},
	{"era_invalidate, half", CHANGED "501 @/r0", LINES "@/r0", .at_most = 1.5},
	{"era_invalidate, all", CHANGED "0 @/r0", LINES "@/r0", .at_most = 1.5},
	{"era_invalidate, few, 8 writesets", CHANGED "1008 @/r8", LINES "@/r8", .at_most = 1.5},
	{"era_invalidate, half, 8 writesets", CHANGED "501 @/r8", LINES "@/r8", .at_most = 1.5},
	{"era_invalidate, few, 64 writesets", CHANGED "1064 @/r64", LINES "@/r64", .at_most = 1.5},
	{"era_invalidate, half, 64 writesets", CHANGED "501 @/r64", LINES "@/r64", .at_most = 1.5},
	{"era_invalidate, half, 64 writesets, runs", CHANGED "501 @/u64", LINES "@/u64",
	 .at_most = 1.5},
	{"era_invalidate, all, 64 writesets, runs", CHANGED "0 @/u64", LINES "@/u64",
	 .at_most = 1.5},
	{"era_invalidate, 10^5 blocks, half", CHANGED "501 @/small", LINES "@/small",
	 .at_most = 1.5},
	{"era_dump, no writesets", "era_dump @/r0", LINES, .at_most = 2, .gigabytes = 6},
	{"era_dump, 8 writesets", "era_dump @/r8", LINES, .at_most = 2, .gigabytes = 6},
	{"era_dump --logical, 64 writesets", "era_dump --logical @/r64", LINES, .at_most = 2,
	 .gigabytes = 6, .logical = true},
	{"era_dump --logical, 64 writesets, runs", "era_dump --logical @/u64", LINES, .at_most = 2,
	 .gigabytes = 6, .logical = true},
	{"era_dump --compact, 8 writesets", "era_dump --compact @/r8", LINES, .at_most = 2,
	 .gigabytes = 6, .no_peer = true},
	{"era_dump --compact, 64 writesets, runs", "era_dump --compact @/u64", LINES, .at_most = 2,
	 .gigabytes = 6, .no_peer = true},
	{"era_dump, 10^5 blocks", "era_dump @/small", LINES, .at_most = 2, .gigabytes = 6},
	{"era_dump to a new file", "era_dump @/r0", "cat @/xml", .at_most = 1.25, .output = TO_FILE,
	 .text = "xml"},
	{"era_dump to a pipe", "era_dump @/r0", "cat @/xml", .at_most = 1.25, .output = TO_PIPE,
	 .text = "xml"},
	{"era_restore", "era_restore -q -i @/xml -o @/out", .gigabytes = 1.5, .text = "xml",
	 .peer = "era_restore -i @/xml -o @/out"},
	{"era_restore, 8 compact writesets, runs", "era_restore -q -i @/xml8 -o @/out8",
	 .gigabytes = 1.5, .text = "xml8", .no_peer = true},
	{"era_restore, XML of another layout", "era_restore -q -i @/other -o @/out",
	 "floor expat @/other", .at_most = 1.25, .text = "other",
	 .peer = "era_restore -i @/other -o @/out"},
	/* Metadata are surveyed, salvaged to be measured, and salvaged to be written. */
	{"era_repair, no writesets", "era_repair -q -i @/r0 -o @/out", "floor copy @/r0 @/out",
	 .at_most = 2.5, .no_peer = true},
	{"era_repair, 64 writesets", "era_repair -q -i @/r64 -o @/out64",
	 "floor copy @/r64 @/out64", .at_most = 2.5, .no_peer = true},
};

/* A command line with the directories filled in; to be freed. */
static char *fill_in(const struct bench_settings *settings, const char *program_directory,
		     const char *line, const struct lines *lines)
{
	char *text = NULL;
	size_t size;
	FILE *out = line ? open_memstream(&text, &size) : NULL;

	if (!out)
		return NULL;
	if (strncmp(line, "cat ", 4) != 0)
		fprintf(out, "%s/", program_directory);
	for (; *line; line++) {
		if (*line == '@')
			fputs(settings->directory, out);
		else if (*line == '%')
			fprintf(out, "%llu %llu %llu", (unsigned long long)lines->eras,
				(unsigned long long)lines->bits, (unsigned long long)lines->others);
		else
			fputc(*line, out);
	}
	fclose(out);
	return text;
}

static uint64_t file_size(const struct bench_settings *settings, const char *name)
{
	char path[LINE_MAX_LENGTH];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", settings->directory, name);
	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static uint64_t memory_max(const struct bench_settings *settings, const struct bench_case *what)
{
	return 16 * MIB + settings->nr_blocks / 8 + (what->logical ? 4 * settings->nr_blocks : 0);
}

static void conclude(const struct bench_settings *settings, const struct command *ours,
		     const struct command *floor, const struct command *peer, uint64_t bytes,
		     struct bench_row *row)
{
	const struct bench_case *what = row->what;

	row->failed = ours->failed || floor->failed || !ours->nr_runs;
	row->seconds = run_median(ours->seconds, ours->nr_runs);
	row->cpu_seconds = run_median(ours->cpu_seconds, ours->nr_runs);
	row->floor = run_median(floor->seconds, floor->nr_runs);
	row->floor_cpu = run_median(floor->cpu_seconds, floor->nr_runs);
	row->peer = peer->failed ? 0 : run_median(peer->seconds, peer->nr_runs);
	row->gigabytes = row->failed ? 0 : (double)bytes / 1e9 / row->seconds;
	row->peak_rss = ours->peak_rss;
	row->peak_rss_max = memory_max(settings, what);
	row->missed = !(what->at_most > 0 && row->seconds <= what->at_most * row->floor) &&
		      !(what->gigabytes > 0 && row->gigabytes >= what->gigabytes);
}

static bool fio_round(const char *path, uint64_t size, struct command *fio)
{
	double seconds = device_fio(path, size);

	fio->seconds[fio->nr_runs++] = seconds;
	return seconds > 0;
}

/* Where loop devices or fio cannot be had, the row tells nothing. */
static void measure_device(const struct bench_settings *settings, struct bench_row *row)
{
	const struct bench_case *what = row->what;
	char file[LINE_MAX_LENGTH], path[DEVICE_PATH_MAX], line[LINE_MAX_LENGTH];
	struct command ours = {.line = line}, floor = {.nr_runs = 0}, peer = {.nr_runs = 0};

	snprintf(file, sizeof(file), "%s/%s", settings->directory, what->device);
	row->skipped = !device_attach(file, path);
	if (row->skipped)
		return;
	snprintf(line, sizeof(line), "%s/%.*s%s", settings->bin, (int)strcspn(what->ours, "&"),
		 what->ours, path);
	for (unsigned i = 0; i < DEVICE_ROUNDS * settings->nr_rounds && !row->skipped; i++) {
		if (i % 2 == 0)
			run_command(&ours);
		row->skipped = !fio_round(path, file_size(settings, what->device), &floor);
		if (i % 2 == 1)
			run_command(&ours);
	}
	device_detach(path);
	conclude(settings, &ours, &floor, &peer, 0, row);
}

/* One behind the other, and the other way round in every second round: the first may find less at hand. */
static void run_in_turns(struct command *ours, struct command *floor, struct command *peer,
			 unsigned nr_rounds)
{
	struct command *turns[] = {ours, floor, peer};

	for (unsigned i = 0; i < 3 * nr_rounds; i++) {
		struct command *next = turns[i / 3 % 2 ? 2 - i % 3 : i % 3];

		if (next != peer || peer->sum < PEER_SECONDS)
			run_command(next);
	}
}

static void measure(const struct bench_settings *settings, struct bench_row *row)
{
	const struct bench_case *what = row->what;
	const char *peer_line = what->peer ? what->peer : what->ours;
	struct lines lines = {.bytes = 0};
	char file[LINE_MAX_LENGTH];
	struct command ours = {.output = what->output}, floor = {.output = what->output},
		       peer = {.output = what->output};
	char *line = fill_in(settings, settings->bin, what->ours, &lines);

	snprintf(file, sizeof(file), "%s/new", settings->directory);
	ours.line = line;
	ours.file = floor.file = peer.file = what->output == TO_FILE ? file : NULL;
	if (what->text)
		lines.bytes = file_size(settings, what->text);
	else if (!run_and_count(&ours, &lines))
		ours.failed = true;
	floor.line = fill_in(settings, settings->tools, what->floor, &lines);
	peer.line = settings->peer && !what->no_peer
			    ? fill_in(settings, settings->peer, peer_line, &lines)
			    : NULL;
	run_in_turns(&ours, &floor, &peer, settings->nr_rounds);
	conclude(settings, &ours, &floor, &peer, lines.bytes, row);
	free(line);
	free((char *)(uintptr_t)floor.line);
	free((char *)(uintptr_t)peer.line);
	unlink(file);
}

/*
 * The inputs: metadata, XML of it, and files for metadata to be written into. How they are made is told
 * to a shell that has $generate, $bin and $n; what they are made from comes before them.
 */
static const struct input {
	const char *name, *from, *how;
} inputs[] = {
	{"xml", "r0", "$bin/era_dump r0 > xml"},
	{"xml8", "u8", "$bin/era_dump --compact u8 > xml8"},
	{"other", "r0", "$bin/era_dump r0 | tr '\"' \"'\" > other"},
	{"out", "r0", "truncate -r r0 out; truncate -s +64M out"},
	{"out8", "u8", "truncate -r u8 out8"},
	{"out64", "r64", "truncate -r r64 out64"},
	{"r0", NULL, "$generate r0 $n 0 random"},
	{"r8", NULL, "$generate r8 $n 8 random"},
	{"r64", NULL, "$generate r64 $n 64 random"},
	{"s64", NULL, "$generate s64 $n 64 random scattered"},
	{"u8", NULL, "$generate u8 $n 8 runs"},
	{"u64", NULL, "$generate u64 $n 64 runs"},
	{"small", NULL, "$generate small 100000 0 random"},
};

#define NR_INPUTS (sizeof(inputs) / sizeof(inputs[0]))

/* Whether a command line has this input for an operand. */
static bool line_takes(const char *line, const char *name)
{
	size_t length = strlen(name);

	for (; line && (line = strstr(line, "@/")); line++)
		if (!strncmp(line + 2, name, length) && strchr(" ", line[2 + length]))
			return true;
	return false;
}

static bool is_needed(const char *part, const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct bench_case *what = &cases[i];

		if ((!part || strstr(what->name, part)) &&
		    (line_takes(what->ours, name) || line_takes(what->floor, name) ||
		     (what->text && !strcmp(what->text, name)) ||
		     (what->device && !strcmp(what->device, name))))
			return true;
	}
	for (size_t i = 0; i < NR_INPUTS; i++)
		if (inputs[i].from && !strcmp(inputs[i].from, name) &&
		    is_needed(part, inputs[i].name))
			return true;
	return false;
}

static bool make_input(const struct bench_settings *settings, const struct input *input)
{
	char script[8 * LINE_MAX_LENGTH];

	snprintf(script, sizeof(script),
		 "set -e; cd '%s'; bin='%s'; generate='%s/generate'; n=%llu; %s",
		 settings->directory, settings->bin, settings->tools,
		 (unsigned long long)settings->nr_blocks, input->how);
	return system(script) == 0;
}

/* From the last one on, since these are made from no other. */
static bool make_inputs(const struct bench_settings *settings, const char *part)
{
	for (size_t i = NR_INPUTS; i-- > 0;)
		if (is_needed(part, inputs[i].name) && !make_input(settings, &inputs[i]))
			return false;
	/* Otherwise the system would write them while commands run, and take a processor for it. */
	sync();
	return true;
}

static bool run_cases(const struct bench_settings *settings, const char *part, FILE *json)
{
	bool good = true, first = true;

	bench_print_head(settings, json);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_row row = {.what = &cases[i]};

		if (part && !strstr(cases[i].name, part))
			continue;
		if (cases[i].device)
			measure_device(settings, &row);
		else
			measure(settings, &row);
		if (row.skipped) {
			fprintf(stderr, "%s: skipped: no loop device, or no fio\n", cases[i].name);
			continue;
		}
		bench_print_row(&row, json, first);
		first = false;
		good &= !row.failed;
	}
	bench_print_end(json);
	return good && !first;
}

/* An absolute path, since the inputs are made from within their directory. */
static const char *absolute(const char *path, char result[PATH_MAX])
{
	if (realpath(path, result))
		return result;
	fprintf(stderr, "%s: there is no such directory\n", path);
	return NULL;
}

int main(int argc, char **argv)
{
	struct bench_settings settings = {.nr_blocks = 10000000, .nr_rounds = 8};
	const char *directory = "build/bench/inputs", *peer = NULL, *json_path = "build/bench.json";
	char paths[4][PATH_MAX];
	FILE *json;
	bool good;
	int c;

	while ((c = getopt(argc, argv, "n:r:d:j:p:")) != -1) {
		if (c == 'n')
			settings.nr_blocks = strtoull(optarg, NULL, 10);
		else if (c == 'r')
			settings.nr_rounds = (unsigned)strtoul(optarg, NULL, 10) % ROUNDS_MAX;
		else if (c == 'd')
			directory = optarg;
		else if (c == 'j')
			json_path = optarg;
		else if (c == 'p')
			peer = optarg;
		else
			return EXIT_FAILURE;
	}
	mkdir(directory, 0777);
	settings.directory = absolute(directory, paths[0]);
	settings.bin = absolute("build/bin", paths[1]);
	settings.tools = absolute("build/bench", paths[2]);
	settings.peer = peer && *peer ? absolute(peer, paths[3]) : NULL;
	json = fopen(json_path, "w");
	if (!settings.directory || !settings.bin || !settings.tools || !json ||
	    !make_inputs(&settings, argv[optind]))
		return EXIT_FAILURE;
	good = run_cases(&settings, argv[optind], json);
	return fclose(json) || !good ? EXIT_FAILURE : EXIT_SUCCESS;
}
