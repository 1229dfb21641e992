/* SPDX-License-Identifier: MIT */
/* What the commands that write fresh metadata say about it. */
#include "tools/fresh.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <string.h>

bool fresh_measured(const struct cli *cli, int r)
{
	if (r == PD_ERR_NO_SPACE)
		cli_fail(cli, "more metadata blocks are needed than the format allows (%u)",
			 METADATA_MAX_BLOCKS);
	return !r;
}

bool fresh_fits(const struct cli *cli, const struct measure *measure, const struct block_io *io)
{
	uint64_t needed = measure_device(measure);

	if (needed > METADATA_MAX_BLOCKS)
		cli_fail(cli, "%llu metadata blocks are needed, more than the format allows (%u)",
			 (unsigned long long)needed, METADATA_MAX_BLOCKS);
	else if (measure_total(measure, io->nr_blocks) > io->nr_blocks)
		cli_fail(cli, "too small: %llu metadata blocks are needed, it has %llu",
			 (unsigned long long)needed, (unsigned long long)io->nr_blocks);
	else
		return true;
	return false;
}

bool fresh_written(const struct cli *cli, int r)
{
	if (r == PD_ERR_IO)
		cli_fail(cli, "cannot be written: %s", strerror(errno));
	else if (r == PD_ERR_NO_SPACE)
		cli_fail(cli, "too small: the input has grown since it was measured");
	return !r;
}
