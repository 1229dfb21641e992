/* SPDX-License-Identifier: MIT */
/*
 * The era target in userspace: records which data blocks of an origin are written in which era, in
 * metadata that the kernel's target and the other commands read and go on from.
 *
 * The caller does the origin's I/O, and holds each write between two calls:
 *
 *	r = era_map_begin_write(map, offset, length, &write);
 *	if (!r) {
 *		pwrite(origin, buffer, length, offset);
 *		era_map_end_write(map, &write);
 *	}
 *
 * So a write reaches the origin only when all its data blocks are durably marked, and when
 * era_map_checkpoint() returns, no write is on its way any more that is marked in an earlier era only:
 * whoever copies the origin then and asks for the blocks of that era or later the next time misses none.
 *
 * All functions but open, start and close may be called from any number of threads. They return 0 or a
 * code of enum pd_error; errno tells more about PD_ERR_IO.
 */
#ifndef ERA_MAP_H
#define ERA_MAP_H

#include "persistent-data/block_io.h"
#include "persistent-data/report.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct era_map;

/*
 * Opens or formats metadata, makes them fit an origin of so many bytes, and begins an era.
 * data_block_size: sectors. io and report stay the caller's and must outlive the result. No thread is
 * left running: a program may fork then. What is wrong is reported:
 *
 * PD_ERR_USAGE: sizes that cannot be, or other than those of the metadata; PD_ERR_UNSUPPORTED: no era
 * metadata, or no era is left; PD_ERR_CORRUPT: damaged, if only by a leaked block; PD_ERR_NO_SPACE: for
 * this era, or for the next one where they are formatted or grow; PD_ERR_IO; PD_ERR_NO_MEMORY.
 */
int era_map_open(struct block_io *io, uint32_t data_block_size, uint64_t origin_bytes,
		 const struct report *report, struct era_map **result);

/*
 * Begins to digest past eras in the background, in a thread of its own. Without it they pile up.
 * PD_ERR_NO_MEMORY.
 */
int era_map_start(struct era_map *map);

/*
 * Archives the current era's writeset, as the kernel does when a target is suspended, and frees all,
 * even on an error. No write may be on its way. NULL is fine.
 */
int era_map_close(struct era_map *map);

/* Frees all and leaves the metadata as they are, as if the power had gone. */
void era_map_abandon(struct era_map *map);

struct era_map_write {
	unsigned epoch;
};

/*
 * Returns when every data block that the bytes [offset, offset + length) touch, be it only in part, is
 * durably marked in the current era: for whatever changes bytes, a discard as well as a write. On an
 * error the write must not be done, nor ended; the metadata are whole. PD_ERR_NO_SPACE: no metadata
 * block is free; PD_ERR_IO; PD_ERR_NO_MEMORY; PD_ERR_USAGE: past the origin's end.
 */
int era_map_begin_write(struct era_map *map, uint64_t offset, uint64_t length,
			struct era_map_write *write);

/* It has reached the origin, or failed. */
void era_map_end_write(struct era_map *map, const struct era_map_write *write);

/*
 * The messages of the kernel's target. The first two begin an era, and return when all writes that
 * were begun before have ended, so not in a thread that has begun one itself. PD_ERR_USAGE: a snapshot
 * is held already; none is held. PD_ERR_UNSUPPORTED: the current era is the last that there can be.
 */
int era_map_checkpoint(struct era_map *map);
int era_map_take_metadata_snap(struct era_map *map);
int era_map_drop_metadata_snap(struct era_map *map);

struct era_map_status {
	uint64_t used, total; /* metadata blocks */
	/* Writes of the era before may still be on their way: see era_map_checkpoint(). */
	uint32_t era;
	uint64_t metadata_snap; /* metadata block of the held snapshot; 0: none */
	int error;		/* of the last change to the metadata; 0: it succeeded */
	bool failed; /* for good: nothing can be marked any more until it is opened anew */
};

void era_map_status(struct era_map *map, struct era_map_status *status);

#define ERA_MAP_STATUS_MAX 128

/*
 * The line that the kernel's target prints: "8 20/2048 5 -". Where not all is well a word follows,
 * which the kernel does not have: "no_space", "error" or "failed".
 */
void era_map_status_text(const struct era_map_status *status, char text[ERA_MAP_STATUS_MAX]);

/* Waits until all past eras are digested, or cannot be. For tests, and for whoever wants to be tidy. */
void era_map_wait_digested(struct era_map *map);

#ifdef __cplusplus
}
#endif

#endif
