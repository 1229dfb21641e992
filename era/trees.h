/* SPDX-License-Identifier: MIT */
/*
 * Walks all that a superblock names, apart from the space map: the writeset tree with its bitsets,
 * the current writeset, the era array; checks every value, hands what is sound to a sink and tells of
 * what is not. Reading, checking and salvaging metadata differ only in what they do about damage.
 */
#ifndef ERA_TREES_H
#define ERA_TREES_H

#include "era/finding.h"
#include "era/metadata.h"
#include "era/stream.h"

#define WRITESET_VALUE_SIZE 12 /* of the writeset tree: le32 nr_bits, le64 root of the bitset */

struct trees_visitor {
	struct sink *sink; /* NULL: nobody wants the data, only the damage */
	void *context;
	/*
	 * Is told of each damage; 0: go on, anything else ends the walk. After a damage the sink
	 * still gets all that is sound, with gaps where something was lost. A writeset of an era that
	 * cannot be is handed on too, under that era (or UINT32_MAX, if it is larger).
	 */
	int (*finding)(void *context, const struct finding *finding);
	/*
	 * The data blocks that are wanted: metadata blocks that are about others only are left out. end
	 * 0: all.
	 */
	uint64_t begin, end;
};

/*
 * The trees of a superblock, which is the live one or, if snapshot, that of the metadata snapshot.
 * All references are counted in metadata->refs, in a pass of their own (see ref_counts.h). 0, what the
 * visitor or the sink returned, or PD_ERR_NO_MEMORY.
 */
int trees_walk(struct metadata *metadata, const struct superblock *superblock, bool snapshot,
	       const struct trees_visitor *visitor);

/*
 * The same for trees that are sound, in whatever order is fastest: the sink, NULL or one that takes
 * any order (see stream.h), gets writesets and eras in pieces. What is not sound is not told of:
 * PD_ERR_CORRUPT means that trees_walk() is to be asked, with references counted from the beginning.
 */
int trees_sweep(struct metadata *metadata, const struct superblock *superblock, bool snapshot,
		struct sink *sink);

#endif
