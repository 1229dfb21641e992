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

/* The same for many runs at once, which is faster where there are many. */
#define CHANGED_RUNS_MAX 256

struct changed_runs {
	const struct changed *changed;
	uint64_t next_word; /* to be looked at */
	unsigned nr;	    /* runs at hand: run i is [edges[2 * i], edges[2 * i + 1]) */
	bool open;	    /* one more run has begun, at edges[2 * nr] */
	uint32_t edges[2 * CHANGED_RUNS_MAX];
};

void changed_runs_init(struct changed_runs *runs, const struct changed *changed);

/* The next runs; false: there are none. */
bool changed_runs_next(struct changed_runs *runs);

#endif
