/* SPDX-License-Identifier: MIT */
/* The text that a command takes in. */
#include "tools/input.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"
#include "tools/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int input_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct input *input = context;

	if (read_stream(input->fd, buffer, size, nr)) {
		cli_fail(input->cli, "cannot be read: %s", strerror(errno));
		input->failed = true;
		return PD_ERR_IO;
	}
	progress_add(&input->progress, *nr);
	return PD_OK;
}

static bool copy_all(struct input *input, struct temporary *copy)
{
	char buffer[64 * 1024];
	size_t nr;

	while (!input_read(input, buffer, sizeof(buffer), &nr)) {
		if (!nr)
			return true;
		input->size += nr;
		if (copy->output.write(copy, buffer, nr)) {
			cli_fail(input->cli, "cannot be copied to a temporary file: %s",
				 strerror(copy->error));
			return false;
		}
	}
	return false;
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

bool input_open(struct input *input, struct cli *cli, const char *path)
{
	*input = (struct input){.cli = cli,
				.name = strcmp(path, "-") ? path : "standard input",
				.text = {input_read, input}};
	cli->subject = input->name;
	if (!open_file(input, path))
		return false;
	widen_pipe(input->fd);
	progress_init(&input->progress, cli->quiet);
	cli->progress = &input->progress;
	input->can_rewind = S_ISREG(input->st.st_mode);
	if (input->can_rewind)
		input->progress.total = input->size = (uint64_t)input->st.st_size;
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

void input_begin(struct input *input)
{
	input->cli->subject = input->name;
	input->cli->progress = &input->progress;
}

bool input_keep(struct input *input)
{
	struct temporary copy;

	if (input->can_rewind)
		return true;
	if (!temporary_open(&copy, UINT64_MAX)) {
		cli_fail(input->cli, "no temporary file can be made: %s", strerror(copy.error));
		return false;
	}
	input->can_rewind = copy_all(input, &copy);
	close(input->fd);
	input->fd = copy.fd;
	return input->can_rewind && input_rewind(input);
}

bool input_rewind(struct input *input)
{
	input_begin(input);
	progress_init(&input->progress, input->cli->quiet);
	input->progress.total = input->size;
	if (lseek(input->fd, 0, SEEK_SET) == 0)
		return true;
	cli_fail(input->cli, "cannot be read again: %s", strerror(errno));
	input->failed = true;
	return false;
}
