/* SPDX-License-Identifier: MIT */
/*
 * The nbdkit plugin: serves an origin, and records in era metadata what is written to it.
 *
 * The way of a write, from the client to the superblock:
 *
 *	era_pwrite()                      nbdkit calls it, in as many threads as there are requests
 *	  era_map_begin_write()           era/map.c: returns at once if its blocks are marked
 *	    mark(), lead()                one of the writers who wait marks for all of them
 *	      live_change()               era/live.c: as one commit, in spite of little room
 *	        live_mark()               the blocks' bits in the current writeset
 *	          bitset_edit_set()       persistent-data/: found by array_edit.c, btree_edit.c
 *	            transaction_shadow()  what changes is a copy, of the nodes above too
 *	        live_commit()
 *	          transaction_commit()    copies and space map, flush, superblock, flush
 *	      epochs_set_marked()         whoever writes there from now on returns at once
 *	  origin_write()                  only now
 *	  era_map_end_write()             a checkpoint that waits for it may return
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "era/map.h"
#include "nbdkit/control.h"
#include "nbdkit/exclusive.h"
#include "nbdkit/hang_up.h"
#include "nbdkit/origin.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define SECTOR_SIZE 512
#define SPARE_DESCRIPTORS 8

/* nbdkit has one plugin a process, and hands nothing of ours to the functions below. */
static struct {
	char *metadata_path, *origin_path, *control_path;
	unsigned block_size; /* sectors */
	struct exclusive metadata;
	struct block_io *metadata_io;
	struct origin origin;
	struct era_map *map;
	struct control control;
} server = {
	.metadata = {.fd = -1},
	.origin = {.file = {.fd = -1}},
	.control = {.listener = -1, .stop = {-1, -1}},
};

/* Options. */

static int take_path(char **path, const char *value)
{
	free(*path);
	*path = nbdkit_absolute_path(value);
	return *path ? 0 : -1;
}

static int era_config(const char *key, const char *value)
{
	if (!strcmp(key, "metadata"))
		return take_path(&server.metadata_path, value);
	if (!strcmp(key, "origin"))
		return take_path(&server.origin_path, value);
	if (!strcmp(key, "control"))
		return take_path(&server.control_path, value);
	if (!strcmp(key, "block-size"))
		return nbdkit_parse_unsigned("block-size", value, &server.block_size);
	nbdkit_error("unknown parameter '%s'", key);
	return -1;
}

static int era_config_complete(void)
{
	if (server.metadata_path && server.origin_path && server.block_size)
		return 0;
	nbdkit_error("metadata=, origin= and block-size= must be given");
	return -1;
}

#define CONFIG_HELP                                                      \
	"metadata=PATH    (required) file or device with the metadata\n" \
	"origin=PATH      (required) file or device to serve\n"          \
	"block-size=N     (required) size of a data block, in sectors\n" \
	"control=SOCKET   where era_map message, status and snapshot ask"

/* Opening and closing. */

static void tell(void *context, const char *text)
{
	(void)context;
	nbdkit_error("%s: %s", server.metadata_path, text);
}

static const struct report report = {tell, NULL};

static int open_origin(void)
{
	int r = origin_open(&server.origin, server.origin_path);

	if (!r)
		return 0;
	nbdkit_error("%s: cannot be served: %s", server.origin_path,
		     r == EBUSY ? "in use" : strerror(r));
	return -1;
}

static int open_metadata(void)
{
	int r = exclusive_open(server.metadata_path, &server.metadata);

	if (r) {
		nbdkit_error("%s: %s", server.metadata_path,
			     r == EBUSY ? "in use, perhaps by another server" : strerror(r));
		return -1;
	}
	if (block_io_open_fd(server.metadata.fd, &server.metadata_io)) {
		nbdkit_error("%s: cannot be used as a metadata device", server.metadata_path);
		return -1;
	}
	return era_map_open(server.metadata_io, server.block_size, server.origin.size, &report,
			    &server.map)
		       ? -1
		       : 0;
}

static int open_control(void)
{
	int r = server.control_path ? control_open(&server.control, server.control_path) : 0;

	if (!r)
		return 0;
	nbdkit_error("%s: no socket can be made: %s", server.control_path, strerror(r));
	return -1;
}

static int era_get_ready(void)
{
	return open_origin() || open_metadata() || open_control() ? -1 : 0;
}

/* Threads do not outlive the fork into the background. */
static int era_after_fork(void)
{
	int r = hang_up_start();

	if (r) {
		nbdkit_error("signals cannot be watched for: %s", strerror(r));
		return -1;
	}
	if (era_map_start(server.map) ||
	    (server.control_path &&
	     control_start(&server.control, server.map, server.origin.size / SECTOR_SIZE))) {
		nbdkit_error("no thread can be started");
		return -1;
	}
	return 0;
}

static void era_cleanup(void)
{
	int r;

	hang_up_stop();
	control_close(&server.control);
	r = era_map_close(server.map);
	server.map = NULL;
	if (r)
		nbdkit_error(
			"%s: the last era could not be archived, and stays the current one: %s",
			server.metadata_path, pd_error_text(r));
}

static void era_unload(void)
{
	era_cleanup();
	block_io_close(server.metadata_io);
	exclusive_close(&server.metadata);
	origin_close(&server.origin);
	free(server.metadata_path);
	free(server.origin_path);
	free(server.control_path);
}

/* Connections: all share the one device. */

/*
 * nbdkit without a file descriptor for another connection tries again and again, with a message each
 * time, and nobody could ask on the control socket either. So some are left.
 */
