/* SPDX-License-Identifier: MIT */
/*
 * Checks every rule of the format, and every reference count, while all that is sound goes to a sink.
 *
 * Whoever only reads checks no less: a block that the space map has as free, or one in use that
 * nothing refers to, can mean that a pointer has gone astray and that what is read is not the latest.
 */
#ifndef ERA_CHECK_H
#define ERA_CHECK_H

#include "era/finding.h"
#include "era/metadata.h"

struct check_visitor {
	struct sink *sink; /* gets begin() and all that is sound, but no end(); NULL: nobody does */
	void *context;
	/* Is told of each damage; 0: go on, anything else ends the check, which returns it. */
	int (*finding)(void *context, const struct finding *finding);
};

/*
 * Tells of all damage. Of live metadata, whose snapshot was opened, only the snapshot can be checked:
 * the rest changes meanwhile. 0 says that the check was done, whatever it found; else what the sink
 * or visitor returned, PD_ERR_NO_MEMORY, or PD_ERR_BUSY if the snapshot was dropped meanwhile, which
 * is reported.
 */
int metadata_check(struct metadata *metadata, const struct check_visitor *visitor,
		   const struct report *report);

/* The superblock's own fields alone. Opening it has checked most of them. */
int superblock_check(const struct metadata *metadata, const struct check_visitor *visitor);

#endif
