/* SPDX-License-Identifier: MIT */
/*
 * Which of two states of metadata is the later one.
 *
 * Eras in the era array only grow, unless the device was smaller in between: what it gets again begins
 * with era 0. By the same era array and the same writesets in the tree, the current writeset only gets more
 * bits: the state that has all the bits of the other says all that it does. Where the trees differ by the
 * same era array, nothing tells: a writeset may be there still, or again, since its blocks may have been put
 * to another use.
 */
#ifndef ERA_STATE_ORDER_H
#define ERA_STATE_ORDER_H

#include "era/state.h"

enum state_order {
	STATE_EARLIER,
	STATE_SAME, /* they say the same */
	STATE_LATER,
	STATE_UNKNOWN,
};

/* How a compares with b. */
enum state_order state_compare(struct scan *scan, const struct state *a, const struct state *b);

#endif
