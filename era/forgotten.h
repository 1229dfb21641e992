/* SPDX-License-Identifier: MIT */
/*
 * Finds writesets that the space map counts as in use and that nothing refers to: a pointer to them
 * was lost without a trace. Nothing tells their eras any longer, so their data blocks count as written
 * in the current one.
 */
#ifndef ERA_FORGOTTEN_H
#define ERA_FORGOTTEN_H

#include "era/survey.h"

struct forgotten {
	bool *blocks; /* the metadata blocks in use that nothing refers to, of all that can be */
	uint64_t nr_writesets; /* that these make up */
	uint64_t era;	       /* the latest that has a writeset by a leaf among them */
	bool rest;	       /* some of the others may have led to more writesets */
	bool doubtful;	       /* they may have, if more was lost than shows */
};

/* Takes in the writesets that are made up by such blocks. PD_ERR_NO_MEMORY. */
int forgotten_find(struct survey *survey, struct metadata *metadata, struct forgotten *forgotten);

#endif
