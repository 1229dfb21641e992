/* SPDX-License-Identifier: MIT */
/*
 * Reference counts in memory: how often each metadata block was pointed to while trees were walked,
 * two bytes a block.
 *
 * Sharing is lawful between the live trees and those of a metadata snapshot, never within one of the
 * two. So the walks are done in passes, live and snapshot, and a block that is pointed to twice in
 * one pass is damage: this is also what makes walks over cyclic or crossed trees end.
 */
#ifndef PERSISTENT_DATA_REF_COUNTS_H
#define PERSISTENT_DATA_REF_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#define REF_COUNT_MAX 0x1fff /* counts stay there when they reach it; no lawful count does */

struct ref_counts {
	uint64_t nr_blocks;
	bool used;	     /* a pass has been begun */
	uint64_t looks_left; /* see block_reader_trusts(); 0 to begin with */
	uint16_t *counts;    /* the count, and three flags on top of it */
};

enum ref_use {
	REF_FIRST,  /* never pointed to before: what it points to is to be counted */
	REF_SHARED, /* known from an earlier pass: what it points to has been counted */
	REF_AGAIN,  /* pointed to twice in this pass */
};

/* All zero, for blocks [0, nr_blocks). PD_ERR_NO_MEMORY. */
int ref_counts_init(struct ref_counts *refs, uint64_t nr_blocks);
void ref_counts_destroy(struct ref_counts *refs);

/*
 * Notes that something points to a block. parent_shared: that something is itself known from an
 * earlier pass, so that this reference has been counted already.
 */
enum ref_use ref_counts_add(struct ref_counts *refs, uint64_t block, bool parent_shared);

/* All zero again, for a new count from the beginning; what is distrusted stays so. */
void ref_counts_clear(struct ref_counts *refs);

/* What is added before the first pass belongs to that too. */
void ref_counts_begin_pass(struct ref_counts *refs);

unsigned ref_counts_get(const struct ref_counts *refs, uint64_t block);

/* Blocks that are taken for lost whatever they hold; see block_reader_trusts(). */
void ref_counts_distrust(struct ref_counts *refs, uint64_t block);
bool ref_counts_distrusted(const struct ref_counts *refs, uint64_t block);

/* A flag of the caller's for each block. */
void ref_counts_mark(struct ref_counts *refs, uint64_t block);
bool ref_counts_marked(const struct ref_counts *refs, uint64_t block);

#endif
