/* SPDX-License-Identifier: MIT */
/* A device in memory that is edited in place. */
#include "tests/support/editing.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

void editing_init(struct editing *editing, uint64_t nr_blocks)
{
	size_t size = (size_t)nr_blocks * METADATA_BLOCK_SIZE;

	memset(editing, 0, sizeof(*editing));
	editing->nr_blocks = nr_blocks;
	editing->memory = aligned_alloc(METADATA_BLOCK_SIZE, size);
	cr_assert_not_null(editing->memory);
	memset(editing->memory, 0, size);
	cr_assert_not(block_io_open_memory(editing->memory, nr_blocks, &editing->device));
	cr_assert_not(transaction_create(&editing->tx, editing->device));
}

void editing_free(struct editing *editing)
{
	transaction_close(&editing->tx);
	block_io_close(editing->device);
	free(editing->memory);
}

static void put_root(void *context, const struct space_map_root *root, uint8_t *block)
{
	struct editing *editing = context;

	editing->root = *root;
	space_map_root_encode(root, block);
	block_seal(block, BLOCK_SUPERBLOCK, 0);
}

void editing_commit(struct editing *editing)
{
	cr_assert_eq(transaction_commit(&editing->tx, put_root, editing), PD_OK);
}

void editing_check_begin(struct editing *editing)
{
	cr_assert_not(ref_counts_init(&editing->refs, editing->nr_blocks));
	ref_counts_begin_pass(&editing->refs);
	ref_counts_add(&editing->refs, 0, false);
	block_reader_init(&editing->reader, editing->device, &editing->refs);
}

int editing_damage(void *context, const struct damage *damage)
{
	(void)context;
	cr_expect(false, "block %lu: %s (%lu, not %lu)", damage->block, damage->what, damage->found,
		  damage->expected);
	return PD_OK;
}

static int mismatch(void *context, uint64_t block, uint32_t stored, uint32_t counted)
{
	(void)context;
	cr_expect(false, "block %lu has the count %u, not %u", block, stored, counted);
	return PD_OK;
}

void editing_check_end(struct editing *editing)
{
	struct space_map_visitor visitor = {NULL, editing_damage, editing_damage, mismatch};

	cr_assert_eq(space_map_check(&editing->reader, &editing->root, &visitor), PD_OK);
	block_reader_destroy(&editing->reader);
	ref_counts_destroy(&editing->refs);
}
