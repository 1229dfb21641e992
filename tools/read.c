/* SPDX-License-Identifier: MIT */
/* Metadata that a command reads as a whole. */
#include "tools/read.h"
#include "era/metadata.h"
#include "era/read.h"

static bool read_device(struct cli_device *device, bool snapshot, struct sink *sink,
			const struct report *report)
{
	struct metadata *metadata = NULL;
	int r = metadata_open(device->io, snapshot, report, &metadata);

	if (r)
		return false;
	device->progress.total = metadata->live.space_map.nr_allocated * METADATA_BLOCK_SIZE;
	r = metadata_read(metadata, sink, report);
	metadata_close(metadata);
	return !r;
}

bool read_metadata(struct cli *cli, const char *path, bool snapshot, struct sink *sink,
		   struct stat *st)
{
	struct cli_device device;
	bool done = cli_device_open(cli, &device, path, snapshot ? CLI_READ_LIVE : CLI_READ) &&
		    read_device(&device, snapshot, sink, &cli->report);

	*st = device.st;
	cli_device_close(cli, &device);
	return done;
}

void read_warn_of_era(const struct cli *cli, uint32_t since, uint32_t current_era)
{
	if (since <= (uint64_t)current_era + 1)
		return;
	report_message(
		&cli->report,
		"era %u has not begun, the current era is %u: nothing is listed, but was that "
		"era noted from these metadata?",
		since, current_era);
}
