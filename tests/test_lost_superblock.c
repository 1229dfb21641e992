/* SPDX-License-Identifier: MIT */
/* What is salvaged where the superblock is lost, alone, with more, or with the end of the device. */
#include "persistent-data/error.h"
#include "tests/support/before.h"
#include "tests/support/hostile.h"
#include "tests/support/mutate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(lost_superblock, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 1200);

/* Sectors that cannot be read. */

struct bad_sectors {
	struct block_io io;
	const struct image *image;
	uint64_t begin, end; /* metadata blocks */
};

static int read_around(struct block_io *io, uint64_t first, uint32_t count, void *buffer)
{
	const struct bad_sectors *bad = (struct bad_sectors *)io;

	if (first < bad->end && first + count > bad->begin)
		return PD_ERR_IO;
	memcpy(buffer, image_block(bad->image, first), (size_t)count * IMAGE_BLOCK);
	return PD_OK;
}

/*
 * A part of all that the kernel wrote last is lost, and the superblock too: what is left is whole by
 * its looks, but it is not the latest.
 */
static void lose_latest(const char *name, uint64_t nr_blocks, uint64_t begin, uint64_t end)
{
	static const struct block_io_ops ops = {.read = read_around};
	struct bad_sectors bad = {.begin = begin, .end = end};
	struct salvaged salvaged;
	struct before before;
	struct image image;

	before = before_load(&image, name);
	memset(image_block(&image, 0), 0, IMAGE_BLOCK);
	bad.io = (struct block_io){&ops, nr_blocks};
	bad.image = &image;
	salvaged_make_from(&salvaged, &bad.io, before.nr_blocks, before.data_block_size);
	cr_assert_eq(salvaged.result, 0, "%s", salvaged.messages);
	cr_assert_str_empty(salvaged.problem);
	cr_expect(strstr(salvaged.messages, "latest state is damaged, or may be"), "%s",
		  salvaged.messages);
	for (uint32_t i = 0; i < before.nr_blocks; i++)
		cr_expect_eq(salvaged.eras[i], salvaged.current_era, "data block %u", i);
	cr_expect_gt(salvaged.current_era, before.current_era);
	salvaged_free(&salvaged);
	free(before.eras);
	image_free(&image);
}

/* The superblock alone: all else is there. */
Test(lost_superblock, the_superblock_cannot_be_read)
{
	static const struct block_io_ops ops = {.read = read_around};
	struct bad_sectors bad = {.begin = 0, .end = 1};
	struct hostile hostile;
	struct salvaged salvaged;
	struct before before;

	hostile_make(&hostile, &(struct hostile_case){.name = "no superblock"});
	before = before_look(&hostile.builder.image);
	bad.io = (struct block_io){&ops, hostile.builder.image.nr_blocks};
	bad.image = &hostile.builder.image;
	salvaged_make_from(&salvaged, &bad.io, 0, 0);
	cr_expect_eq(salvaged.result, PD_ERR_IO);
	cr_expect(strstr(salvaged.messages, "cannot be read"), "%s", salvaged.messages);
	salvaged_free(&salvaged);
	salvaged_make_from(&salvaged, &bad.io, before.nr_blocks, before.data_block_size);
	cr_assert_eq(salvaged.result, 0, "%s", salvaged.messages);
	cr_assert_str_empty(salvaged.problem);
	cr_expect_eq(before_excess(&salvaged, &before), 0, "%s", salvaged.messages);
	salvaged_free(&salvaged);
	free(before.eras);
	hostile_free(&hostile);
}

Test(lost_superblock, the_latest_state_cannot_be_read)
{
	lose_latest("crash", 2048, 66, 150);
}

/* The latest state's index block is at 137. */
Test(lost_superblock, the_device_was_cut_short)
{
	for (uint64_t nr_blocks = 64; nr_blocks < 138; nr_blocks++)
		lose_latest("crash", nr_blocks, 0, 0);
}

/* Behind it are blocks that nobody has ever used. */
static uint64_t end_of_used(const struct image *image)
{
	uint64_t end = image->nr_blocks;

	while (end && image_is_zero(image_block(image, end - 1)))
		end--;
	return end;
}

/* How many data blocks are of too early an era. */
static uint32_t nr_too_early(const struct salvaged *salvaged, const struct before *before)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < before->nr_blocks; i++)
		nr += salvaged->eras[i] < before->eras[i];
	return nr;
}

