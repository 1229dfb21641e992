/* SPDX-License-Identifier: MIT */
/* The file that tells which era a target is as of. */
#include "tools/state_file.h"
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool state_file_read(const struct cli *cli, const char *path, struct apply_state *state,
		     bool *found)
{
	char text[APPLY_STATE_MAX] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	*found = fd >= 0;
	if (fd < 0 && errno == ENOENT)
		return true;
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (n < 0)
		cli_fail(cli, "%s: cannot be read: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	if (apply_state_decode(state, text))
		return true;
	cli_fail(cli, "%s: does not tell which era a target is as of", path);
	return false;
}

bool state_file_write(const struct cli *cli, const char *path, const struct apply_state *state,
		      const struct stat *target)
{
	char text[APPLY_STATE_MAX];
	size_t length = apply_state_encode(state, text);
	struct output output;

	if (!output_open(&output, cli, path, target))
		return false;
	if (output.text.write(output.text.context, text, length)) {
		output_abort(&output);
		return false;
	}
	return output_commit(&output) == EXIT_SUCCESS;
}
