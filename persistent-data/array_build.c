/* SPDX-License-Identifier: MIT */
/* Builds arrays in bulk. */
#include "persistent-data/array_build.h"
#include "persistent-data/btree_build.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

void array_build_init(struct array_build *build, struct block_writer *writer, unsigned value_size)
{
	*build = (struct array_build){
		.writer = writer, .value_size = value_size, .first_block = writer->next};
}

static void finish_block(struct array_build *build)
{
	put_le32(build->open + ARRAY_MAX_ENTRIES, array_max_entries(build->value_size));
	put_le32(build->open + ARRAY_NR_ENTRIES, build->nr_open);
	put_le32(build->open + ARRAY_VALUE_SIZE, build->value_size);
	block_writer_finish(build->writer, BLOCK_ARRAY);
	build->nr_blocks++;
	build->open = NULL;
	build->nr_open = 0;
}

/* Room for up to n entries in the open array block: where, and for how many. */
static int make_room(struct array_build *build, size_t n, uint8_t **room, size_t *nr_room)
{
	unsigned max_entries = array_max_entries(build->value_size);
	int r = PD_OK;

	if (!build->open)
		r = block_writer_open(build->writer, &build->open);
	if (r)
		return r;
	*room = build->open + ARRAY_VALUES + (size_t)build->nr_open * build->value_size;
	*nr_room = max_entries - build->nr_open;
	if (*nr_room > n)
		*nr_room = n;
	return PD_OK;
}

static void room_filled(struct array_build *build, size_t n)
{
	build->nr_open += (unsigned)n;
	if (build->nr_open == array_max_entries(build->value_size))
		finish_block(build);
}

int array_build_add(struct array_build *build, const void *entries, size_t n)
{
	const uint8_t *from = entries;

	while (n) {
		uint8_t *room;
		size_t nr_room;
		int r = make_room(build, n, &room, &nr_room);

		if (r)
			return r;
		if (build->value_size == sizeof(uint32_t))
			put_le32_array(room, from, nr_room);
		else
			put_le64_array(room, from, nr_room);
		room_filled(build, nr_room);
		from += nr_room * build->value_size;
		n -= nr_room;
	}
	return PD_OK;
}

static int list_blocks(struct array_build *build, struct btree_build *tree)
{
	uint8_t pointer[8];
	int r = PD_OK;

	for (uint64_t i = 0; !r && i < build->nr_blocks; i++) {
		put_le64(pointer, build->first_block + i);
		r = btree_build_add(tree, i, pointer);
	}
	return r;
}

int array_build_finish(struct array_build *build, uint64_t *root)
{
	struct btree_build tree;
	int r;

	if (build->open)
		finish_block(build);
	r = btree_build_init(&tree, build->writer, sizeof(uint64_t));
	if (!r)
		r = list_blocks(build, &tree);
	if (!r)
		r = btree_build_finish(&tree, root);
	btree_build_destroy(&tree);
	return r;
}

uint64_t array_build_nr_blocks(uint64_t nr_entries, unsigned value_size)
{
	uint64_t nr_blocks = array_nr_blocks(nr_entries, value_size);

	return nr_blocks + btree_build_nr_nodes(nr_blocks, sizeof(uint64_t));
}
