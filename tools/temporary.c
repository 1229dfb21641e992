/* SPDX-License-Identifier: MIT */
/* Temporary files. */
#include "tools/temporary.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(struct temporary *temporary)
{
	temporary->error = errno;
	return PD_ERR_IO;
}

static int temporary_write(void *context, const char *text, size_t size)
{
	struct temporary *temporary = context;

	if (size > temporary->room) {
		errno = EFBIG;
		return fail(temporary);
	}
	temporary->room -= size;
	return write_stream(temporary->fd, text, size) ? fail(temporary) : PD_OK;
}

static int temporary_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct temporary *temporary = context;

	return read_stream(temporary->fd, buffer, size, nr) ? fail(temporary) : PD_OK;
}

bool temporary_open(struct temporary *temporary, uint64_t max)
{
	const char *directory = getenv("TMPDIR");
	char name[PATH_MAX];

	*temporary = (struct temporary){.room = max,
					.output = {temporary_write, temporary, true},
					.input = {temporary_read, temporary}};
	snprintf(name, sizeof(name), "%s/era-XXXXXX", directory ? directory : "/tmp");
	temporary->fd = mkostemp(name, O_CLOEXEC);
	if (temporary->fd >= 0)
		unlink(name);
	else
		fail(temporary);
	return temporary->fd >= 0;
}

void temporary_close(struct temporary *temporary)
{
	if (temporary->fd >= 0)
		close(temporary->fd);
	temporary->fd = -1;
}

bool temporary_rewind(struct temporary *temporary)
{
	return lseek(temporary->fd, 0, SEEK_SET) == 0 || !fail(temporary);
}
