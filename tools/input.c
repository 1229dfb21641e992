/* SPDX-License-Identifier: MIT */
/* The text that a command takes in. */
#include "tools/input.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int input_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct input *input = context;
	ssize_t n;

	do
		n = read(input->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		cli_fail(input->cli, "cannot be read: %s", strerror(errno));
		input->failed = true;
		return PD_ERR_IO;
	}
	*nr = (size_t)n;
	progress_add(&input->progress, *nr);
	return PD_OK;
}

static bool write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		size -= (size_t)n;
	}
	return true;
}

static bool copy_to(struct input *input, int fd)
{
	char buffer[64 * 1024];
	size_t nr;

	while (!input_read(input, buffer, sizeof(buffer), &nr)) {
		if (!nr)
			return true;
		input->size += nr;
		if (!write_all(fd, buffer, nr)) {
			cli_fail(input->cli, "cannot be copied to a temporary file: %s",
				 strerror(errno));
			return false;
		}
	}
	return false;
}

static int open_temporary(void)
{
	const char *directory = getenv("TMPDIR");
	char name[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%s/era-XXXXXX", directory ? directory : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static bool keep_copy(struct input *input)
{
	int fd = open_temporary();
	bool kept;

	if (fd < 0) {
		cli_fail(input->cli, "no temporary file can be made: %s", strerror(errno));
		return false;
	}
	kept = copy_to(input, fd);
	close(input->fd);
	input->fd = fd;
	return kept;
}

static bool open_file(struct input *input, const char *path)
{
	input->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (input->fd < 0 || fstat(input->fd, &input->st)) {
		cli_fail(input->cli, "cannot be opened: %s", strerror(errno));
		return false;
	}
	if (S_ISDIR(input->st.st_mode)) {
		cli_fail(input->cli, "a directory, where a file is meant");
		return false;
	}
	return true;
}

bool input_open(struct input *input, struct cli *cli, const char *path, unsigned passes)
{
	*input = (struct input){.cli = cli,
				.name = strcmp(path, "-") ? path : "standard input",
				.text = {input_read, input}};
	cli->subject = input->name;
	if (!open_file(input, path))
		return false;
	progress_init(&input->progress, cli->quiet);
	cli->progress = &input->progress;
	if (S_ISREG(input->st.st_mode))
		input->size = (uint64_t)input->st.st_size;
	else if (!keep_copy(input))
		return false;
	progress_init(&input->progress, cli->quiet);
	input->progress.total = input->size * passes;
	return true;
}

void input_close(struct input *input)
{
	progress_clear(&input->progress);
	if (input->cli->progress == &input->progress)
		input->cli->progress = NULL;
	if (input->fd >= 0)
		close(input->fd);
}

bool input_rewind(struct input *input)
{
	input->cli->subject = input->name;
	input->cli->progress = &input->progress;
	if (lseek(input->fd, 0, SEEK_SET) == 0)
		return true;
	cli_fail(input->cli, "cannot be read again: %s", strerror(errno));
	input->failed = true;
	return false;
}
