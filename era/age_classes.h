/* SPDX-License-Identifier: MIT */
/*
 * Classes of age, for maps: eras next to each other, the newer the fewer, so that there are as many
 * colours as an eye can tell apart.
 */
#ifndef ERA_AGE_CLASSES_H
#define ERA_AGE_CLASSES_H

#include "era/ages.h"

#define AGE_CLASSES 7
#define AGE_NEVER AGE_CLASSES /* the class of era 0, which has a colour of its own */

struct age_class {
	uint32_t first, last; /* eras, of which there are blocks */
	uint64_t nr_blocks;
	bool with_last; /* the device's last block is of it */
};

struct age_classes {
	unsigned nr;				   /* but for the last: newest first */
	struct age_class classes[AGE_CLASSES + 1]; /* [AGE_NEVER]: era 0; no blocks: not there */
};

void age_classes_make(struct age_classes *classes, const struct ages *ages);

/* The class of a cell's era. */
unsigned age_classes_of(const struct age_classes *classes, uint32_t era);

#define SIZE_TEXT 24

/* Bytes as people say it, in powers of 1024: "512 B", "64 KiB", "1.5 GiB". Rounded to nearest. */
const char *size_text(char text[SIZE_TEXT], uint64_t bytes);

/* A share of the whole: "12.5 %", and never 0 or 100 unless it is that. */
#define SHARE_TEXT 16
const char *share_text(char text[SHARE_TEXT], uint64_t part, uint64_t whole);

/* "era 7" or "eras 3-6" or "never written". */
#define CLASS_TEXT 40
const char *class_text(char text[CLASS_TEXT], const struct age_class *class);

#endif
