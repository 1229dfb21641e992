/* SPDX-License-Identifier: MIT */
/*
 * usage: apply IMAGE WORD...
 * Damages an image of metadata, by what the words say one after the other:
 *
 *	set BLOCK OFFSET SIZE VALUE	a field; VALUE: a number, zero, ones, first, middle, last (a bit
 *					flipped), plus, minus (1), random
 *	seal BLOCK			the checksum and the block's own number are put right again
 *	fill BLOCK BYTE			all of a block
 *	copy FROM TO			a block over another one
 *	swap BLOCK BLOCK
 *	cut BLOCKS			so many are left of the device
 *
 * tests/damage.sh uses this.
 */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/le.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANDOM_VALUE UINT64_C(0x9e3779b97f4a7c15)

struct image {
	uint8_t *bytes, *before;
	uint64_t nr_blocks;
};

static void fail(const char *what)
{
	fprintf(stderr, "apply: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t number(const char *word)
{
	char *end;
	uint64_t value = word ? strtoull(word, &end, 0) : 0;

	if (!word || *end)
		fail("a number is missing");
	return value;
}

static uint8_t *block_at(const struct image *image, const char *word)
{
	uint64_t block = number(word);

	if (block >= image->nr_blocks)
		fail("no such block");
	return image->bytes + block * METADATA_BLOCK_SIZE;
}

static uint64_t value_of(const char *word, uint64_t now, unsigned bits)
{
	static const char *const names[] = {"zero", "ones", "first", "middle",
					    "last", "plus", "minus", "random"};
	const uint64_t values[] = {0,
				   UINT64_MAX,
				   now ^ 1,
				   now ^ UINT64_C(1) << bits / 2,
				   now ^ UINT64_C(1) << (bits - 1),
				   now + 1,
				   now - 1,
				   RANDOM_VALUE};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(word, names[i]))
			return values[i];
	return number(word);
}

static void set(const struct image *image, char **words)
{
	uint8_t *block = block_at(image, words[1]);
	uint64_t offset = number(words[2]), size = number(words[3]), value = 0;

	if (size > 8 || offset + size > METADATA_BLOCK_SIZE)
		fail("no such field");
	memcpy(&value, block + offset, size);
	value = htole64(value_of(words[4] ? words[4] : "", le64toh(value), (unsigned)size * 8));
	memcpy(block + offset, &value, size);
}

/* As the type that it was of before. */
static void seal(const struct image *image, const char *word)
{
	uint8_t *block = block_at(image, word);
	enum block_type type = block_type_of(image->before + (block - image->bytes), number(word));

	if (type == NR_BLOCK_TYPES)
		fail("nothing to be sealed");
	block_seal(block, type, number(word));
}

static void swap(uint8_t *a, uint8_t *b)
{
	uint8_t block[METADATA_BLOCK_SIZE];

	memcpy(block, a, sizeof(block));
	memcpy(a, b, sizeof(block));
	memcpy(b, block, sizeof(block));
}

/* Returns how many words it took. */
static int apply(struct image *image, char **words)
{
	if (!strcmp(words[0], "set"))
		return set(image, words), 5;
	if (!strcmp(words[0], "seal"))
		return seal(image, words[1]), 2;
	if (!strcmp(words[0], "fill"))
		return memset(block_at(image, words[1]), (int)number(words[2]),
			      METADATA_BLOCK_SIZE),
		       3;
	if (!strcmp(words[0], "copy"))
		return memcpy(block_at(image, words[2]), block_at(image, words[1]),
			      METADATA_BLOCK_SIZE),
		       3;
	if (!strcmp(words[0], "swap"))
		return swap(block_at(image, words[1]), block_at(image, words[2])), 3;
	if (strcmp(words[0], "cut") != 0)
		fail("a word that is not understood");
	block_at(image, words[1]);
	image->nr_blocks = number(words[1]);
	return 2;
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	struct image image = {malloc((size_t)size + 1), malloc((size_t)size + 1),
			      (uint64_t)size / METADATA_BLOCK_SIZE};

	if (fd < 0 || !image.bytes || !image.before ||
	    pread(fd, image.bytes, (size_t)size, 0) != size)
		fail("the image cannot be read");
	memcpy(image.before, image.bytes, (size_t)size);
	for (int i = 2; i < argc;)
		i += apply(&image, argv + i);
	size = (off_t)(image.nr_blocks * METADATA_BLOCK_SIZE);
	if (pwrite(fd, image.bytes, (size_t)size, 0) != size || ftruncate(fd, size))
		fail("the image cannot be written");
	free(image.bytes);
	free(image.before);
	return close(fd) ? EXIT_FAILURE : EXIT_SUCCESS;
}
