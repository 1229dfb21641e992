/* SPDX-License-Identifier: MIT */
/* Reference counts in memory. */
#include "persistent-data/ref_counts.h"
#include "persistent-data/error.h"

#include <stdlib.h>

#define USED_IN_PASS 0x8000
#define MARKED 0x4000
#define DISTRUSTED 0x2000

int ref_counts_init(struct ref_counts *refs, uint64_t nr_blocks)
{
	refs->nr_blocks = nr_blocks;
	refs->used = false;
	refs->looks_left = 0;
	/* calloc: pages of a large device that are never counted cost no memory. */
	refs->counts = calloc(nr_blocks ? nr_blocks : 1, sizeof(*refs->counts));
	return refs->counts ? PD_OK : PD_ERR_NO_MEMORY;
}

void ref_counts_destroy(struct ref_counts *refs)
{
	free(refs->counts);
	refs->counts = NULL;
}

void ref_counts_clear(struct ref_counts *refs)
{
	for (uint64_t i = 0; refs->used && i < refs->nr_blocks; i++)
		if (refs->counts[i])
			refs->counts[i] &= DISTRUSTED;
	refs->used = false;
}

enum ref_use ref_counts_add(struct ref_counts *refs, uint64_t block, bool parent_shared)
{
	uint16_t *entry = &refs->counts[block];
	uint16_t before = *entry;

	*entry |= USED_IN_PASS;
	if (!parent_shared && (before & REF_COUNT_MAX) < REF_COUNT_MAX)
		(*entry)++;
	if (before & USED_IN_PASS)
		return REF_AGAIN;
	return before & REF_COUNT_MAX ? REF_SHARED : REF_FIRST;
}

void ref_counts_begin_pass(struct ref_counts *refs)
{
	for (uint64_t i = 0; refs->used && i < refs->nr_blocks; i++)
		if (refs->counts[i] & USED_IN_PASS)
			refs->counts[i] = (uint16_t)(refs->counts[i] & ~USED_IN_PASS);
	refs->used = true;
}

unsigned ref_counts_get(const struct ref_counts *refs, uint64_t block)
{
	return refs->counts[block] & REF_COUNT_MAX;
}

void ref_counts_distrust(struct ref_counts *refs, uint64_t block)
{
	refs->counts[block] |= DISTRUSTED;
}

bool ref_counts_distrusted(const struct ref_counts *refs, uint64_t block)
{
	return refs->counts[block] & DISTRUSTED;
}

void ref_counts_mark(struct ref_counts *refs, uint64_t block)
{
	refs->counts[block] |= MARKED;
}

bool ref_counts_marked(const struct ref_counts *refs, uint64_t block)
{
	return refs->counts[block] & MARKED;
}
