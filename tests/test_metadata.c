/* SPDX-License-Identifier: MIT */
/* Metadata in memory: opening it and its snapshot, live too, and finding the snapshot held still. */
#include "era/metadata.h"
#include "era/write.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "tests/support/device.h"
#include "tests/support/failing_io.h"
#include "tests/support/stream_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_BLOCKS 20
#define SNAPSHOT 15

static const char document[] =
	"<superblock block_size='8' nr_blocks='100' current_era='7'>"
	"<writeset era='6' nr_bits='100'><marked block_begin='3' len='5'/></writeset>"
	"<era_array/></superblock>";

static struct device device;
static struct superblock live, snapshot;
static char said[REPORT_MAX];

static void keep_message(void *context, const char *text)
{
	(void)context;
	snprintf(said, sizeof(said), "%s", text);
}

static const struct report report = {keep_message, NULL};

static void put_live(void)
{
	superblock_encode(&live, device_block(&device, 0));
}

static void put_snapshot(void)
{
	superblock_encode(&snapshot, device_block(&device, SNAPSHOT));
	block_seal(device_block(&device, SNAPSHOT), BLOCK_SUPERBLOCK, SNAPSHOT);
}

/* Metadata in era 8, whose snapshot was taken in era 7 and has a larger device's current writeset. */
static void set_up(void)
{
	struct damage damage;
	struct sink *sink;

	device_open(&device, NR_BLOCKS);
	cr_assert_eq(metadata_write_open(device.io, &sink), PD_OK);
	cr_assert_eq(play_xml(sink, document), PD_OK);
	metadata_write_close(sink);
	cr_assert(superblock_decode(device.memory, 0, NR_BLOCKS, false, &live, &damage));
	snapshot = live;
	snapshot.writeset_root = UINT64_MAX;
	live.metadata_snap = SNAPSHOT;
	live.info.current_era = 8;
	put_live();
	put_snapshot();
	said[0] = '\0';
}

static void tear_down(void)
{
	device_close(&device);
}

TestSuite(metadata, .init = set_up, .fini = tear_down);

static void expect_refused(struct block_io *io, bool of_snapshot, int error, const char *phrase)
{
	struct metadata *metadata = NULL;

	said[0] = '\0';
	cr_expect_eq(metadata_open(io, of_snapshot, &report, &metadata), error, "%s", phrase);
	cr_expect(strstr(said, phrase), "'%s', not '%s'", said, phrase);
	cr_expect_null(metadata);
}

static struct metadata *open_or_die(struct block_io *io, bool of_snapshot)
{
	struct metadata *metadata = NULL;

	cr_assert_eq(metadata_open(io, of_snapshot, &report, &metadata), PD_OK, "%s", said);
	return metadata;
}

Test(metadata, offline)
{
	struct metadata *metadata = open_or_die(device.io, false);

	cr_expect_eq(metadata->superblock.info.current_era, 8);
	cr_expect_eq(metadata->live.metadata_snap, SNAPSHOT);
	live.metadata_snap = 0;
	put_live();
	cr_expect_eq(metadata_still_held(metadata, &report), PD_OK, "nothing has to be held");
	metadata_close(metadata);
	metadata_close(NULL);
}

Test(metadata, snapshot)
{
	struct metadata *metadata = open_or_die(device.io, true);

	cr_expect_eq(metadata->superblock.info.current_era, 7);
	cr_expect_eq(metadata->live.info.current_era, 8);
	live.info.current_era = 12;
	put_live();
	cr_expect_eq(metadata_still_held(metadata, &report), PD_OK, "the target may go on");
	metadata_close(metadata);
}

Test(metadata, what_is_none)
{
	struct block_io *nothing;

	cr_assert_eq(block_io_open_memory(device.memory, 0, &nothing), PD_OK);
	expect_refused(nothing, false, PD_ERR_UNSUPPORTED, "shorter than one metadata block");
	block_io_close(nothing);
	device.memory[300] ^= 1;
	expect_refused(device.io, false, PD_ERR_CORRUPT, "superblock: metadata block 0: checksum");
	memset(device.memory, 0, METADATA_BLOCK_SIZE);
	expect_refused(device.io, false, PD_ERR_UNSUPPORTED, "not formatted");
	expect_refused(device.io, true, PD_ERR_UNSUPPORTED, "not formatted");
}

