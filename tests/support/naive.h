/* SPDX-License-Identifier: MIT */
/*
 * A second, plain implementation of the format, as a model to hold the commands against: whole trees
 * in plain arrays, one loop for each question. It includes none of the project's headers, so that
 * a mistake in the library is not repeated here.
 *
 * The images are meant to be sound: whatever is not, is a problem to be told, and no more than that.
 */
#ifndef TESTS_SUPPORT_NAIVE_H
#define TESTS_SUPPORT_NAIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file with metadata, mapped. */
struct naive_image {
	const uint8_t *bytes;
	uint64_t nr_blocks;
	char problem[160]; /* the first thing that was found to be wrong; empty: nothing */
};

struct naive_writeset {
	uint32_t era, nr_bits;
	uint8_t *bits; /* bit n is bit n % 8 of byte n / 8 */
};

/* What metadata says. Writesets ascend; the current one, if there is one, is the last. */
struct naive {
	char uuid[17];
	uint32_t block_size, nr_blocks, current_era;
	uint32_t nr_writesets;
	struct naive_writeset *writesets;
	uint32_t *eras; /* the era array */
};

enum naive_shape { NAIVE_FULL, NAIVE_COMPACT, NAIVE_LOGICAL };

/* false: the file cannot be read. */
bool naive_open(struct naive_image *image, const char *path);
void naive_close(struct naive_image *image);

/* Where the held metadata snapshot's superblock is; 0: none is held. */
uint64_t naive_snapshot(struct naive_image *image);

/* false: image->problem says why. To be freed in any case. */
bool naive_load(struct naive *naive, struct naive_image *image, bool snapshot);
void naive_free(struct naive *naive);

/* Counts every reference, and compares with the space map. false: image->problem says why. */
bool naive_check_counts(struct naive_image *image);

/* Room for another writeset of no bits set, which is returned; nr_blocks eras of 0. */
struct naive_writeset *naive_add_writeset(struct naive *naive, uint32_t era, uint32_t nr_bits);
void naive_make_eras(struct naive *naive);

bool naive_bit(const struct naive_writeset *writeset, uint32_t bit);
void naive_set_bit(struct naive_writeset *writeset, uint32_t bit);

/* Whether two say the same. false: text says what the difference is. */
bool naive_same(const struct naive *a, const struct naive *b, char text[160]);

/* The era in which each data block was last written, writesets included. To be freed. */
uint32_t *naive_block_eras(const struct naive *naive);

/* How many lines a dump has, about. */
uint64_t naive_nr_lines(const struct naive *naive, enum naive_shape shape);

/* What era_dump prints. To be freed. */
char *naive_dump(const struct naive *naive, enum naive_shape shape, size_t *size);

/* What era_invalidate prints for blocks of these eras. To be freed. */
char *naive_changed(const uint32_t *eras, uint32_t nr_blocks, uint32_t since, size_t *size);

#endif