static void cut_at(const struct image *image, uint64_t nr_blocks, const struct before *before,
		   const char *name)
{
	struct image part = {image->bytes, nr_blocks};
	struct salvaged salvaged;

	salvaged_make(&salvaged, &part, before->nr_blocks, before->data_block_size);
	cr_assert_eq(salvaged.result, 0, "%s, %u blocks: %s", name, (unsigned)nr_blocks,
		     salvaged.messages);
	cr_expect_eq(nr_too_early(&salvaged, before), 0, "%s, %u blocks: %s", name,
		     (unsigned)nr_blocks, salvaged.messages);
	salvaged_free(&salvaged);
}

/* Wherever a device is cut, and whichever states are left then: none of them leaves anything out. */
/* One fixture has so many data blocks that it would take its time; one has none. */
static bool is_tried(const struct before *before)
{
	return before->nr_blocks && before->nr_blocks <= 100000;
}

static void in_each_fixture(void (*check)(const char *name))
{
	size_t nr;
	struct fixture_name *names = fixture_names(&nr);

	for (size_t i = 0; i < nr; i++)
		check(names[i].name);
	free(names);
}

static void cut_anywhere(const char *name)
{
	struct before before;
	struct image image;
	uint64_t end;

	before = before_load(&image, name);
	end = end_of_used(&image);
	memset(image_block(&image, 0), 0, IMAGE_BLOCK);
	if (!is_tried(&before))
		end = 0;
	for (uint64_t n = 2; end && n < end + 3 && n <= image.nr_blocks; n++) {
		uint8_t *last = image_block(&image, n - 1);

		cut_at(&image, n, &before, name);
		if (n % 4)
			continue;
		/* The last block that is left is damaged, too. */
		last[1000] ^= 1;
		cut_at(&image, n, &before, name);
		last[1000] ^= 1;
	}
	free(before.eras);
	image_free(&image);
}

Test(lost_superblock, devices_cut_anywhere)
{
	in_each_fixture(cut_anywhere);
}

/* A device of its size whose last blocks are zeroes, from one of those in use on. */

/* What lies behind the end of a transaction is not missed; within one, its rest is. */
static bool ends_transaction(const struct image *image, uint64_t block)
{
	enum kind kind = image_kind(image_block(image, block));

	return kind == KIND_INDEX || kind == KIND_BITMAP;
}

static void fade_from(const struct image *image, uint64_t from, uint64_t damaged,
		      const struct before *before, const char *name)
{
	struct image faded;
	char text[80];

	snprintf(text, sizeof(text), "%s, zeroes from %u on, %u damaged", name, (unsigned)from,
		 (unsigned)damaged);
	image_init(&faded, image->nr_blocks);
	memcpy(faded.bytes, image->bytes, from * IMAGE_BLOCK);
	memset(image_block(&faded, 0), 0, IMAGE_BLOCK);
	if (damaged)
		memset(image_block(&faded, damaged), 0xa5, IMAGE_BLOCK);
	cut_at(&faded, faded.nr_blocks, before, text);
	image_free(&faded);
}

static void fade_anywhere(const char *name)
{
	struct before before;
	struct image image;
	uint64_t end;

	before = before_load(&image, name);
	end = end_of_used(&image);
	if (!is_tried(&before))
		end = 0;
	for (uint64_t n = 2; n < end; n++) {
		if (!ends_transaction(&image, n - 1))
			fade_from(&image, n, 0, &before, name);
		/* A damaged block shows that others before it were in use, near or further away. */
		fade_from(&image, n, n + 1 + n % 3 * 16, &before, name);
	}
	free(before.eras);
	image_free(&image);
}

Test(lost_superblock, devices_that_fade_anywhere)
{
	in_each_fixture(fade_anywhere);
}

/* A metadata snapshot's superblock that cannot be, though its checksum is right. */

static const struct {
	size_t offset, size;
	uint64_t value;
} impossible[] = {
	{SB_MAGIC, 8, 1},
	{SB_VERSION, 4, 2},
	{SB_METADATA_BLOCK_SIZE, 4, 9},
	{SB_DATA_BLOCK_SIZE, 4, 0},
	{SB_NR_BLOCKS, 4, UINT32_MAX},
	{SB_WRITESET_TREE, 8, UINT64_MAX},
	{SB_ERA_ARRAY, 8, 0},
	{SB_SNAPSHOT, 8, 5},
};

static void spoil_held_snapshot(const char *name)
{
	struct salvaged salvaged;
	struct mutant mutant;
	struct before before;
	uint64_t snapshot;

	mutant_open(&mutant, name, false);
	before = before_look(&mutant.sound);
	snapshot = image_get(&mutant.sound, 0, SB_SNAPSHOT, 8);
	cr_assert(snapshot);
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		mutant_touch(&mutant, 0);
		mutant_touch(&mutant, snapshot);
		memset(image_block(&mutant.image, 0), 0, IMAGE_BLOCK);
		image_poke(&mutant.image, snapshot, impossible[i].offset, impossible[i].size,
			   impossible[i].value);
		salvaged = before_salvage(&mutant.image, &before, true, name);
		cr_expect_eq(salvaged.result, 0, "%s: %s", name, salvaged.messages);
		salvaged_free(&salvaged);
		mutant_heal(&mutant);
	}
	free(before.eras);
	mutant_close(&mutant);
}

