/* SPDX-License-Identifier: MIT */
/* The text that a command puts out. */
#include "tools/output.h"
#include "persistent-data/error.h"
#include "persistent-data/whole_io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as many as Linux follows */

static int output_write(void *context, const char *text, size_t size)
{
	struct output *output = context;

	if (!write_stream(output->fd, text, size))
		return PD_OK;
	output->error = errno;
	return errno == EPIPE ? PD_ERR_CLOSED : PD_ERR_IO;
}

static bool fail(const struct output *output, int error)
{
	/* A reader that has seen enough is nothing to talk about. */
	if (error != EPIPE)
		cli_fail(output->cli, "%s: cannot be written: %s", output->name, strerror(error));
	return false;
}

/* What a new file may be read and written by: as the one it replaces, or as the umask has it. */
static mode_t new_mode(const struct stat *old)
{
	mode_t mask = umask(0);

	umask(mask);
	return old ? old->st_mode & 07777 : 0666 & ~mask;
}

static char *sibling(const char *path, const char *name)
{
	char *copy = strdup(path);
	char *result = NULL;

	if (copy && asprintf(&result, "%s/%s", dirname(copy), name) < 0)
		result = NULL;
	free(copy);
	return result;
}

/* A file without a name where that can be had, so that nothing is left behind by an interruption. */
static int open_nameless(struct output *output)
{
	char *directory = sibling(output->path, ".");
	int fd = directory ? open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;

	free(directory);
	return fd;
}

static int open_temporary(struct output *output)
{
	output->temporary = sibling(output->path, ".era-XXXXXX");
	return output->temporary ? mkostemp(output->temporary, O_CLOEXEC) : -1;
}

/* Where links lead that end at nothing yet: there open(2) would make the file. NULL: errno tells. */
static char *follow(const char *path)
{
	char *result = strdup(path);
	char target[PATH_MAX];
	ssize_t n;

	/* There is no circle, unless somebody is making one right now. */
	for (int i = 0; i < MAX_LINKS && result; i++) {
		char *link = result;

		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			break;
		target[n] = '\0';
		result = target[0] == '/' ? strdup(target) : sibling(link, target);
		free(link);
	}
	return result;
}

static bool open_replacement(struct output *output, const char *path, const struct stat *old)
{
	output->path = old ? realpath(path, NULL) : follow(path);
	if (!output->path)
		return fail(output, errno);
	output->fd = open_nameless(output);
	if (output->fd < 0)
		output->fd = open_temporary(output);
	if (output->fd < 0 || fchmod(output->fd, new_mode(old)))
		return fail(output, errno);
	/* Only root may give it to another; for anybody else it stays his own. */
	if (old && fchown(output->fd, old->st_uid, old->st_gid) && errno != EPERM)
		return fail(output, errno);
	return true;
}

static bool open_path(struct output *output, const char *path, const struct stat *input)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT ? open_replacement(output, path, NULL) : fail(output, errno);
	if (cli_same_file(&st, input)) {
		cli_fail(output->cli, "%s: is the input itself", path);
		return false;
	}
	if (S_ISBLK(st.st_mode)) {
		cli_fail(output->cli, "%s: a block device, where a file is meant", path);
		return false;
	}
	if (S_ISREG(st.st_mode))
		return open_replacement(output, path, &st);
	output->fd = open(path, O_WRONLY | O_CLOEXEC);
	return output->fd >= 0 ? true : fail(output, errno);
}

/* Devices like /dev/null and terminals aside, writing is copying. */
static bool is_slow(const struct output *output)
{
	struct stat st;

	return !fstat(output->fd, &st) && !S_ISCHR(st.st_mode);
}

bool output_open(struct output *output, const struct cli *cli, const char *path,
		 const struct stat *input)
{
	bool to_stdout = !path || !strcmp(path, "-");
	bool opened = true;

	*output = (struct output){.cli = cli,
				  .name = to_stdout ? "standard output" : path,
				  .fd = to_stdout ? STDOUT_FILENO : -1,
				  .text = {output_write, output}};
	if (!to_stdout)
		opened = open_path(output, path, input);
	if (!opened) {
		output_abort(output);
		return false;
	}
	output->text.slow = is_slow(output);
	widen_pipe(output->fd);
	return true;
}

/* Gives a nameless file a name, beside the one it is to replace: a link cannot replace. */
static bool give_name(struct output *output)
{
	char self[64];
	char name[64];

	if (output->temporary)
		return true;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", output->fd);
	snprintf(name, sizeof(name), ".era-%ld", (long)getpid());
	output->temporary = sibling(output->path, name);
	if (!output->temporary)
		return false;
	if (linkat(AT_FDCWD, self, AT_FDCWD, output->temporary, AT_SYMLINK_FOLLOW)) {
		free(output->temporary);
		output->temporary = NULL;
		return false;
	}
	return true;
}

/* The name is to be as safe as what is in the file. Not all file systems can do that, or need to. */
static bool sync_directory(const struct output *output)
{
	char *directory = sibling(output->path, ".");
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool synced = fd < 0 || !fsync(fd) || errno == EINVAL;

	if (fd >= 0)
		close(fd);
	free(directory);
	return synced;
}

static bool appear(struct output *output)
{
	if (fsync(output->fd) || !give_name(output))
		return false;
	if (rename(output->temporary, output->path) || !sync_directory(output))
		return false;
	free(output->temporary);
	output->temporary = NULL;
	return true;
}

int output_commit(struct output *output)
{
	if (output->path && !appear(output)) {
		output->error = errno;
		return output_abort(output);
	}
	free(output->path);
	output->path = NULL;
	if (close(output->fd)) {
		fail(output, errno);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int output_abort(struct output *output)
{
	if (output->error)
		fail(output, output->error);
	if (output->temporary)
		unlink(output->temporary);
	free(output->temporary);
	free(output->path);
	if (output->fd >= 0)
		close(output->fd);
	return EXIT_FAILURE;
}
