/* SPDX-License-Identifier: MIT */
/*
 * Finds out whether a state of metadata, the latest of those that are consistent, was followed by one
 * that is not any more, although everything of it is sound: a pointer in it has been changed.
 *
 * The kernel takes free blocks one after another, going on behind those that the transaction before took.
 * So the first index block behind that of a state is that of the transaction that followed it, if all
 * that this one counts and the state does not begins right behind the state's own index block and is
 * free of gaps. An older space map would have to be there by chance. A device of which all blocks were
 * in use once is not looked at: older ones are everywhere.
 */
#ifndef ERA_SUCCESSOR_H
#define ERA_SUCCESSOR_H

#include "era/state.h"

/* consistent: whether the state of an index block is. *error: PD_ERR_NO_MEMORY, or unchanged. */
bool state_has_successor(struct scan *scan, const struct state *state, const bool *consistent,
			 int *error);

#endif
