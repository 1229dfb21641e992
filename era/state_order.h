/* SPDX-License-Identifier: MIT */
/*
 * Which of two states of metadata is the later one.
 *
 * It shows in what they say, since in time it only gets more: eras in the era array grow; by the same
 * era array, the latest era that had any writes does; and by the same of these the bits of the current
 * writeset do, since the eras that went without writes left it empty.
 */
#ifndef ERA_STATE_ORDER_H
#define ERA_STATE_ORDER_H

#include "era/state.h"

enum state_order {
	STATE_EARLIER,
	STATE_SAME, /* they say the same */
	STATE_LATER,
	STATE_UNKNOWN, /* damaged, or not of one history: the device was formatted in between */
};

/* How a compares with b. */
enum state_order state_compare(const struct scan *scan, const struct state *a,
			       const struct state *b);

#endif