static int era_preconnect(int readonly)
{
	int spare[SPARE_DESCRIPTORS], nr = 0;

	(void)readonly;
	while (nr < SPARE_DESCRIPTORS && (spare[nr] = dup(server.origin.file.fd)) >= 0)
		nr++;
	for (int i = 0; i < nr; i++)
		close(spare[i]);
	if (nr == SPARE_DESCRIPTORS)
		return 0;
	nbdkit_error("too many connections for the number of files that may be open");
	return -1;
}

static void *era_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t era_get_size(void *handle)
{
	(void)handle;
	return (int64_t)server.origin.size;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int era_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static int era_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_EMULATE;
}

static int era_can_extents(void *handle)
{
	(void)handle;
	return server.origin.has_extents;
}

/* Requests. */

/* To nbdkit EOPNOTSUPP means something: era_zero() says that, and no broken disk may. */
static int fail(int error, const char *what)
{
	nbdkit_error("%s: %s: %s", server.origin_path, what, strerror(error));
	nbdkit_set_error(error == EOPNOTSUPP ? EIO : error);
	return -1;
}

static int era_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	int r = origin_read(&server.origin, buffer, count, offset);

	(void)handle;
	(void)flags;
	return r ? fail(r, "read") : 0;
}

/* io_error: the errno behind PD_ERR_IO. A file system that is full is no broken disk. */
static int to_errno(int r, int io_error)
{
	switch (r) {
	case PD_ERR_IO:
		return io_error == ENOSPC ? ENOSPC : EIO;
	case PD_ERR_NO_SPACE:
		return ENOSPC;
	case PD_ERR_NO_MEMORY:
		return ENOMEM;
	case PD_ERR_USAGE:
		return EINVAL;
	default:
		return EIO;
	}
}

static int begin_write(uint32_t count, uint64_t offset, struct era_map_write *write)
{
	int r = era_map_begin_write(server.map, offset, count, write);
	int error = to_errno(r, errno);

	if (!r)
		return 0;
	nbdkit_error("%s: bytes %llu-%llu cannot be marked as written: %s", server.metadata_path,
		     (unsigned long long)offset, (unsigned long long)offset + count - 1,
		     r == PD_ERR_IO ? strerror(errno) : pd_error_text(r));
	nbdkit_set_error(error);
	return -1;
}

/* Of a write, zero or trim that came to r, an errno value. Returns that, or what its flush came to. */
static int end_write(const struct era_map_write *write, int r, uint32_t flags)
{
	if (!r && flags & NBDKIT_FLAG_FUA)
		r = origin_flush(&server.origin);
	era_map_end_write(server.map, write);
	return r;
}

static int era_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	struct era_map_write write;
	int r;

	(void)handle;
	if (begin_write(count, offset, &write))
		return -1;
	r = end_write(&write, origin_write(&server.origin, buffer, count, offset), flags);
	return r ? fail(r, "write") : 0;
}

static int era_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct era_map_write write;
	int r;

	(void)handle;
	if (begin_write(count, offset, &write))
		return -1;
	r = origin_zero(&server.origin, count, offset, flags & NBDKIT_FLAG_MAY_TRIM,
			flags & NBDKIT_FLAG_FAST_ZERO);
	if (r == EOPNOTSUPP) {
		/* nbdkit writes zeroes instead, or tells a client who wants to know. */
		era_map_end_write(server.map, &write);
		nbdkit_set_error(r);
		return -1;
	}
	r = end_write(&write, r, flags);
	return r ? fail(r, "zero") : 0;
}

static int era_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct era_map_write write;
	int r;

	(void)handle;
	if (begin_write(count, offset, &write))
		return -1;
	r = end_write(&write, origin_trim(&server.origin, count, offset), flags);
	return r ? fail(r, "trim") : 0;
}

static int era_flush(void *handle, uint32_t flags)
{
	int r = origin_flush(&server.origin);

	(void)handle;
	(void)flags;
	return r ? fail(r, "flush") : 0;
}

static int era_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
		       struct nbdkit_extents *extents)
{
	uint64_t end = offset + count, next;

	(void)handle;
	for (; offset < end; offset = next) {
		bool hole;
		int r = origin_extent(&server.origin, offset, &hole, &next);

		if (r)
			return fail(r, "extents");
		if (next <= offset)
			return 0;
		if (nbdkit_add_extent(extents, offset, next - offset,
				      hole ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0))
			return -1;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			return 0;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "era",
	.longname = "nbdkit era plugin",
	.description = "records which blocks of a device are written in which era",
	.config = era_config,
	.config_complete = era_config_complete,
	.config_help = CONFIG_HELP,
	.get_ready = era_get_ready,
	.after_fork = era_after_fork,
	.cleanup = era_cleanup,
	.unload = era_unload,
	.preconnect = era_preconnect,
	.open = era_open,
	.get_size = era_get_size,
	.can_write = yes,
	.can_flush = yes,
	.can_trim = yes,
	.can_zero = yes,
	.can_fast_zero = yes,
	.can_fua = era_can_fua,
	.can_cache = era_can_cache,
	.can_multi_conn = yes, /* a flush of one connection is one of the whole origin */
	.can_extents = era_can_extents,
	.pread = era_pread,
	.pwrite = era_pwrite,
	.zero = era_zero,
	.trim = era_trim,
	.flush = era_flush,
	.extents = era_extents,
};

NBDKIT_REGISTER_PLUGIN(plugin)
