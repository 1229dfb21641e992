/* SPDX-License-Identifier: MIT */
/* Data that a command reads or writes. */
#include "tools/data.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool open_io(struct data *data, struct cli *cli)
{
	int r = data_io_open_fd(data->fd, &data->io);

	if (r)
		cli_fail(cli, "cannot be used: %s",
			 r == PD_ERR_IO ? strerror(errno) : pd_error_text(r));
	return !r;
}

bool data_open(struct data *data, struct cli *cli, const char *path, enum cli_access access)
{
	*data = (struct data){.fd = -1};
	return cli_open(cli, path, access, &data->st, &data->fd) && open_io(data, cli);
}

bool data_resize(struct data *data, struct cli *cli, uint64_t size)
{
	if (ftruncate(data->fd, (off_t)size)) {
		cli_fail(cli, "cannot be made %llu bytes long: %s", (unsigned long long)size,
			 strerror(errno));
		return false;
	}
	data_io_close(data->io);
	data->io = NULL;
	return open_io(data, cli);
}

void data_close(struct data *data)
{
	data_io_close(data->io);
	if (data->fd >= 0)
		close(data->fd);
}

void data_progress(void *context, uint64_t bytes)
{
	progress_add(context, bytes);
}
