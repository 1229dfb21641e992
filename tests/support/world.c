/* SPDX-License-Identifier: MIT */
/* A metadata device that is recorded, and what was written to the origin when. */
#include "tests/support/world.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

void world_init(struct world *world, uint64_t nr_metadata_blocks, uint32_t nr_blocks)
{
	size_t size = (size_t)nr_metadata_blocks * METADATA_BLOCK_SIZE;

	memset(world, 0, sizeof(*world));
	world->nr_metadata_blocks = nr_metadata_blocks;
	world->nr_blocks = nr_blocks;
	world->metadata = aligned_alloc(METADATA_BLOCK_SIZE, size);
	cr_assert_not_null(world->metadata);
	memset(world->metadata, 0, size);
	cr_assert_not(block_io_open_memory(world->metadata, nr_metadata_blocks, &world->memory));
	io_log_init(&world->log);
	world->recorded = io_log_open(&world->log, WORLD_METADATA, world->memory);
	atomic_init(&world->failure.left, LONG_MAX);
	world->io = failing_io_open(world->recorded, &world->failure);
}

void world_free(struct world *world)
{
	block_io_close(world->io);
	block_io_close(world->recorded);
	block_io_close(world->memory);
	io_log_free(&world->log);
	free(world->metadata);
	free(world->events);
}

static void add_event(struct world *world, uint32_t block, uint32_t era)
{
	if (world->nr_events == world->room) {
		world->room = 2 * world->room + 64;
		world->events = realloc(world->events, world->room * sizeof(*world->events));
		cr_assert_not_null(world->events);
	}
	world->events[world->nr_events++] = (struct world_event){world->log.nr, block, era};
}

void world_write(struct world *world, uint32_t begin, uint32_t end, uint32_t era)
{
	for (uint32_t block = begin; block < end; block++) {
		if (world->must[block] < era)
			world->must[block] = era;
		add_event(world, block, era);
	}
}

void world_resize(struct world *world, uint32_t nr_blocks)
{
	for (uint32_t block = nr_blocks; block < world->nr_blocks; block++)
		world->must[block] = 0;
	if (nr_blocks < world->nr_blocks)
		add_event(world, nr_blocks, 0);
	world->nr_blocks = nr_blocks;
}

static void advance(struct world_check *check, size_t nr)
{
	struct world *world = check->world;

	for (; check->next_event < world->nr_events; check->next_event++) {
		const struct world_event *event = &world->events[check->next_event];

		if (event->at > nr)
			return;
		if (!event->era)
			memset(check->must + event->block, 0,
			       (ERAS_MAX_BLOCKS - event->block) * sizeof(uint32_t));
		else if (check->must[event->block] < event->era)
			check->must[event->block] = event->era;
	}
}

static bool is_zero(const uint8_t *block)
{
	return !block[0] && !memcmp(block, block + 1, METADATA_BLOCK_SIZE - 1);
}

void world_check(void *context, uint8_t *image, size_t nr)
{
	struct world_check *check = context;
	struct eras *eras = &check->eras;

	advance(check, nr);
	/* Before it was formatted nothing can have been written. */
	if (is_zero(image)) {
		cr_assert(!check->next_event, "%zu records: formatted again?", nr);
		return;
	}
	cr_assert(eras_read_memory(eras, image, check->world->nr_metadata_blocks, false),
		  "%zu records: %s", nr, eras->problem);
	for (uint32_t i = 0; i < eras->info.nr_blocks; i++)
		cr_assert_geq(eras->era[i], check->must[i],
			      "%zu records: block %u is of era %u, not %u", nr, i, eras->era[i],
			      check->must[i]);
}

void world_expect_exact(struct world *world)
{
	struct eras *eras = malloc(sizeof(*eras));

	cr_assert_not_null(eras);
	cr_assert(eras_read_memory(eras, world->metadata, world->nr_metadata_blocks, false), "%s",
		  eras->problem);
	cr_assert_eq(eras->info.nr_blocks, world->nr_blocks);
	for (uint32_t i = 0; i < world->nr_blocks; i++)
		cr_assert_eq(eras->era[i], world->must[i], "block %u is of era %u, not %u", i,
			     eras->era[i], world->must[i]);
	free(eras);
}
