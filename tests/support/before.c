/* SPDX-License-Identifier: MIT */
/* Metadata before they were damaged, and what is salvaged of them. */
#include "tests/support/before.h"
#include "tests/support/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define READS_PER_BLOCK 80 /* at most: the search for what a lost superblock named takes 64 */

struct before before_look(const struct image *image)
{
	struct before before;

	before.eras = salvaged_truth(image, &before.nr_blocks, &before.current_era);
	before.data_block_size = (uint32_t)image_get(image, 0, SB_DATA_BLOCK_SIZE, 4);
	return before;
}

/* The image of a fixture. */
struct before before_load(struct image *image, const char *name)
{
	struct fixture fixture;

	fixture_open(&fixture, name);
	cr_assert(image_load(image, fixture.image));
	truth_free(&fixture.truth);
	return before_look(image);
}

/* The law: for every era, all that changed since then. */
static bool is_superset(const struct salvaged *salvaged, const struct before *before,
			char text[120])
{
	for (uint32_t i = 0; i < before->nr_blocks; i++) {
		if (i < salvaged->nr_blocks && salvaged->eras[i] >= before->eras[i])
			continue;
		snprintf(text, 120, "data block %u is of era %u, which was %u", i,
			 i < salvaged->nr_blocks ? salvaged->eras[i] : 0, before->eras[i]);
		return false;
	}
	return true;
}

/*
 * Data blocks that count as written later than they were. Those of the current era are among all that
 * changed since any that has begun, whatever the era that stands for it.
 */
uint32_t before_excess(const struct salvaged *salvaged, const struct before *before)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; salvaged->eras && i < before->nr_blocks; i++)
		nr += salvaged->eras[i] > before->eras[i] && before->eras[i] < before->current_era;
	return nr;
}

struct salvaged before_salvage(const struct image *image, const struct before *before, bool hints,
			       const char *name)
{
	struct salvaged salvaged;
	char text[120] = "";

	salvaged_make(&salvaged, image, hints ? before->nr_blocks : 0,
		      hints ? before->data_block_size : 0);
	cr_expect_leq(salvaged.nr_reads, READS_PER_BLOCK * (image->nr_blocks + 256),
		      "%s: %llu blocks were read", name, (unsigned long long)salvaged.nr_reads);
	cr_expect(!salvaged.problem[0], "%s: unsound: %s\n%s", name, salvaged.problem,
		  salvaged.messages);
	if (salvaged.eras)
		cr_expect(is_superset(&salvaged, before, text), "%s: %s\n%s", name, text,
			  salvaged.messages);
	return salvaged;
}
