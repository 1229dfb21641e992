/* SPDX-License-Identifier: MIT */
/* The sink that raises the least eras of a survey to what a stream says of each data block. */
#ifndef ERA_RAISE_H
#define ERA_RAISE_H

#include "era/survey.h"

struct raise {
	struct sink sink;
	struct survey *survey;
	uint32_t era; /* of the writeset at hand */
};

void raise_init(struct raise *raise, struct survey *survey);

#endif
