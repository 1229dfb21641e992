/* SPDX-License-Identifier: MIT */
/*
 * The set of data blocks written in an era or later: one bit for each data block.
 *
 * It is a sink. Before a source has called its end() it holds a part of the answer, which must not be
 * used.
 */
#ifndef ERA_CHANGED_H
#define ERA_CHANGED_H

#include "era/stream.h"

#include <stdbool.h>

struct changed {
	struct sink sink;
	uint32_t since;
	struct stream_info info;
	bool take_writeset; /* the one at hand is of `since` or later */
	uint64_t *words;
};

void changed_init(struct changed *changed, uint32_t since);
void changed_destroy(struct changed *changed);

/*
 * The first maximal run of changed blocks at or after *end, [*begin, *end). false: there is none.
 * Begin with *end = 0.
 */
bool changed_next(const struct changed *changed, uint32_t *begin, uint32_t *end);

#endif
