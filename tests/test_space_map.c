/* SPDX-License-Identifier: MIT */
/* Space maps on a memory device: built ones are sound, and every wrong count is told of. */
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"
#include "persistent-data/space_map_build.h"
#include "tests/support/device.h"

#include <criterion/criterion.h>
#include <string.h>

struct told {
	unsigned nr_damages, nr_hints, nr_mismatches;
	const char *what; /* the first time */
	uint64_t block;
	uint32_t stored, counted;
};

static int tell_damage(void *context, const struct damage *damage)
{
	struct told *told = context;

	told->nr_damages++;
	if (!told->what)
		told->what = damage->what;
	return PD_OK;
}

static int tell_hint(void *context, const struct damage *damage)
{
	struct told *told = context;

	told->nr_hints++;
	if (!told->what)
		told->what = damage->what;
	return PD_OK;
}

static int tell_mismatch(void *context, uint64_t block, uint32_t stored, uint32_t counted)
{
	struct told *told = context;

	told->nr_mismatches++;
	told->block = block;
	told->stored = stored;
	told->counted = counted;
	return PD_OK;
}

#define NR_USED 10 /* blocks that something else refers to, the superblock among them */

/* A space map of a device on which the first blocks are in use. */
static void build(struct device *device, uint64_t nr_blocks, struct space_map_root *root)
{
	uint8_t *block;

	device_open(device, nr_blocks);
	for (unsigned i = 1; i < NR_USED; i++) {
		cr_assert_eq(block_writer_open(&device->writer, &block), PD_OK);
		block_writer_finish(&device->writer, BLOCK_ARRAY);
	}
	cr_assert_eq(space_map_build(&device->writer, root), PD_OK);
	cr_expect_eq(device->writer.next, NR_USED + space_map_build_nr_blocks(nr_blocks));
	cr_expect_eq(root->nr_allocated, device->writer.next);
	cr_expect_eq(root->nr_blocks, nr_blocks);
	cr_assert_eq(block_writer_flush(&device->writer), PD_OK);
}

/* Block 5 is referred to nr_more times besides. */
static struct told check_shared(struct device *device, const struct space_map_root *root,
				unsigned nr_more)
{
	struct told told = {.nr_damages = 0};
	struct space_map_visitor visitor = {&told, tell_damage, tell_hint, tell_mismatch};

	ref_counts_clear(&device->refs);
	ref_counts_begin_pass(&device->refs);
	for (uint64_t i = 0; i < NR_USED; i++)
		ref_counts_add(&device->refs, i, false);
	for (; nr_more; nr_more--)
		ref_counts_add(&device->refs, 5, false);
	cr_expect_eq(space_map_check(&device->reader, root, &visitor), PD_OK);
	return told;
}

static struct told check(struct device *device, const struct space_map_root *root)
{
	return check_shared(device, root, 0);
}

Test(space_map, root_keeps_its_numbers)
{
	struct space_map_root root = {1, UINT64_MAX, 3, UINT64_C(1) << 40};
	uint8_t bytes[SPACE_MAP_ROOT_SIZE];
	struct space_map_root back;

	space_map_root_encode(&root, bytes);
	cr_expect_eq(get_le64(bytes), 1);
	cr_expect_eq(get_le64(bytes + 24), UINT64_C(1) << 40);
	space_map_root_decode(bytes, &back);
	cr_expect(!memcmp(&root, &back, sizeof(root)));
}

Test(space_map, what_is_built_is_sound)
{
	static const uint64_t sizes[] = {13, 14, 15, 16, 17, 16320, 16321, 3 * 16320, 50000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t needed = NR_USED + space_map_build_nr_blocks(sizes[i]);
		struct space_map_root root;
		struct device device;
		struct told told;

		if (needed > sizes[i])
			continue;
		build(&device, sizes[i], &root);
		told = check(&device, &root);
		cr_expect(!told.nr_damages && !told.nr_hints && !told.nr_mismatches,
			  "%llu blocks: %s", (unsigned long long)sizes[i], told.what);
		device_close(&device);
	}
}

Test(space_map, no_room)
{
	struct space_map_root root;
	struct device device;

	device_open(&device, 3);
	cr_expect_eq(space_map_build(&device.writer, &root), PD_ERR_NO_SPACE);
	device_close(&device);
}

