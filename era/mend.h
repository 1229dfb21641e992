/* SPDX-License-Identifier: MIT */
/*
 * A device of which a lost btree node is put together again from its children. These say themselves
 * which keys they have; that they are the ones, and all of them, the space map tells: it counts them,
 * and nothing else refers to them.
 */
#ifndef ERA_MEND_H
#define ERA_MEND_H

#include "era/kind.h"
#include "persistent-data/block_io.h"

#include <stdbool.h>

struct mend {
	struct block_io io; /* reads what the other one has, but for the mended block */
	struct block_io *inner;
	uint64_t number; /* of that; 0: there is none */
	unsigned nr_children;
	uint8_t *node;
};

/* inner stays the caller's. PD_ERR_NO_MEMORY. To be destroyed in any case. */
int mend_init(struct mend *mend, struct block_io *inner);
void mend_destroy(struct mend *mend);

/*
 * Mends a node that is damaged, if all blocks that are marked in forgotten[], one for each of nr_blocks,
 * are what lay below it, and its children can be told. leaves: what the tree has. *mended: whether it was.
 * PD_ERR_NO_MEMORY.
 */
int mend_node(struct mend *mend, uint64_t number, enum kind leaves, const bool *forgotten,
	      uint64_t nr_blocks, bool *mended);

#endif
