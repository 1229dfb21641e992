/* SPDX-License-Identifier: MIT */
/*
 * A device of which lost btree nodes are put together again from their children. Which blocks these are
 * the space map tells: it counts them, and nothing refers to them. If they are nodes, they say
 * themselves which keys they have. Array blocks do not: of several that may be in a place each value is
 * taken for the greatest that any of them has there, or each bit as set if it is in any, so that
 * nothing is left out whichever is the right one.
 */
#ifndef ERA_MEND_H
#define ERA_MEND_H

#include "era/finding.h"
#include "era/guessed.h"
#include "era/kind.h"
#include "persistent-data/array.h"
#include "persistent-data/block_io.h"
#include "persistent-data/block_reader.h"

#include <stdbool.h>

/* What one block or several read as, but for their own number and checksum. */
struct mend_page {
	uint8_t content[METADATA_BLOCK_SIZE];
	/* A bit for each data block it is about: what it says may be too much. */
	uint64_t vague[(METADATA_BLOCK_SIZE - ARRAY_VALUES) / sizeof(uint64_t)];
	struct mend_page *next;
};

struct mended;

struct mend {
	struct block_io io; /* reads what the other one has, but for the mended blocks */
	struct block_io *inner;
	struct mended *blocks; /* in ascending order */
	size_t nr;
	struct mend_page *pages;
};

/* inner stays the caller's. To be destroyed. */
void mend_init(struct mend *mend, struct block_io *inner);
void mend_destroy(struct mend *mend);

#define MEND_MAX_LOST 64

struct lost_node {
	enum structure structure;
	uint32_t era; /* of a writeset */
	uint64_t number;
	uint64_t begin, end;  /* the data blocks, or eras, that it led to */
	unsigned nr_children; /* when it is mended; 0: it is not */
	bool in_order;	      /* each of them is in its place */
};

struct losses {
	unsigned nr;
	struct lost_node nodes[MEND_MAX_LOST];
	uint64_t nr_blocks; /* metadata blocks; for each: */
	bool *forgotten;    /* whether it is in use, and nothing is known that refers to it; */
	bool *orphans;	    /* or that it is referred to once more than is known. Is changed */
	/* An era array that may have blocks in common with what is lost; 0: there is none. */
	uint64_t other_array;
	struct block_reader *reader;
};

/*
 * Mends the nodes of which the children can be told. What is marked must be all that they led to.
 * PD_ERR_NO_MEMORY.
 */
int mend_lost(struct mend *mend, struct losses *losses);

/* The data blocks about which too much may be said. PD_ERR_NO_MEMORY. */
int mend_guess(const struct mend *mend, struct guessed *guessed);

/* For those who mend: */

/* A page that is all zero; NULL: out of memory. */
struct mend_page *mend_page(struct mend *mend);
/* From now on a block reads as the page. first: the data block that it begins with. PD_ERR_NO_MEMORY. */
int mend_put(struct mend *mend, uint64_t number, enum block_type type, const struct mend_page *page,
	     uint64_t first);
/* What a block of the device holds. */
enum kind mend_look(const struct mend *mend, uint64_t number, uint8_t *block);
/* Whether the device has that block, and nothing is in it. */
bool mend_is_lost(const struct mend *mend, uint64_t number, uint8_t *block);
/* The leaves of arrays among the nodes: see mend_leaves.c. block: room for one. */
int mend_leaves(struct mend *mend, struct losses *losses, uint8_t *block);

#endif
