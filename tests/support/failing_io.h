/* SPDX-License-Identifier: MIT */
/*
 * A device of which the Nth operation fails, or that one and all that follow: for loops that let
 * every one fail in turn, until a run passes untouched.
 */
#ifndef TESTS_SUPPORT_FAILING_IO_H
#define TESTS_SUPPORT_FAILING_IO_H

#include "persistent-data/block_io.h"

#include <stdatomic.h>
#include <stdbool.h>

enum failing { FAIL_READS = 1, FAIL_WRITES = 2, FAIL_FLUSHES = 4 };

struct failure {
	unsigned kinds;	  /* of operation that count: a set of enum failing */
	atomic_long left; /* so many of these pass before one fails */
	bool for_good;	  /* those behind it fail as well */
	int error;	  /* errno to leave behind */
};

/* Whether it has come to a failure. */
static inline bool failure_happened(struct failure *failure)
{
	return atomic_load(&failure->left) < 0;
}

/*
 * inner stays the caller's, and failure too, which several devices may share; both must outlive the
 * result. A write that fails has written nothing.
 */
struct block_io *failing_io_open(struct block_io *inner, struct failure *failure);

#endif
