/* SPDX-License-Identifier: MIT */
/*
 * Plays a scenario as `run` does (see README.md), but on the runtime in era/map.c rather than on the
 * kernel's target:
 *
 *	play [-m META.img] SCENARIO OUT
 *
 * leaves meta.img, truth.txt and status.txt in OUT. Exit status: 0 done as the scenario says, 1 not,
 * 77 the runtime cannot do what it says.
 */
#include "era/map.h"
#include "persistent-data/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_SIZE 512

static struct {
	const char *start, *out;
	const char *line;
	FILE *truth, *status;
	int fd;
	struct block_io *io;
	struct era_map *map; /* NULL: suspended, or not created */
	uint64_t sectors;
	uint32_t block_sectors;
} player = {.fd = -1};

__attribute__((noreturn, format(printf, 2, 3))) static void stop(int status, const char *format,
								 ...)
{
	va_list args;

	fprintf(stderr, "%s: %s: ", player.out, player.line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static void must(int r)
{
	if (r)
		stop(1, "%s", pd_error_text(r));
}

static FILE *create(const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", player.out, name);
	file = fopen(path, "w");
	if (!file)
		stop(1, "%s cannot be made", path);
	return file;
}

static void open_image(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/meta.img", player.out);
	player.fd = open(path, O_RDWR | O_CREAT | (player.start ? 0 : O_TRUNC), 0666);
	if (player.fd < 0)
		stop(1, "%s cannot be opened", path);
}

static void make_image(uint64_t bytes)
{
	if (player.start)
		return;
	if (ftruncate(player.fd, (off_t)bytes))
		stop(1, "no image");
}

static void tell(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s: %s\n", player.out, text);
}

static const struct report report = {tell, NULL};

static void resume(void)
{
	must(block_io_open_fd(player.fd, &player.io));
	must(era_map_open(player.io, player.block_sectors, player.sectors * SECTOR_SIZE, &report,
			  &player.map));
	must(era_map_start(player.map));
}

static void leave(bool in_order)
{
	if (player.map && in_order)
		must(era_map_close(player.map));
	else if (player.map)
		era_map_abandon(player.map);
	block_io_close(player.io);
	player.map = NULL;
	player.io = NULL;
}

static uint64_t value(const char *name)
{
	const char *at = strstr(player.line, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void create_target(void)
{
	if (!value(" nr_blocks="))
		stop(77, "formatting without resuming is the kernel's alone");
	player.sectors = value(" sectors=");
	player.block_sectors = (uint32_t)value(" block_sectors=");
	resume();
}

static void note_status(const char *label)
{
	struct era_map_status status;
	char text[ERA_MAP_STATUS_MAX];

	era_map_status(player.map, &status);
	era_map_status_text(&status, text);
	fprintf(player.status, "%s: 0 %" PRIu64 " era %s\n", label, player.sectors, text);
	if (status.error || status.failed)
		stop(1, "%s", text);
}

static void expect_era(uint32_t era)
{
	struct era_map_status status;

	era_map_status(player.map, &status);
	if (status.era != era)
		stop(1, "it is in era %u", status.era);
}

static void era_line(uint32_t era, const char *how)
{
	if (!strcmp(how, "suspended")) {
		leave(true);
		return;
	}
	if (!strncmp(how, "checkpoint", 10))
		must(era_map_checkpoint(player.map));
	else if (!strcmp(how, "resumed"))
		resume();
	expect_era(era);
	note_status(how);
}

static void note_line(const char *what)
{
	if (!strcmp(what, "create"))
		create_target();
	else if (!strcmp(what, "resized"))
		player.sectors = value("to ") * player.block_sectors;
	else if (!strcmp(what, "remove"))
		leave(true);
	else if (!strcmp(what, "idle"))
		era_map_wait_digested(player.map);
	else if (!strcmp(what, "sleep"))
		usleep((useconds_t)value("sleep ") * 1000);
	else if (!strcmp(what, "take_metadata_snap"))
		must(era_map_take_metadata_snap(player.map));
	else if (!strcmp(what, "drop_metadata_snap"))
		must(era_map_drop_metadata_snap(player.map));
	else if (!strcmp(what, "refused"))
		stop(77, "the runtime makes room where the kernel's target is full");
	else if (!strncmp(what, "metadata_bytes=", 15))
		make_image(value("metadata_bytes="));
}

static void write_blocks(uint64_t begin, uint64_t end)
{
	uint64_t bytes = (uint64_t)player.block_sectors * SECTOR_SIZE;
	uint64_t offset = begin * bytes, size = player.sectors * SECTOR_SIZE;
	uint64_t stop_at = end * bytes < size ? end * bytes : size;
	struct era_map_write write;

	must(era_map_begin_write(player.map, offset, stop_at - offset, &write));
	era_map_end_write(player.map, &write);
}

static void snapshot_line(uint32_t era)
{
	struct era_map_status status;

	must(era_map_take_metadata_snap(player.map));
	expect_era(era);
	era_map_status(player.map, &status);
	fprintf(player.truth, "SNAP %u %" PRIu64 "\n", era, status.metadata_snap);
}

/* false: it was the last line. */
static bool do_line(char *line)
{
	char word[32] = "", how[64] = "";
	uint64_t first = 0, second = 0, third = 0;
	bool last;

	line[strcspn(line, "\n")] = '\0';
	player.line = line;
	sscanf(line, "%31s %63s", word, how);
	sscanf(line, "%*s %" SCNu64 " %" SCNu64 " %" SCNu64, &first, &second, &third);
	last = !strcmp(word, "CLEAN") || !strcmp(word, "CRASH") || !strcmp(word, "LIVE") ||
	       !strcmp(word, "COPY");
	if (last)
		leave(!strcmp(word, "CLEAN"));
	else if (!strcmp(word, "N"))
		note_line(how);
	else if (!strcmp(word, "W"))
		write_blocks(second, second + 1);
	else if (!strcmp(word, "R"))
		write_blocks(second, third);
	else if (!strcmp(word, "E") && sscanf(line, "E %*u %63s", how) == 1)
		era_line((uint32_t)first, how);
	else if (!strcmp(word, "SNAP"))
		snapshot_line((uint32_t)first);
	else if (*word)
		stop(1, "unknown line");
	if (strcmp(word, "SNAP") != 0)
		fprintf(player.truth, "%s\n", line);
	return !last;
}

static void copy_start(void)
{
	char command[10000];

	if (!player.start)
		return;
	snprintf(command, sizeof(command), "cp --sparse=always '%s' '%s/meta.img'", player.start,
		 player.out);
	if (system(command))
		stop(1, "the image cannot be copied");
}

int main(int argc, char **argv)
{
	char line[256];
	FILE *scenario;

	if (argc == 5 && !strcmp(argv[1], "-m"))
		player.start = argv[2];
	else if (argc != 3)
		return 1;
	player.out = argv[argc - 1];
	player.line = "begin";
	scenario = fopen(argv[argc - 2], "r");
	if (!scenario)
		stop(1, "no scenario");
	copy_start();
	open_image();
	player.truth = create("truth.txt");
	player.status = create("status.txt");
	while (fgets(line, sizeof(line), scenario))
		if (!do_line(line))
			return fclose(player.truth) || fclose(player.status);
	stop(1, "the scenario ends without CLEAN, CRASH, LIVE or COPY");
}
