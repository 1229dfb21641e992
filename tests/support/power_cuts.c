/* SPDX-License-Identifier: MIT */
/* What the power going at any instant can leave. */
#include "tests/support/power_cuts.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PENDING 4096

struct cutting {
	const struct power_cuts *cuts;
	size_t size;
	uint8_t *durable; /* with all that was flushed */
	uint8_t *image;
	const struct io_record *pending[MAX_PENDING]; /* written since the flush */
	size_t nr_pending;
	unsigned long nr_images;
};

/* chosen(i): whether pending write i got there; torn: the one that got there in part, or none. */
static void check_subset(struct cutting *cutting, const bool *chosen, size_t torn, size_t nr)
{
	memcpy(cutting->image, cutting->durable, cutting->size);
	for (size_t i = 0; i < cutting->nr_pending; i++) {
		const struct io_record *record = cutting->pending[i];
		size_t nr_sectors = io_record_sectors(record);

		if (i == torn)
			nr_sectors = (size_t)rand() % nr_sectors;
		if (chosen[i])
			io_record_apply(record, nr_sectors, cutting->image);
	}
	cutting->cuts->check(cutting->cuts->context, cutting->image, nr);
	cutting->nr_images++;
}

static void check_prefix(struct cutting *cutting, size_t nr)
{
	size_t n = cutting->nr_pending;
	bool chosen[MAX_PENDING] = {false};
	bool all = n <= cutting->cuts->all_up_to;
	unsigned nr_subsets = all ? 1u << n : cutting->cuts->nr_samples;

	for (unsigned subset = 0; subset < nr_subsets; subset++) {
		for (size_t i = 0; i < n; i++)
			chosen[i] = all ? subset >> i & 1 : rand() & 1;
		check_subset(cutting, chosen, SIZE_MAX, nr);
		if (n)
			check_subset(cutting, chosen, (size_t)rand() % n, nr);
	}
	memset(chosen, true, sizeof(chosen));
	if (!all)
		check_subset(cutting, chosen, SIZE_MAX, nr);
}

static void add_record(struct cutting *cutting, const struct io_record *record)
{
	if (record->device != cutting->cuts->device)
		return;
	if (record->count) {
		cr_assert_lt(cutting->nr_pending, MAX_PENDING);
		cutting->pending[cutting->nr_pending++] = record;
		return;
	}
	for (size_t i = 0; i < cutting->nr_pending; i++)
		io_record_apply(cutting->pending[i], io_record_sectors(cutting->pending[i]),
				cutting->durable);
	cutting->nr_pending = 0;
}

unsigned long power_cuts_check(const struct power_cuts *cuts, size_t from)
{
	struct cutting *cutting = calloc(1, sizeof(*cutting));
	unsigned long nr_images;

	cr_assert_not_null(cutting);
	cutting->cuts = cuts;
	cutting->size = (size_t)cuts->nr_blocks * METADATA_BLOCK_SIZE;
	cutting->durable = calloc(1, cutting->size);
	cutting->image = aligned_alloc(METADATA_BLOCK_SIZE, cutting->size);
	cr_assert(cutting->durable && cutting->image);
	if (cuts->before)
		memcpy(cutting->durable, cuts->before, cutting->size);
	for (size_t nr = 0; nr <= cuts->log->nr; nr++) {
		if (nr >= from)
			check_prefix(cutting, nr);
		if (nr < cuts->log->nr)
			add_record(cutting, &cuts->log->records[nr]);
	}
	nr_images = cutting->nr_images;
	free(cutting->durable);
	free(cutting->image);
	free(cutting);
	return nr_images;
}
