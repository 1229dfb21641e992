/* SPDX-License-Identifier: MIT */
/*
 * The shapes in which a set of changed blocks is printed. Each returns what the output returned, or
 * PD_ERR_NO_MEMORY.
 */
#ifndef ERA_FORMATS_H
#define ERA_FORMATS_H

#include "era/cache_blocks.h"
#include "era/extents.h"
#include "era/text.h"

/* XML as thin-provisioning-tools prints it. */
int format_xml(const struct changed *changed, const struct text_output *output);

/*
 * A line with offset and length, in bytes, for each extent. This is also the list that nbdkit's
 * extentlist filter takes: what is in no line is a hole to it.
 */
int format_ranges(const struct extents *extents, const struct text_output *output);

/* An object as era/changed.schema.json has it; snapshot: the metadata snapshot was read. */
int format_json(const struct extents *extents, bool snapshot, const struct text_output *output);

#define FORMAT_DMSETUP_LINE (64 * 1024) /* bytes of a line at most, its newline included */
#define FORMAT_DMSETUP_NAME 127 /* and of a device's name (DM_NAME_LEN in linux/dm-ioctl.h) */

/* Whether a device can have that name, and it can stand between single quotes. */
bool format_dmsetup_takes(const char *name);

/*
 * Shell commands that make the cache `name` forget these blocks of it. The message takes decimal
 * numbers and half-open ranges (Linux's Documentation/admin-guide/device-mapper/cache.rst).
 */
int format_dmsetup(const struct cache_blocks *blocks, const char *name,
		   const struct text_output *output);

#endif
