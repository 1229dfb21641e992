/* SPDX-License-Identifier: MIT */
/*
 * States that are left where the superblock is lost, as the runtime committed them one after the other:
 * where something is lost that makes an earlier one look like the later, they are taken together.
 */
#include "era/era.h"
#include "era/live.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/le.h"
#include "tests/support/bounded.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NR_METADATA 256
#define BLOCK_SIZE 128	/* sectors */
#define NR_BLOCKS 40000 /* data blocks: two blocks of a bitset, which are digested one at a time */
#define DIGESTED 20000	/* was written in era 1 */
#define EARLIER 7000	/* and these in the current era, before the one state and the other */
#define LATER 30000

static uint8_t image[NR_METADATA][METADATA_BLOCK_SIZE]
	__attribute__((aligned(METADATA_BLOCK_SIZE)));
static struct block_io *io;
static struct live live;
static char path[] = "/tmp/era-order-XXXXXX", repaired[] = "/tmp/era-order-XXXXXX";

static void open_device(void)
{
	memset(image, 0, sizeof(image));
	cr_assert_not(block_io_open_memory(image, NR_METADATA, &io));
	cr_assert_not(live_open(&live, io, BLOCK_SIZE, NR_BLOCKS, NULL));
}

static void close_device(void)
{
	live_close(&live);
	block_io_close(io);
	unlink(path);
	unlink(repaired);
}

TestSuite(state_order, .init = open_device, .fini = close_device);

static void write_block(uint32_t block)
{
	cr_assert_not(live_mark(&live, block, block + 1));
}

/* The next step of it. */
static void digest(void)
{
	bool idle;

	cr_assert_not(live_digest(&live, &idle));
	cr_assert_not(idle);
	cr_assert_not(live_commit(&live));
}

/* In era 1, which is digested. */
static void write_first_era(void)
{
	write_block(DIGESTED);
	cr_assert_not(live_roll_over(&live));
	cr_assert_not(live_commit(&live));
	digest();
	digest();
}

/* The first block of the only writeset's bitset: behind the key and the number of bits is its root. */
static uint64_t writeset_block(void)
{
	uint8_t *leaf = image[live.committed.superblock.writeset_tree_root];

	cr_assert_eq(node_nr(leaf), 1);
	return node_child(image[get_le64(node_value(leaf, 0) + 4)], 0);
}

static uint64_t era_block(unsigned i)
{
	return node_child(image[live.committed.superblock.era_array_root], i);
}

static void save(char *name)
{
	int fd = mkstemp(name);

	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, image, sizeof(image)), sizeof(image));
	close(fd);
}

static bool has_changed(struct era *metadata, uint32_t era, uint32_t block)
{
	uint32_t begin, end = 0;

	cr_assert_not(era_changed_since(metadata, era));
	while (era_next_changed(metadata, &begin, &end))
		if (begin <= block && block < end)
			return true;
	return false;
}

static void expect_changed(uint32_t block, uint32_t era)
{
	int fd = open(repaired, O_RDONLY | O_CLOEXEC);
	struct era *metadata;

	cr_assert_not(era_open(fd, ERA_OFFLINE, NULL, &metadata));
	cr_expect(has_changed(metadata, 3, EARLIER));
	cr_expect(has_changed(metadata, 3, LATER), "what was written last is left out");
	cr_expect(has_changed(metadata, 1, DIGESTED));
	cr_expect(has_changed(metadata, era, block));
	era_close(metadata);
	close(fd);
}

static void expect_unchanged(uint32_t block, uint32_t era)
{
	int fd = open(repaired, O_RDONLY | O_CLOEXEC);
	struct era *metadata;

	cr_assert_not(era_open(fd, ERA_OFFLINE, NULL, &metadata));
	cr_expect_not(has_changed(metadata, era, block));
	era_close(metadata);
	close(fd);
}

/* Without the superblock and one other block; whether it cannot be told which state is the latest. */
static bool repair_without(uint64_t lost)
{
	struct outcome outcome;
	bool together;

	image[lost][2000] ^= 1;
	memset(image[0], 0, METADATA_BLOCK_SIZE);
	save(path);
	save(repaired);
	outcome = BOUNDED_RUN("era_repair", "-i", path, "-o", repaired, "--nr-blocks", "40000",
			      "--block-size", "128");
	cr_assert_eq(outcome.status, 0, "%s", outcome.err);
	cr_expect(strstr(outcome.err, "which agree with each other"), "%s", outcome.err);
	together = strstr(outcome.err, "which is the latest cannot be told");
	outcome_free(&outcome);
	return together;
}

/* An era without writes, whose writeset is lost, is not taken for the latest era that had any. */
Test(state_order, a_lost_writeset_may_have_been_empty)
{
	uint64_t lost;

	write_first_era();
	cr_assert_not(live_roll_over(&live));
	write_block(EARLIER);
	cr_assert_not(live_commit(&live));
	lost = writeset_block();
	digest();
	write_block(LATER);
	digest();
	cr_expect(repair_without(lost));
	expect_changed(DIGESTED, 1);
}

/* What was digested of a writeset stands in an array block that is lost; then the writeset is dropped. */
Test(state_order, a_writeset_may_have_been_digested)
{
	write_first_era();
	write_block(5);
	cr_assert_not(live_roll_over(&live));
	write_block(EARLIER);
	digest();
	write_block(LATER);
	digest();
	cr_expect(repair_without(era_block(0)));
	expect_changed(5, 2);
}

/* As the kernel's, a commit ends with its index block, so that it shows that nothing came later. */
Test(state_order, nothing_came_later)
{
	uint64_t old = live.committed.superblock.writeset_root;

	write_first_era();
	cr_assert_not(live_roll_over(&live));
	write_block(EARLIER);
	write_block(LATER);
	cr_assert_not(live_commit(&live));
	repair_without(old);
	expect_changed(DIGESTED, 1);
	expect_unchanged(DIGESTED, 3);
}
