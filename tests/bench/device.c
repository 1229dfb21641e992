/* SPDX-License-Identifier: MIT */
/* A block device for the benchmark. */
#include "tests/bench/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MAX 1200
#define FIO_RATE 6 /* the field of fio's terse output that says how many KiB it read in a second */

/* The first line that a command prints. */
static bool first_line(const char *command, char *line, int size)
{
	FILE *pipe = popen(command, "r");
	bool got = pipe && fgets(line, size, pipe);

	if (got)
		line[strcspn(line, "\n")] = '\0';
	return pipe && pclose(pipe) == 0 && got;
}

bool device_attach(const char *file, char path[DEVICE_PATH_MAX])
{
	char command[COMMAND_MAX];

	snprintf(command, sizeof(command),
		 "losetup --read-only --direct-io=on --find --show '%s' 2>/dev/null", file);
	return first_line(command, path, DEVICE_PATH_MAX);
}

void device_detach(const char *path)
{
	char command[COMMAND_MAX];

	snprintf(command, sizeof(command), "losetup --detach '%s'", path);
	if (system(command))
		fprintf(stderr, "%s: cannot be detached\n", path);
}

double device_fio(const char *path, uint64_t size)
{
	char command[COMMAND_MAX], line[4096];
	char *rest = line, *field = NULL;
	double rate;

	snprintf(command, sizeof(command),
		 "fio --name=read --filename='%s' --readonly --rw=read --bs=1M --direct=1 "
		 "--ioengine=io_uring --iodepth=32 --loops=5 --minimal 2>/dev/null",
		 path);
	if (!first_line(command, line, sizeof(line)))
		return 0;
	for (unsigned i = 0; i <= FIO_RATE; i++)
		field = strsep(&rest, ";");
	rate = field ? strtod(field, NULL) * 1024 : 0;
	return rate > 0 ? (double)size / rate : 0;
}
