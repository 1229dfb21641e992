/* SPDX-License-Identifier: MIT */
/*
 * What must be known of damaged metadata before any of it can be used: which blocks are not to be
 * trusted although they are sound, what the superblock has wrong, and what is missing without a trace
 * in the trees.
 *
 * The space map is the witness. A block that the trees use and that it has as free, or as used less,
 * while others that it counts are used by nobody: a pointer has gone astray, so what it leads to is
 * taken for lost. A writeset that it counts and that nothing refers to: somebody forgot it, so its
 * blocks count as written in the current era. A space map that cannot be read says nothing. Where it is
 * beyond doubt, what it counts is all that a lost part of the writeset tree can have named.
 */
#ifndef ERA_SURVEY_H
#define ERA_SURVEY_H

#include "era/latest.h"
#include "era/mend.h"
#include "era/metadata.h"

struct survey {
	struct superblock superblock; /* to walk the trees by: as it is, but for its lengths */
	struct stream_info info;      /* the superblock's numbers, put right */
	/* Data blocks written in the current era, whatever the trees say, a bit each; NULL: none. */
	uint64_t *current;
	bool everything; /* any block may have been written in the current era */
	bool era_known;	 /* the current era, be it by a guess */
	/* What of the writeset tree is lost named these and no others, by the space map. */
	bool writesets_found;
};

/*
 * Walks all of it once, by the first superblock that was found; if that is the device's own, its numbers
 * may be wrong in any way (numbers.h). Blocks that are not to be trusted are marked as such in
 * metadata->refs. mend: the device, where lost nodes are mended as far as they can be; NULL: none are.
 * What is found is reported. PD_ERR_CORRUPT: the number of data blocks is lost; PD_ERR_NO_MEMORY. To be
 * destroyed in any case.
 */
int survey_make(struct survey *survey, struct metadata *metadata, const struct found *found,
		struct mend *mend, const struct report *report);
void survey_destroy(struct survey *survey);

/*
 * The same by another superblock, which may be the right one as well: its trees are surveyed, and what
 * is known of data blocks is added. The number of data blocks stays.
 */
int survey_add(struct survey *survey, struct metadata *metadata, const struct superblock *other);

static inline bool survey_is_current(const struct survey *survey, uint32_t block)
{
	return survey->current && survey->current[block / 64] >> block % 64 & 1;
}

/* Data blocks that were written in the current era, by bits from block `first` on. */
int survey_add_bits(struct survey *survey, uint64_t first, const uint64_t *words,
		    uint64_t nr_words);

/* The same for all data blocks [begin, end). PD_ERR_NO_MEMORY, both. */
int survey_add_range(struct survey *survey, uint64_t begin, uint64_t end);

#endif
