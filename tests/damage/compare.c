/* SPDX-License-Identifier: MIT */
/*
 * usage: compare IMAGE IMAGE
 * Says how many data blocks of the first image are of a later era there (less, in the second), and how
 * many of an earlier one. One that is of the first image's current era is among all that changed since
 * any, so that a later one makes no difference. The images must be sound.
 */
#include "tests/support/naive.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t *load(const char *path, uint32_t *nr_blocks, uint32_t *current_era)
{
	struct naive_image image;
	struct naive naive;
	uint32_t *eras;

	if (!naive_open(&image, path) || !naive_load(&naive, &image, false)) {
		fprintf(stderr, "compare: %s: %s\n", path, image.problem);
		exit(EXIT_FAILURE);
	}
	*nr_blocks = naive.nr_blocks;
	*current_era = naive.current_era;
	eras = naive_block_eras(&naive);
	naive_free(&naive);
	naive_close(&image);
	return eras;
}

int main(int argc, char **argv)
{
	uint32_t nr_before, nr_after, current, current_after, less = 0, more = 0;
	uint32_t *before, *after;

	if (argc != 3)
		return EXIT_FAILURE;
	before = load(argv[1], &nr_before, &current);
	after = load(argv[2], &nr_after, &current_after);
	for (uint32_t i = 0; i < nr_before; i++) {
		uint32_t era = i < nr_after ? after[i] : 0;

		less += era < before[i];
		more += era > before[i] && before[i] < current;
	}
	printf("less: %u, more: %u\n", less, more);
	free(before);
	free(after);
	return EXIT_SUCCESS;
}
