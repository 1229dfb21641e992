/* SPDX-License-Identifier: MIT */
/*
 * Folds like findings into ranges, so that a large damage is a few lines and not millions.
 *
 * Findings about the same thing whose blocks lie side by side become one. Of those that remain, the
 * first FOLD_MAX_LIKE of a kind are told singly; the rest is counted.
 */
#ifndef ERA_FOLD_H
#define ERA_FOLD_H

#include "era/finding.h"

#define FOLD_MAX_KINDS 128 /* more than there are */
#define FOLD_MAX_LIKE 100

struct fold_kind {
	enum structure structure;
	bool snapshot;
	const char *what;
	uint64_t nr; /* findings, folded */
};

struct fold {
	/* Is told of each finding, folded; ... */
	void (*finding)(void *context, const struct finding *finding);
	/* ... and at the end of each kind of which some were not told, and how many. */
	void (*more)(void *context, const struct fold_kind *kind, uint64_t nr_more);
	void *context;
	bool has_pending;
	struct finding pending;
	uint64_t nr_fatal, nr_non_fatal; /* findings, folded */
	unsigned nr_kinds;
	struct fold_kind kinds[FOLD_MAX_KINDS];
};

void fold_add(struct fold *fold, const struct finding *finding);
void fold_finish(struct fold *fold);

#endif