Test(metadata, a_snapshot_that_is_none)
{
	device_block(&device, SNAPSHOT)[300] ^= 1;
	expect_refused(device.io, true, PD_ERR_CORRUPT, "metadata block 15: checksum");
	superblock_encode(&snapshot, device_block(&device, SNAPSHOT));
	expect_refused(device.io, true, PD_ERR_CORRUPT, "belongs in another place");
	snapshot.info.current_era = 9;
	put_snapshot();
	expect_refused(device.io, true, PD_ERR_CORRUPT, "past that of the live");
	snapshot.info.current_era = 8;
	snapshot.info.data_block_size = 16;
	put_snapshot();
	expect_refused(device.io, true, PD_ERR_CORRUPT, "data block size");
	live.metadata_snap = 0;
	put_live();
	expect_refused(device.io, true, PD_ERR_USAGE, "no metadata snapshot");
}

/* What becomes of a snapshot while it is read. */

static void drop(void)
{
	live.metadata_snap = 0;
}

static void take_elsewhere(void)
{
	memcpy(device_block(&device, SNAPSHOT - 1), device_block(&device, SNAPSHOT),
	       METADATA_BLOCK_SIZE);
	block_seal(device_block(&device, SNAPSHOT - 1), BLOCK_SUPERBLOCK, SNAPSHOT - 1);
	live.metadata_snap = SNAPSHOT - 1;
}

static void take_anew(void)
{
	snapshot.info.current_era = 9;
	live.info.current_era = 9;
	put_snapshot();
}

static void reuse(void)
{
	memset(device_block(&device, SNAPSHOT), 0, METADATA_BLOCK_SIZE);
}

Test(metadata, a_snapshot_that_is_held_no_longer)
{
	static void (*const changes[])(void) = {drop, take_elsewhere, take_anew, reuse};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct metadata *metadata = open_or_die(device.io, true);

		changes[i]();
		put_live();
		cr_expect_eq(metadata_still_held(metadata, &report), PD_ERR_BUSY, "change %zu", i);
		cr_expect(strstr(said, "dropped or taken anew"));
		metadata_close(metadata);
		device_close(&device);
		set_up();
	}
}

Test(metadata, reads_that_fail)
{
	for (long nr_good = 0; nr_good < 4; nr_good++) {
		struct failure failure = {
			.kinds = FAIL_READS, .left = nr_good, .for_good = true, .error = EIO};
		struct block_io *io = failing_io_open(device.io, &failure);
		struct metadata *metadata;

		if (nr_good < 2) {
			expect_refused(io, true, PD_ERR_IO, strerror(EIO));
		} else {
			metadata = open_or_die(io, true);
			cr_expect_eq(metadata_still_held(metadata, &report), PD_ERR_IO);
			metadata_close(metadata);
		}
		block_io_close(io);
	}
}

/* A device whose superblock is half written the first times that it is read. */

struct torn_io {
	struct block_io io;
	struct block_io *inner;
	unsigned nr_torn, nr_reads;
};

static int torn_read(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	struct torn_io *torn = (struct torn_io *)io;
	int r = block_io_read(torn->inner, first, count, buffer);

	if (first == 0 && torn->nr_reads++ < torn->nr_torn)
		memset((uint8_t *)buffer + 100, 0x55, 2000);
	return r;
}

static int read_torn(unsigned nr_torn, bool of_snapshot)
{
	static const struct block_io_ops ops = {.read = torn_read};
	struct torn_io torn = {{&ops, NR_BLOCKS}, device.io, nr_torn, 0};
	struct metadata *metadata = NULL;
	int r = metadata_open(&torn.io, of_snapshot, &report, &metadata);

	if (!r && of_snapshot) {
		torn.nr_reads = 0;
		r = metadata_still_held(metadata, &report);
	}
	metadata_close(metadata);
	return r;
}

/* Nobody writes to what is offline, and damage to what is live ends some time. */
Test(metadata, a_live_superblock_in_mid_write)
{
	cr_expect_eq(read_torn(1, true), PD_OK);
	cr_expect_eq(read_torn(3, true), PD_OK);
	cr_expect_eq(read_torn(1, false), PD_ERR_CORRUPT);
	cr_expect_eq(read_torn(UINT32_MAX, true), PD_ERR_CORRUPT);
}