Test(lost_superblock, a_held_snapshot_that_cannot_be)
{
	spoil_held_snapshot("snap-live");
	spoil_held_snapshot("crash-snap");
	spoil_held_snapshot("snapdrop-2-with");
}

/* What is done to a block besides the loss of the superblock. */
struct blow {
	enum role role; /* of the blocks that it is tried on, */
	/* if it is about a field: of those that have at least that in it, to which something is added; */
	size_t offset, size;
	uint64_t least, add;
	uint32_t most; /* and the most data blocks that may count as written later than they were */
	bool large;    /* on large devices as well */
};

static bool strike(const struct image *image, uint64_t block, const struct blow *blow)
{
	uint64_t value;

	if (!blow->size) {
		image_block(image, block)[2000] ^= 1;
		return true;
	}
	value = image_get(image, block, blow->offset, blow->size);
	if (value < blow->least)
		return false;
	image_poke(image, block, blow->offset, blow->size, value + blow->add);
	return true;
}

static void strike_with_superblock(const char *name, const struct blow *blow)
{
	struct salvaged salvaged;
	struct mutant mutant;
	struct before before;

	mutant_open(&mutant, name, false);
	before = before_look(&mutant.sound);
	memset(image_block(&mutant.image, 0), 0, IMAGE_BLOCK);
	for (size_t i = 0; (blow->large || is_tried(&before)) && i < mutant.nr_used; i++) {
		uint64_t block = mutant.used[i].block;

		if (mutant.used[i].role != blow->role)
			continue;
		mutant_touch(&mutant, block);
		if (!strike(&mutant.image, block, blow)) {
			mutant_heal(&mutant);
			continue;
		}
		salvaged = before_salvage(&mutant.image, &before, true, name);
		cr_expect_eq(salvaged.result, 0, "%s: %s", name, salvaged.messages);
		cr_expect_leq(before_excess(&salvaged, &before), blow->most, "%s, block %u: %s",
			      name, (unsigned)block, salvaged.messages);
		salvaged_free(&salvaged);
		mutant_heal(&mutant);
	}
	free(before.eras);
	mutant_close(&mutant);
}

/*
 * The superblock and one other block, which many states share: which of them is the latest shows all
 * the same, or those that it may be differ little.
 */
static void lose_another(const char *name)
{
	strike_with_superblock(name, &(struct blow){.role = ROLE_ERA_BLOCK, .most = 1018 + 200});
	strike_with_superblock(name, &(struct blow){.role = ROLE_REF_COUNT_NODE, .most = 8});
}

Test(lost_superblock, another_block_with_the_superblock)
{
	in_each_fixture(lose_another);
}

/* Leaves of an array's tree, by their flags: no more is lost than what one led to. */
Test(lost_superblock, a_leaf_of_a_large_array)
{
	const struct blow blow = {.role = ROLE_ERA_NODE,
				  .offset = NODE_FLAGS,
				  .size = 4,
				  .least = 2,
				  .add = 1,
				  .most = 248 * 1018 + 8,
				  .large = true};

	strike_with_superblock("crash-undigested", &blow);
}

/*
 * The latest state with something that is wrong in it, though every checksum is right: the states before
 * it are consistent, and are not the latest.
 */

static void spoil_pointers(const char *name)
{
	const struct blow blows[] = {
		{ROLE_BITSET_NODE, VALUE_AT(0), 8, 1, 1, UINT32_MAX},
		{ROLE_ERA_NODE, VALUE_AT(1), 8, 1, 1, UINT32_MAX},
		{ROLE_WRITESET_LEAF, WRITESET_ROOT_AT(0), 8, 1, 1, UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof(blows) / sizeof(blows[0]); i++)
		strike_with_superblock(name, &blows[i]);
}

Test(lost_superblock, a_pointer_is_wrong)
{
	in_each_fixture(spoil_pointers);
}

/* The last one may be as long as that, on a device of another size. */
static void spoil_length_of_blocks(const char *name)
{
	const struct blow blow = {ROLE_ERA_BLOCK, ARRAY_NR_ENTRIES, 4,
				  1018,		  UINT64_MAX,	    UINT32_MAX};

	strike_with_superblock(name, &blow);
}

Test(lost_superblock, an_array_block_is_not_full)
{
	in_each_fixture(spoil_length_of_blocks);
}
