/* SPDX-License-Identifier: MIT */
/* Counts the data blocks of which an era was guessed. */
#include "era/guessed.h"
#include "era/bitmap.h"
#include "persistent-data/error.h"

#include <stdlib.h>

static uint32_t nr_words(const struct guessed *guessed)
{
	return (guessed->nr_blocks >> guessed->shift) / 64 + 1;
}

void guessed_init(struct guessed *guessed, uint32_t nr_blocks)
{
	*guessed = (struct guessed){.nr_blocks = nr_blocks};
	while (nr_blocks >> guessed->shift >= GUESSED_MAX_BITS)
		guessed->shift++;
}

void guessed_destroy(struct guessed *guessed)
{
	free(guessed->words);
	guessed->words = NULL;
}

int guessed_add(struct guessed *guessed, uint64_t begin, uint64_t end)
{
	if (end > guessed->nr_blocks)
		end = guessed->nr_blocks;
	if (begin >= end)
		return PD_OK;
	if (!guessed->words)
		guessed->words = calloc(nr_words(guessed), sizeof(*guessed->words));
	if (!guessed->words)
		return PD_ERR_NO_MEMORY;
	bitmap_set(guessed->words, begin >> guessed->shift, ((end - 1) >> guessed->shift) + 1);
	return PD_OK;
}

uint64_t guessed_count(const struct guessed *guessed)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; guessed->words && i < nr_words(guessed); i++)
		nr += (uint64_t)__builtin_popcountll(guessed->words[i]);
	nr <<= guessed->shift;
	return nr < guessed->nr_blocks ? nr : guessed->nr_blocks;
}
