/* SPDX-License-Identifier: MIT */
/* Applies a stream of differences. */
#include "era/apply.h"
#include "era/pipeline.h"
#include "persistent-data/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define STATE_HEAD "era_apply 1\n"

/* The state. */

size_t apply_state_encode(const struct apply_state *state, char text[APPLY_STATE_MAX])
{
	int n;

	if (state->applying)
		n = snprintf(text, APPLY_STATE_MAX,
			     STATE_HEAD "applying %" PRIu32 " %" PRIu32 "\nsize %" PRIu64 "\n",
			     state->from, state->era, state->size);
	else
		n = snprintf(text, APPLY_STATE_MAX,
			     STATE_HEAD "era %" PRIu32 "\nsize %" PRIu64 "\n", state->era,
			     state->size);
	return (size_t)n;
}

bool apply_state_decode(struct apply_state *state, const char *text)
{
	char again[APPLY_STATE_MAX];

	*state = (struct apply_state){.from = 0};
	if (sscanf(text, STATE_HEAD "era %" SCNu32 " size %" SCNu64, &state->era, &state->size) !=
	    2) {
		state->applying = true;
		if (sscanf(text, STATE_HEAD "applying %" SCNu32 " %" SCNu32 " size %" SCNu64,
			   &state->from, &state->era, &state->size) != 3)
			return false;
	}
	/* What scanf lets pass besides is not what was written. */
	apply_state_encode(state, again);
	return state->era && !strcmp(text, again);
}

int apply_accept(const struct apply_state *state, const struct rbd_diff_header *header,
		 const struct report *report)
{
	if (!header->from)
		return PD_OK;
	if (!state)
		return report_error(
			report, PD_ERR_USAGE,
			"the stream starts from era %u, but nothing tells which era the "
			"target is as of",
			header->from);
	if (state->size != header->size)
		return report_error(report, PD_ERR_USAGE,
				    "the stream is of a device of %" PRIu64 " bytes, the target of "
				    "one of %" PRIu64 ": a copy of the whole is needed",
				    header->size, state->size);
	if (state->applying && (state->from != header->from || state->era != header->to))
		return report_error(report, PD_ERR_USAGE,
				    "another stream, from era %u to era %u, was applied in part: "
				    "apply it again first, or a copy of the whole",
				    state->from, state->era);
	if (!state->applying && state->era != header->from && state->era != header->to)
		return report_error(
			report, PD_ERR_USAGE,
			"the stream leads from era %u to era %u, but the target is as of "
			"era %u",
			header->from, header->to, state->era);
	return PD_OK;
}

/* The stream. */

int apply_check(struct rbd_diff *diff)
{
	struct rbd_diff_extent extent;
	int r;

	do
		r = rbd_diff_next(diff, &extent);
	while (!r && extent.length);
	return r;
}

struct apply_run {
	const struct apply *apply;
	const struct report *report;
	struct rbd_diff_extent extent; /* what is left of it */
	uint64_t at;		       /* bytes: all of the target below this has been dealt with */
	bool ended;
};

static uint64_t size_of(const struct apply_run *run)
{
	return run->apply->diff->header.size;
}

/* The next extent; what a copy of the whole leaves out before it comes first. */
static int next_extent(struct apply_run *run, struct batch *batch)
{
	struct rbd_diff *diff = run->apply->diff;
	uint64_t until;
	int r = rbd_diff_next(diff, &run->extent);

	if (r)
		return r;
	run->ended = !run->extent.length;
	until = run->ended ? size_of(run) : run->extent.offset;
	if (!diff->header.from && until > run->at)
		batch_add(batch, run->at, until - run->at, NULL);
	run->at = run->extent.offset + run->extent.length;
	return PD_OK;
}

static int take_data(struct apply_run *run, struct batch *batch)
{
	struct rbd_diff_extent *extent = &run->extent;
	size_t length;
	uint8_t *data = batch_room(batch, extent->length, &length);
	int r;

	if (!data)
		return PD_OK;
	r = rbd_diff_read(run->apply->diff, data, length);
	if (r)
		return r;
	batch_add(batch, extent->offset, length, data);
	extent->offset += length;
	extent->length -= length;
	return PD_OK;
}

static int fill(void *context, struct batch *batch)
{
	struct apply_run *run = context;
	int r = PD_OK;

	/* A step may add two pieces. */
	while (!r && !run->ended && batch->nr + 2 <= BATCH_MAX_PIECES && batch->used < BATCH_SIZE) {
		if (!run->extent.length) {
			r = next_extent(run, batch);
		} else if (run->extent.has_data) {
			r = take_data(run, batch);
		} else {
			batch_add(batch, run->extent.offset, run->extent.length, NULL);
			run->extent.length = 0;
		}
	}
	return r;
}

static int put_piece(const struct apply_run *run, const struct piece *piece)
{
	struct data_io *target = run->apply->target;
	int r = piece->data ? data_io_write(target, piece->offset, piece->length, piece->data)
			    : data_io_zero(target, piece->offset, piece->length);

	if (r == PD_ERR_IO)
		report_message(run->report, "cannot be written at byte %" PRIu64 ": %s",
			       piece->offset, strerror(errno));
	return r;
}

static int empty(void *context, const struct batch *batch)
{
	struct apply_run *run = context;
	const struct apply *apply = run->apply;
	int r = PD_OK;

	for (unsigned i = 0; !r && i < batch->nr; i++) {
		r = put_piece(run, &batch->pieces[i]);
		if (apply->progress && batch->pieces[i].data)
			apply->progress(apply->progress_context, batch->pieces[i].length);
	}
	return r;
}

int apply_run(const struct apply *apply, const struct report *report)
{
	struct apply_run run = {.apply = apply, .report = report};
	const struct pipeline pipeline = {fill, &run, empty, &run};
	int r;

	if (apply->target->size < size_of(&run))
		return PD_ERR_NO_SPACE;
	r = pipeline_run(&pipeline);
	if (r)
		return r;
	r = data_io_flush(apply->target);
	if (r)
		report_message(report, "cannot be flushed: %s", strerror(errno));
	return r;
}
