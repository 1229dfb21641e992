/* SPDX-License-Identifier: MIT */
/*
 * The filter that folds writesets into the era array: what comes out has no writesets, and each
 * block's era is the last one it was written in.
 *
 * Writesets come before the eras, so what they say is kept: a byte for each data block, and four more
 * where there are more than 255 writesets. Memory is only taken for stretches of 1024 data blocks in
 * which a writeset has a bit.
 */
#ifndef ERA_LOGICAL_H
#define ERA_LOGICAL_H

#include "era/stream.h"

/* next, where the result goes, stays the caller's. PD_ERR_NO_MEMORY, now or from begin(). */
int logical_open(struct sink *next, struct sink **result);
void logical_close(struct sink *sink);

#endif
