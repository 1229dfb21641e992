/* SPDX-License-Identifier: MIT */
/* Opens metadata: reads the superblock in use, and sees at the end that it still is. */
#include "era/metadata.h"
#include "era/finding.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIVE_TRIES 20 /* a live superblock may be caught in mid-write */
#define LIVE_PAUSE_NS 5000000

/* Nothing that metadata points to can lie behind these, however large the device is. */
static uint64_t usable_blocks(const struct block_io *io)
{
	return io->nr_blocks < METADATA_MAX_BLOCKS ? io->nr_blocks : METADATA_MAX_BLOCKS;
}

static int read_superblock(struct block_io *io, uint64_t number, bool snapshot,
			   struct superblock *superblock, uint8_t *block, struct damage *damage)
{
	*damage = (struct damage){.block = number, .error = PD_ERR_IO};
	if (block_io_read(io, number, 1, block)) {
		damage->what = strerror(errno);
		return PD_ERR_IO;
	}
	if (superblock_decode(block, number, usable_blocks(io), snapshot, superblock, damage))
		return PD_OK;
	return damage->error;
}

static uint8_t *one_block(void)
{
	return aligned_alloc(METADATA_BLOCK_SIZE, METADATA_BLOCK_SIZE);
}

int metadata_read_snapshot(struct block_io *io, const struct superblock *live,
			   struct superblock *snapshot, struct damage *damage)
{
	uint8_t *block = one_block();
	int r;

	*damage = (struct damage){.block = live->metadata_snap, .error = PD_ERR_CORRUPT};
	if (!block)
		return PD_ERR_NO_MEMORY;
	r = read_superblock(io, live->metadata_snap, true, snapshot, block, damage);
	free(block);
	if (r)
		return r;
	if (snapshot->info.current_era > live->info.current_era)
		damage_is_number(damage, "current era is past that of the live superblock",
				 snapshot->info.current_era, live->info.current_era);
	else if (snapshot->info.data_block_size != live->info.data_block_size)
		damage_is_number(damage, "data block size is not that of the live superblock",
				 snapshot->info.data_block_size, live->info.data_block_size);
	return damage->what ? PD_ERR_CORRUPT : PD_OK;
}

/* Of a live device, again and again until it is sound, for a while. */
static int read_live(struct metadata *metadata, uint8_t *block, struct superblock *live,
		     struct damage *damage)
{
	const struct timespec pause = {0, LIVE_PAUSE_NS};
	unsigned tries = metadata->snapshot ? LIVE_TRIES : 1;
	int r;

	for (;;) {
		r = read_superblock(metadata->io, SUPERBLOCK_BLOCK, false, live, block, damage);
		if (r != PD_ERR_CORRUPT || --tries == 0 || superblock_mistaken(block))
			return r;
		nanosleep(&pause, NULL);
	}
}

static int report_damage(const struct report *report, const struct damage *damage)
{
	struct finding finding = finding_make(STRUCTURE_SUPERBLOCK, damage, AFFECTS_NOTHING);
	char text[FINDING_TEXT_MAX];

	finding_text(&finding, text);
	return report_error(report, damage->error, "%s", text);
}

static int open_live(struct metadata *metadata, const struct report *report)
{
	uint8_t *block = one_block();
	const char *mistaken;
	struct damage damage;
	int r;

	if (!block)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	r = read_live(metadata, block, &metadata->live, &damage);
	mistaken = r == PD_ERR_CORRUPT ? superblock_mistaken(block) : NULL;
	free(block);
	if (mistaken)
		return report_error(report, PD_ERR_UNSUPPORTED, "%s", mistaken);
	return r ? report_damage(report, &damage) : PD_OK;
}

static int open_snapshot(struct metadata *metadata, const struct report *report)
{
	struct damage damage;
	int r;

	if (!metadata->live.metadata_snap)
		return report_error(report, PD_ERR_USAGE, "no metadata snapshot is held");
	r = metadata_read_snapshot(metadata->io, &metadata->live, &metadata->superblock, &damage);
	return r ? report_damage(report, &damage) : PD_OK;
}

static int open_superblocks(struct metadata *metadata, const struct report *report)
{
	int r;

	if (!metadata->io->nr_blocks)
		return report_error(report, PD_ERR_UNSUPPORTED,
				    "shorter than one metadata block of %u bytes",
				    METADATA_BLOCK_SIZE);
	r = open_live(metadata, report);
	if (r)
		return r;
	metadata->superblock = metadata->live;
	return metadata->snapshot ? open_snapshot(metadata, report) : PD_OK;
}

static int open_reader(struct metadata *metadata, const struct report *report)
{
	if (ref_counts_init(&metadata->refs, usable_blocks(metadata->io)))
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	block_reader_init(&metadata->reader, metadata->io, &metadata->refs);
	block_reader_init(&metadata->bitset_reader, metadata->io, &metadata->refs);
	return PD_OK;
}

int metadata_open(struct block_io *io, bool snapshot, const struct report *report,
		  struct metadata **result)
{
	struct metadata *metadata = calloc(1, sizeof(*metadata));
	int r;

	if (!metadata)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	metadata->io = io;
	metadata->snapshot = snapshot;
	r = open_superblocks(metadata, report);
	if (!r)
		r = open_reader(metadata, report);
	if (r)
		metadata_close(metadata);
	else
		*result = metadata;
	return r;
}

int metadata_open_by(struct block_io *io, const struct superblock *superblock,
		     const struct report *report, struct metadata **result)
{
	struct metadata *metadata = calloc(1, sizeof(*metadata));
	int r;

	if (!metadata)
		return report_error(report, PD_ERR_NO_MEMORY, "out of memory");
	metadata->io = io;
	metadata->live = *superblock;
	metadata->superblock = *superblock;
	r = open_reader(metadata, report);
	if (r)
		metadata_close(metadata);
	else
		*result = metadata;
	return r;
}

void metadata_close(struct metadata *metadata)
{
	if (!metadata)
		return;
	block_reader_destroy(&metadata->reader);
	block_reader_destroy(&metadata->bitset_reader);
	ref_counts_destroy(&metadata->refs);
	free(metadata);
}

static int read_again(struct metadata *metadata, struct superblock *live,
		      struct superblock *snapshot)
{
	uint8_t *block = one_block();
	struct damage damage;
	int r;

	if (!block)
		return PD_ERR_NO_MEMORY;
	r = read_live(metadata, block, live, &damage);
	free(block);
	if (r || !live->metadata_snap)
		return r;
	return metadata_read_snapshot(metadata->io, live, snapshot, &damage);
}

int metadata_still_held(struct metadata *metadata, const struct report *report)
{
	struct superblock live, snapshot;
	int r;

	if (!metadata->snapshot)
		return PD_OK;
	r = read_again(metadata, &live, &snapshot);
	if (r && r != PD_ERR_CORRUPT)
		return report_error(report, r, "superblock: cannot be read again: %s",
				    pd_error_text(r));
	/* Every snapshot begins an era, so one that was taken anew has another. */
	if (!r && live.metadata_snap == metadata->live.metadata_snap &&
	    snapshot.info.current_era == metadata->superblock.info.current_era)
		return PD_OK;
	return report_error(report, PD_ERR_BUSY,
			    "the metadata snapshot was dropped or taken anew while it was read");
}
