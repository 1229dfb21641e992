/* SPDX-License-Identifier: MIT */
/*
 * libera: which blocks of a device changed since an era, from the metadata of the Linux device-mapper
 * era target. This is what a backup program needs:
 *
 *	struct era *era;
 *	uint32_t begin, end = 0;
 *	int fd = open("/dev/vg/meta", O_RDONLY | O_CLOEXEC);
 *
 *	if (era_open(fd, ERA_METADATA_SNAPSHOT, NULL, &era) == PD_OK &&
 *	    era_changed_since(era, 42) == PD_OK)
 *		while (era_next_changed(era, &begin, &end))
 *			copy(begin, end);
 *	era_close(era);
 *
 * Units: a sector is 512 bytes; data blocks are the tracked device's, of data_block_size sectors each;
 * metadata blocks are the metadata device's, of 4096 bytes each.
 *
 * Errors: functions return 0 or a code of enum pd_error (persistent-data/error.h, pd_error_text()).
 * What exactly is wrong (which block, which structure, which data blocks are affected) is told
 * through the report that was handed to era_open(), one fact a call.
 *
 * Nothing here is guessed: where the metadata cannot be trusted the call fails, and no set of blocks
 * is to be had. An object may be used by one thread at a time; separate objects do not share anything.
 */
#ifndef ERA_ERA_H
#define ERA_ERA_H

#include <persistent-data/error.h>
#include <persistent-data/report.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct era;

enum era_source {
	/*
	 * The metadata as it stands. The target must not be active: to be sure of that, open a block
	 * device with O_EXCL, and lock a file, which era_map may serve (flock(2), LOCK_SH | LOCK_NB).
	 */
	ERA_OFFLINE,
	/*
	 * The metadata snapshot that is held (dmsetup message DEVICE 0 take_metadata_snap), which
	 * does not change while the target goes on. It knows all that was written before it was taken.
	 */
	ERA_METADATA_SNAPSHOT,
};

/*
 * Opens metadata for reading. fd: a regular file or a block device, readable; it stays the caller's
 * and must stay open. On a block device O_DIRECT is switched on for the open file: a live target
 * writes behind the page cache. report: may be NULL; it must outlive the result.
 *
 * PD_ERR_UNSUPPORTED: no era metadata, but something else; PD_ERR_CORRUPT: the superblock is damaged;
 * PD_ERR_USAGE: no metadata snapshot is held; PD_ERR_IO; PD_ERR_NO_MEMORY.
 */
int era_open(int fd, enum era_source source, const struct report *report, struct era **result);

/* Frees all that belongs to it. NULL is fine. */
void era_close(struct era *era);

struct era_numbers {
	uint32_t data_block_size; /* sectors */
	uint32_t nr_blocks;	/* data blocks; the last one may be cut short by the device's end */
	uint32_t current_era;	/* of a snapshot: the era that began with it */
	uint64_t metadata_snap; /* metadata block of the snapshot that is held; 0: none */
	uint64_t nr_metadata_blocks;	  /* that the space map covers, ... */
	uint64_t nr_metadata_blocks_used; /* ... and those of them in use */
};

void era_numbers(const struct era *era, struct era_numbers *numbers);

/*
 * Finds the data blocks that were written in era `since` or later; what was found before is gone. It
 * reads all writesets and the era array, and takes one bit of memory for each data block. Every block
 * counts as written in era 0 or later.
 *
 * To copy what changed since the last copy, pass the current_era of the snapshot it was made from.
 *
 * PD_ERR_CORRUPT, PD_ERR_IO; PD_ERR_BUSY: the snapshot was dropped meanwhile; PD_ERR_NO_MEMORY.
 */
int era_changed_since(struct era *era, uint32_t since);

/*
 * The next maximal run of these blocks at or after *end, in ascending order: [*begin, *end). false:
 * there is none, nor is there before era_changed_since() has succeeded. Begin with *end = 0.
 */
bool era_next_changed(const struct era *era, uint32_t *begin, uint32_t *end);

#ifdef __cplusplus
}
#endif

#endif
