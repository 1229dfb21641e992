/* SPDX-License-Identifier: MIT */
/* Folds like findings into ranges. */
#include "era/fold.h"

static bool same_kind(const struct finding *a, const struct finding *b)
{
	return a->structure == b->structure && a->snapshot == b->snapshot && a->era == b->era &&
	       a->severity == b->severity && a->affected == b->affected &&
	       a->damage.what == b->damage.what;
}

static bool same_numbers(const struct damage *a, const struct damage *b)
{
	return a->has_numbers == b->has_numbers && a->found == b->found &&
	       a->expected == b->expected;
}

/* What is affected lies side by side; where nothing is, the bad blocks themselves do. */
static bool adjoins(const struct finding *before, const struct finding *after)
{
	if (before->affected == AFFECTS_NOTHING)
		return before->block_end == after->block_begin;
	return before->damage.begin < before->damage.end &&
	       before->damage.end == after->damage.begin;
}

static void take_in(struct finding *into, const struct finding *finding)
{
	if (into->damage.block != finding->damage.block)
		into->nr_blocks += finding->nr_blocks;
	into->damage.block = finding->damage.block;
	if (finding->block_begin < into->block_begin)
		into->block_begin = finding->block_begin;
	if (finding->block_end > into->block_end)
		into->block_end = finding->block_end;
	into->damage.end = finding->damage.end;
	if (into->damage.parent != finding->damage.parent)
		into->damage.parent = 0;
	if (!same_numbers(&into->damage, &finding->damage))
		into->damage.has_numbers = false;
}

static struct fold_kind *find_kind(struct fold *fold, const struct finding *finding)
{
	struct fold_kind *kind = fold->kinds;

	for (; kind < fold->kinds + fold->nr_kinds; kind++)
		if (kind->structure == finding->structure && kind->snapshot == finding->snapshot &&
		    kind->what == finding->damage.what)
			return kind;
	if (fold->nr_kinds == FOLD_MAX_KINDS)
		return kind - 1;
	*kind = (struct fold_kind){finding->structure, finding->snapshot, finding->damage.what, 0};
	fold->nr_kinds++;
	return kind;
}

static void tell_pending(struct fold *fold)
{
	const struct finding *finding = &fold->pending;

	if (!fold->has_pending)
		return;
	fold->has_pending = false;
	if (finding->severity == SEVERITY_FATAL)
		fold->nr_fatal++;
	else
		fold->nr_non_fatal++;
	if (++find_kind(fold, finding)->nr <= FOLD_MAX_LIKE)
		fold->finding(fold->context, finding);
}

void fold_add(struct fold *fold, const struct finding *finding)
{
	if (fold->has_pending && same_kind(&fold->pending, finding) &&
	    adjoins(&fold->pending, finding)) {
		take_in(&fold->pending, finding);
		return;
	}
	tell_pending(fold);
	fold->pending = *finding;
	fold->has_pending = true;
}

void fold_finish(struct fold *fold)
{
	tell_pending(fold);
	for (unsigned i = 0; i < fold->nr_kinds; i++)
		if (fold->kinds[i].nr > FOLD_MAX_LIKE)
			fold->more(fold->context, &fold->kinds[i],
				   fold->kinds[i].nr - FOLD_MAX_LIKE);
}
