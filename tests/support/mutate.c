/* SPDX-License-Identifier: MIT */
/* Random changes. */
#include "tests/support/mutate.h"

#include <string.h>

/* One change to one block. */

static uint64_t used_block(struct mutant *mutant, struct random *random)
{
	return mutant->used[random_below(random, mutant->nr_used)].block;
}

/* A number that might do harm in that place. */
static uint64_t evil_value(struct mutant *mutant, struct random *random, uint64_t now)
{
	switch (random_below(random, 9)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return now + 1;
	case 3:
		return now - 1;
	case 4:
		return now ^ UINT64_C(1) << random_below(random, 64);
	case 5:
		return random_below(random, 1024);
	case 6:
		return mutant->image.nr_blocks - random_below(random, 2);
	case 7:
		return random_any(random);
	default:
		return used_block(mutant, random);
	}
}

static void change_field(struct mutant *mutant, struct random *random, uint64_t block, size_t from,
			 size_t to)
{
	size_t size = random_below(random, 2) ? 8 : 4;
	size_t offset = from + random_below(random, (to - from) / size) * size;
	uint64_t now = image_get(&mutant->image, block, offset, size);

	image_set(&mutant->image, block, offset, size, evil_value(mutant, random, now));
}

static void change_header(struct mutant *mutant, struct random *random, uint64_t block)
{
	change_field(mutant, random, block, 4, 4 + 64);
}

/* Keys, values, roots: what stands where the block has something. */
static void change_content(struct mutant *mutant, struct random *random, uint64_t block)
{
	static const size_t begins[] = {44, 172, NODE_KEYS, NODE_KEYS + 8 * 201,
					NODE_KEYS + 8 * 252};
	size_t from = begins[random_below(random, sizeof(begins) / sizeof(begins[0]))];

	change_field(mutant, random, block, from, from + 48);
}

static void flip_bit(struct mutant *mutant, struct random *random, uint64_t block)
{
	size_t byte = 4 + random_below(random, IMAGE_BLOCK - 4);

	image_block(&mutant->image, block)[byte] ^= (uint8_t)(1 << random_below(random, 8));
}

/* Many of these are just other metadata: a bit more, a bit less, an era that is not the right one. */
static void change_array_value(struct mutant *mutant, struct random *random, uint64_t block)
{
	const struct image *image = &mutant->image;
	uint32_t current = (uint32_t)image_get(&mutant->sound, 0, SB_CURRENT_ERA, 4);
	size_t value_size = image_get(image, block, ARRAY_VALUE_SIZE, 4) == 8 ? 8 : 4;
	size_t offset = ARRAY_VALUES + random_below(random, 60) * value_size;

	if (image_kind(image_block(&mutant->sound, block)) != KIND_ARRAY)
		flip_bit(mutant, random, block);
	else if (value_size == 8)
		image_set(image, block, offset, 8, random_any(random));
	else
		image_set(image, block, offset, 4, random_below(random, (uint64_t)current + 1));
}

static void scribble(struct mutant *mutant, struct random *random, uint64_t block)
{
	size_t size = 1 + random_below(random, 512);
	uint8_t *bytes =
		image_block(&mutant->image, block) + random_below(random, IMAGE_BLOCK - size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)random_any(random);
}

static void copy_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	uint64_t from = random_below(random, 4) ? used_block(mutant, random)
						: random_below(random, mutant->image.nr_blocks);
	enum kind kind = image_kind(image_block(&mutant->sound, from));

	memmove(image_block(&mutant->image, block), image_block(&mutant->sound, from), IMAGE_BLOCK);
	if (random_below(random, 2))
		image_set(&mutant->image, block, kind == KIND_ARRAY ? ARRAY_BLOCKNR : NODE_BLOCKNR,
			  8, block);
}

static void clear_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	memset(image_block(&mutant->image, block), random_below(random, 2) ? 0 : 0xff, IMAGE_BLOCK);
}

uint64_t mutate_pick(struct mutant *mutant, struct random *random)
{
	return random_below(random, mutant->snapshot ? 60 : 6) ? used_block(mutant, random) : 0;
}

void mutate_block(struct mutant *mutant, struct random *random, uint64_t block)
{
	static void (*const changes[])(struct mutant *, struct random *, uint64_t) = {
		change_header,	    change_header,	change_content, change_content,
		change_content,	    flip_bit,		scribble,	copy_block,
		change_array_value, change_array_value, clear_block,
	};

	changes[random_below(random, sizeof(changes) / sizeof(changes[0]))](mutant, random, block);
}

/* The type it is to have: its own, what its content says, or now and then any. */
void mutate_reseal(struct mutant *mutant, struct random *random, uint64_t block)
{
	enum kind kind = image_kind(image_block(&mutant->sound, block));

	if (random_below(random, 16) == 0)
		kind = KIND_SUPERBLOCK + random_below(random, NR_KINDS - 1);
	image_reseal(&mutant->image, block, kind);
}
