/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with metadata, in terms of what it means: which structure, which metadata blocks,
 * and which data blocks or eras cannot be told for it.
 */
#ifndef ERA_FINDING_H
#define ERA_FINDING_H

#include "persistent-data/damage.h"

#include <stddef.h>
#include <stdint.h>

enum structure {
	STRUCTURE_SUPERBLOCK,
	STRUCTURE_WRITESET_TREE,
	STRUCTURE_WRITESET,
	STRUCTURE_CURRENT_WRITESET,
	STRUCTURE_ERA_ARRAY,
	STRUCTURE_SPACE_MAP,
	STRUCTURE_REFERENCE_COUNTS,
};

enum severity { SEVERITY_FATAL, SEVERITY_NON_FATAL };

enum affected { AFFECTS_NOTHING, AFFECTS_DATA_BLOCKS, AFFECTS_ERAS, AFFECTS_METADATA_BLOCKS };

struct finding {
	enum severity severity;
	enum structure structure;
	bool snapshot; /* in the metadata snapshot's trees */
	uint32_t era;  /* of the writeset, for STRUCTURE_WRITESET and STRUCTURE_CURRENT_WRITESET */
	uint64_t block_begin, block_end; /* the metadata blocks that are bad, half-open; */
	uint64_t nr_blocks;		 /* fewer than the range has if they are scattered in it */
	enum affected affected;
	struct damage damage; /* its range: what is affected */
};

/* A finding about one metadata block. */
struct finding finding_make(enum structure structure, const struct damage *damage,
			    enum affected affected);

const char *structure_name(enum structure structure);

#define FINDING_TEXT_MAX 400

/* The finding in a line for people, without a newline. */
void finding_text(const struct finding *finding, char text[FINDING_TEXT_MAX]);

#endif
