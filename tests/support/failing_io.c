/* SPDX-License-Identifier: MIT */
/* A device of which the Nth operation fails. */
#include "tests/support/failing_io.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

struct failing_io {
	struct block_io io;
	struct block_io *inner;
	struct failure *failure;
};

static int pass(const struct failing_io *failing, enum failing kind)
{
	struct failure *failure = failing->failure;
	long left;

	if (!(failure->kinds & kind))
		return PD_OK;
	left = atomic_fetch_sub(&failure->left, 1);
	if (left > 0 || (left < 0 && !failure->for_good))
		return PD_OK;
	errno = failure->error;
	return PD_ERR_IO;
}

static int failing_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	struct failing_io *failing = (struct failing_io *)io;
	int r = pass(failing, FAIL_READS);

	return r ? r : block_io_read(failing->inner, first, count, buffer);
}

static int failing_write(struct block_io *io, uint64_t first, uint32_t count, const void *buffer)
{
	struct failing_io *failing = (struct failing_io *)io;
	int r = pass(failing, FAIL_WRITES);

	return r ? r : block_io_write(failing->inner, first, count, buffer);
}

static int failing_flush(struct block_io *io)
{
	struct failing_io *failing = (struct failing_io *)io;
	int r = pass(failing, FAIL_FLUSHES);

	return r ? r : block_io_flush(failing->inner);
}

static void failing_close(struct block_io *io)
{
	free(io);
}

struct block_io *failing_io_open(struct block_io *inner, struct failure *failure)
{
	static const struct block_io_ops ops = {failing_read, failing_write, failing_flush,
						failing_close};
	struct failing_io *failing = malloc(sizeof(*failing));

	cr_assert_not_null(failing);
	*failing = (struct failing_io){{&ops, inner->nr_blocks}, inner, failure};
	return &failing->io;
}
