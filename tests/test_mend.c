/* SPDX-License-Identifier: MIT */
/* A device of which a node is put together again, however it is read. */
#include "era/mend.h"
#include "persistent-data/block_reader.h"
#include "persistent-data/btree_node.h"
#include "persistent-data/checksum.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#define NR_BLOCKS 64
#define LOST 20
#define FIRST_LEAF 40
#define NR_LEAVES 5
#define FIRST_BLOCK (FIRST_LEAF + NR_LEAVES) /* that they name */

static FILE *file;
static struct block_io *io;
static struct mend mend;
static bool forgotten[NR_BLOCKS], orphans[NR_BLOCKS];
static const uint8_t zeroes[METADATA_BLOCK_SIZE];

/* A leaf of three keys, that names three blocks. */
static void write_leaf(uint64_t number, uint64_t key, uint64_t first)
{
	uint8_t block[METADATA_BLOCK_SIZE] = {0};

	node_format(block, NODE_LEAF, sizeof(uint64_t));
	for (unsigned i = 0; i < 3; i++) {
		uint8_t value[sizeof(uint64_t)];

		put_le64(value, first + i);
		node_insert(block, i, key + i, value);
	}
	block_seal(block, BLOCK_BTREE_NODE, number);
	cr_assert_eq(block_io_write(io, number, 1, block), PD_OK);
}

static void set_up(void)
{
	file = tmpfile();
	cr_assert(file && !ftruncate(fileno(file), NR_BLOCKS * METADATA_BLOCK_SIZE));
	cr_assert_eq(block_io_open_fd(fileno(file), &io), PD_OK);
	/* Whether or not there is another processor, reads are begun. */
	io->nr_ahead = BLOCK_IO_AHEAD_MAX;
	mend_init(&mend, io);
	for (uint64_t i = 0; i < NR_BLOCKS; i++)
		write_leaf(i, 3 * i, 0);
	/* In no order, so that they have to be sorted. */
	for (unsigned i = 0; i < NR_LEAVES; i++) {
		write_leaf(FIRST_LEAF + i, 3 * (i * 2 % NR_LEAVES), FIRST_BLOCK + 3 * i);
		forgotten[FIRST_LEAF + i] = true;
	}
	for (unsigned i = FIRST_BLOCK; i < FIRST_BLOCK + 3 * NR_LEAVES; i++) {
		cr_assert_eq(block_io_write(io, i, 1, zeroes), PD_OK);
		forgotten[i] = true;
	}
	cr_assert_eq(block_io_write(io, LOST, 1, zeroes), PD_OK);
}

static void tear_down(void)
{
	mend_destroy(&mend);
	block_io_close(io);
	fclose(file);
}

TestSuite(mend, .init = set_up, .fini = tear_down);

/* All that is forgotten is referred to once. */
static bool is_mended(void)
{
	struct losses losses = {.nr = 1,
				.nodes = {{.structure = STRUCTURE_ERA_ARRAY, .number = LOST}},
				.nr_blocks = NR_BLOCKS,
				.forgotten = forgotten,
				.orphans = orphans};

	memcpy(orphans, forgotten, sizeof(orphans));
	cr_assert_eq(mend_lost(&mend, &losses), PD_OK);
	cr_expect_eq(losses.nodes[0].nr_children, mend.nr ? NR_LEAVES : 0);
	cr_expect_eq(losses.nodes[0].in_order, mend.nr == 1);
	return mend.nr == 1;
}

static void check_node(const uint8_t *block)
{
	static const uint64_t leaves[] = {0, 3, 1, 4, 2}; /* by their keys */

	cr_assert_eq(kind_nr_entries(block), NR_LEAVES);
	for (unsigned i = 0; i < NR_LEAVES; i++) {
		cr_expect_eq(kind_key(block, i), 3 * i);
		cr_expect_eq(kind_pointer(block, KIND_INTERNAL, i), FIRST_LEAF + leaves[i]);
	}
}

Test(mend, alone_and_in_a_run)
{
	static uint8_t blocks[NR_BLOCKS][METADATA_BLOCK_SIZE]
		__attribute__((aligned(METADATA_BLOCK_SIZE)));

	cr_assert(is_mended());
	cr_assert_eq(block_io_read(&mend.io, LOST, 1, blocks[0]), PD_OK);
	check_node(blocks[0]);
	cr_assert_eq(block_io_read(&mend.io, LOST - 5, 40, blocks), PD_OK);
	check_node(blocks[5]);
	cr_assert_eq(block_io_read(&mend.io, LOST + 1, 1, blocks[0]), PD_OK);
	cr_expect_eq(get_le64(blocks[0] + 8), LOST + 1);
}

/* By other threads, who checksum what they read. */
Test(mend, as_a_batch)
{
	struct block_order orders[NR_BLOCKS];
	struct block_reader reader;
	struct block_batch *batch;
	struct ref_counts refs;

	cr_assert(is_mended());
	cr_assert_eq(ref_counts_init(&refs, NR_BLOCKS), PD_OK);
	block_reader_init(&reader, &mend.io, &refs);
	batch = block_reader_data(&reader, 0);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		orders[i] = (struct block_order){i, false};
	block_batch_read(&reader, batch, orders, NR_BLOCKS);
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		struct damage damage;
		bool shared;
		const uint8_t *block =
			block_batch_get(batch, i, BLOCK_BTREE_NODE, &shared, &damage);

		cr_expect_eq(block != NULL, i < FIRST_BLOCK || i >= FIRST_BLOCK + 3 * NR_LEAVES,
			     "block %u", i);
		if (i == LOST)
			check_node(block);
	}
	block_reader_destroy(&reader);
	ref_counts_destroy(&refs);
}

Test(mend, not_if_children_cannot_be_told)
{
	/* One that overlaps another. */
	write_leaf(FIRST_LEAF, 4, FIRST_BLOCK);
	cr_expect_not(is_mended());
	/* One that names what another names. */
	write_leaf(FIRST_LEAF, 0, FIRST_BLOCK + 3);
	cr_expect_not(is_mended());
	write_leaf(FIRST_LEAF, 0, FIRST_BLOCK);
	cr_expect(is_mended());
	mend_destroy(&mend);
	/* One that is lost itself. */
	cr_assert_eq(block_io_write(io, FIRST_LEAF, 1, zeroes), PD_OK);
	cr_expect_not(is_mended());
}
