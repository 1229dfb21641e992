/* SPDX-License-Identifier: MIT */
/*
 * usage: crop BLOCKS < IMAGE
 * Prints the first so many blocks of an image, as if the device had no more of them: a small
 * one for tests of which there are many, and a seed for the fuzzer.
 */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"
#include "persistent-data/le.h"

#include <stdio.h>
#include <stdlib.h>

#define SPACE_MAP_NR_BLOCKS 44 /* offset in the superblock */

int main(int argc, char **argv)
{
	static uint8_t block[METADATA_BLOCK_SIZE];
	unsigned long nr_blocks = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

	for (unsigned long i = 0; i < nr_blocks; i++) {
		if (fread(block, sizeof(block), 1, stdin) != 1)
			return EXIT_FAILURE;
		if (i == 0) {
			put_le64(block + SPACE_MAP_NR_BLOCKS, nr_blocks);
			block_seal(block, BLOCK_SUPERBLOCK, 0);
		}
		if (fwrite(block, sizeof(block), 1, stdout) != 1)
			return EXIT_FAILURE;
	}
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