/* Two blocks of bitmaps. The counts of a block are 2 bits, the high one first. */
#define NR_BLOCKS 20000

static void set_count(struct device *device, const struct space_map_root *root, uint64_t block,
		      unsigned count)
{
	const uint8_t *index = device_block(device, root->bitmap_root);
	uint64_t bitmap = get_le64(index + INDEX_ENTRIES + block / 16320 * INDEX_ENTRY_SIZE);
	uint8_t *bits = device_block(device, bitmap) + BITMAP_COUNTS + block % 16320 / 4;
	unsigned shift = block % 4 * 2;

	*bits = (uint8_t)((*bits & ~(3u << shift)) |
			  (((count & 1) << 1 | (count >> 1 & 1)) << shift));
	block_seal(device_block(device, bitmap), BLOCK_BITMAP, bitmap);
}

Test(space_map, wrong_counts)
{
	static const struct {
		uint64_t block;
		unsigned count, counted;
	} cases[] = {{0, 0, 1}, {5, 0, 1}, {5, 2, 1}, {5000, 1, 0}, {16320, 1, 0}, {19999, 2, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct space_map_root root;
		struct device device;
		struct told told;

		build(&device, NR_BLOCKS, &root);
		set_count(&device, &root, cases[i].block, cases[i].count);
		told = check(&device, &root);
		cr_expect_eq(told.nr_mismatches, 1, "case %zu", i);
		cr_expect_eq(told.nr_damages, 0, "case %zu", i);
		cr_expect(told.block == cases[i].block && told.stored == cases[i].count &&
			  told.counted == cases[i].counted);
		device_close(&device);
	}
}

Test(space_map, three_or_more_wants_an_exact_count)
{
	struct space_map_root root;
	struct device device;
	struct told told;

	build(&device, NR_BLOCKS, &root);
	set_count(&device, &root, 5000, 3);
	told = check(&device, &root);
	cr_expect_eq(told.nr_damages, 1);
	cr_expect_str_eq(told.what, "a count of three or more has no exact count");
	device_close(&device);
}

static void flip(struct device *device, uint64_t block)
{
	device_block(device, block)[3000] ^= 1;
}

Test(space_map, its_own_blocks)
{
	struct space_map_root root;
	struct device device;

	build(&device, NR_BLOCKS, &root);
	flip(&device, root.bitmap_root);
	cr_expect_eq(check(&device, &root).nr_damages, 1, "index");
	flip(&device, root.bitmap_root);
	flip(&device, root.ref_count_root);
	cr_expect_eq(check(&device, &root).nr_damages, 1, "exact counts");
	flip(&device, root.ref_count_root);
	flip(&device, NR_USED);
	cr_expect_eq(check(&device, &root).nr_damages, 1, "a bitmap");
	flip(&device, NR_USED);
	cr_expect_eq(check(&device, &root).nr_damages, 0, "put right again");
	device_close(&device);
}

/* An entry of the index has the number of free blocks and where to search for one. */
static void set_hint(struct device *device, const struct space_map_root *root, unsigned bitmap,
		     size_t offset, uint32_t value)
{
	uint8_t *index = device_block(device, root->bitmap_root);

	put_le32(index + INDEX_ENTRIES + (size_t)bitmap * INDEX_ENTRY_SIZE + offset, value);
	block_seal(index, BLOCK_INDEX, root->bitmap_root);
}

/* Of 20000 blocks the second bitmap counts 3680, all free; the kernel says 16320. */
Test(space_map, free_counts_of_other_writers)
{
	static const struct {
		unsigned bitmap;
		uint32_t nr_free, nr_hints;
	} cases[] = {{1, 3680, 0}, {1, 16320, 0}, {1, 3682, 1}, {1, 0, 1}};
	struct space_map_root root;
	struct device device;

	build(&device, NR_BLOCKS, &root);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_hint(&device, &root, cases[i].bitmap, 8, cases[i].nr_free);
		cr_expect_eq(check(&device, &root).nr_hints, cases[i].nr_hints, "case %zu", i);
	}
	set_hint(&device, &root, 1, 8, 3680);
	/* A device that the kernel formatted has two too many in the first bitmap. */
	set_hint(&device, &root, 0, 8, 16320 - (uint32_t)root.nr_allocated + 2);
	cr_expect_eq(check(&device, &root).nr_hints, 0);
	set_hint(&device, &root, 0, 8, 16320 - (uint32_t)root.nr_allocated + 1);
	cr_expect_eq(check(&device, &root).nr_hints, 1);
	set_hint(&device, &root, 0, 8, 16320 - (uint32_t)root.nr_allocated);
	set_hint(&device, &root, 0, 12, (uint32_t)root.nr_allocated + 1);
	cr_expect_str_eq(check(&device, &root).what, "search for free blocks begins too late");
	set_hint(&device, &root, 0, 12, 0);
	set_count(&device, &root, NR_BLOCKS, 1);
	cr_expect_str_eq(check(&device, &root).what, "counts are set past the end");
	set_count(&device, &root, NR_BLOCKS, 0);
	root.nr_allocated++;
	set_hint(&device, &root, 0, 12, 0);
	cr_expect_str_eq(check(&device, &root).what, "wrong number of allocated blocks");
	device_close(&device);
}

