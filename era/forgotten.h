/* SPDX-License-Identifier: MIT */
/*
 * Finds writesets that the space map counts as in use and that nothing refers to: a pointer to them
 * was lost without a trace. Nothing tells their eras any longer, so their data blocks count as written
 * in the current one.
 */
#ifndef ERA_FORGOTTEN_H
#define ERA_FORGOTTEN_H

#include "era/survey.h"

/*
 * Takes in the writesets that are made up by the metadata blocks marked in forgotten[], one for each
 * that can be in use. explained: damaged trees may refer to them, so that what is no writeset by itself
 * needs no explanation; otherwise what cannot be placed makes all data blocks count. *nr: how many
 * writesets there were. PD_ERR_NO_MEMORY.
 */
int forgotten_find(struct survey *survey, struct metadata *metadata, bool *forgotten,
		   bool explained, uint64_t *nr);

#endif