/* Exact counts, in a tree behind all else that is in use. */
static void set_exact(struct device *device, struct space_map_root *root, uint64_t block,
		      uint32_t count)
{
	struct btree_build tree;
	uint8_t value[4];

	put_le32(value, count);
	cr_assert_eq(btree_build_init(&tree, &device->writer, sizeof(value)), PD_OK);
	cr_assert_eq(btree_build_add(&tree, block, value), PD_OK);
	cr_assert_eq(btree_build_finish(&tree, &root->ref_count_root), PD_OK);
	btree_build_destroy(&tree);
	cr_assert_eq(block_writer_flush(&device->writer), PD_OK);
	/* The new tree takes over from the old one, which becomes free. */
	set_count(device, root, root->ref_count_root, 1);
	set_count(device, root, root->ref_count_root - 2, 0);
	set_hint(device, root, 0, 12, 0);
}

Test(space_map, exact_counts)
{
	struct space_map_root root;
	struct device device;
	struct told told;

	build(&device, NR_BLOCKS, &root);
	set_exact(&device, &root, 5, 4);
	set_count(&device, &root, 5, 3);
	told = check_shared(&device, &root, 3);
	cr_expect(!told.nr_damages && !told.nr_hints && !told.nr_mismatches, "%s", told.what);
	told = check_shared(&device, &root, 4);
	cr_expect_eq(told.nr_mismatches, 1);
	cr_expect(told.block == 5 && told.stored == 4 && told.counted == 5);
	set_count(&device, &root, 5, 2);
	told = check_shared(&device, &root, 3);
	cr_expect_str_eq(told.what, "a count below three has an exact count besides");
	device_close(&device);
	build(&device, NR_BLOCKS, &root);
	set_exact(&device, &root, NR_BLOCKS, 4);
	told = check_shared(&device, &root, 0);
	cr_expect_str_eq(told.what, "counts a block past the end");
	device_close(&device);
}

Test(ref_counts, passes_tell_sharing_from_double_use)
{
	struct ref_counts refs;

	cr_assert_eq(ref_counts_init(&refs, 4), PD_OK);
	ref_counts_begin_pass(&refs);
	cr_expect_eq(ref_counts_add(&refs, 1, false), REF_FIRST);
	cr_expect_eq(ref_counts_add(&refs, 1, false), REF_AGAIN);
	ref_counts_begin_pass(&refs);
	cr_expect_eq(ref_counts_add(&refs, 1, true), REF_SHARED);
	cr_expect_eq(ref_counts_get(&refs, 1), 2, "counted with its parent already");
	cr_expect_eq(ref_counts_add(&refs, 2, false), REF_FIRST);
	ref_counts_mark(&refs, 3);
	cr_expect(ref_counts_marked(&refs, 3) && !ref_counts_get(&refs, 3));
	for (unsigned i = 0; i < 2 * REF_COUNT_MAX; i++)
		ref_counts_add(&refs, 3, false);
	cr_expect_eq(ref_counts_get(&refs, 3), REF_COUNT_MAX);
	cr_expect(ref_counts_marked(&refs, 3));
	ref_counts_clear(&refs);
	ref_counts_begin_pass(&refs);
	cr_expect_eq(ref_counts_add(&refs, 3, false), REF_FIRST);
	ref_counts_destroy(&refs);
}
