/* SPDX-License-Identifier: MIT */
/* Copies changed blocks into a stream of differences. */
#include "era/copy.h"
#include "era/pipeline.h"
#include "persistent-data/error.h"

#include <errno.h>

#define UNIT 4096 /* bytes that are looked at for being all zero */

struct copy_run {
	const struct copy *copy;
	struct text text;
	uint64_t begin, end;		 /* of the extent at hand: what is still to be read */
	bool unread;			 /* because that failed */
	uint64_t zeroes_at, zeroes_size; /* a stretch that may go on */
};

int copy_next_era(const struct stream_info *info, bool snapshot, uint32_t *era,
		  const struct report *report)
{
	*era = snapshot ? info->current_era : info->current_era + 1;
	if (*era)
		return PD_OK;
	return report_error(report, PD_ERR_UNSUPPORTED, "no era follows era %u", info->current_era);
}

/* Reading. */

static int read_piece(struct copy_run *run, struct batch *batch)
{
	size_t length;
	uint8_t *data = batch_room(batch, run->end - run->begin, &length);
	int r;

	if (!data)
		return PD_OK;
	r = data_io_read(run->copy->origin, run->begin, length, data);
	run->unread = r != PD_OK;
	if (r)
		return r;
	batch_add(batch, run->begin, length, data);
	run->begin += length;
	return PD_OK;
}

static int fill(void *context, struct batch *batch)
{
	struct copy_run *run = context;
	unsigned nr;
	int r;

	do {
		nr = batch->nr;
		if (run->begin == run->end &&
		    !extents_next(run->copy->extents, &run->begin, &run->end))
			return PD_OK;
		r = read_piece(run, batch);
	} while (!r && batch->nr > nr);
	return r;
}

/* Writing. */

static bool all_zero(const uint8_t *data, size_t size)
{
	return !data[0] && !memcmp(data, data + 1, size - 1);
}

static void end_zeroes(struct copy_run *run)
{
	if (run->zeroes_size)
		rbd_diff_put_zeroes(&run->text, run->zeroes_at, run->zeroes_size);
	run->zeroes_size = 0;
}

static void add_zeroes(struct copy_run *run, uint64_t offset, size_t size)
{
	if (run->zeroes_at + run->zeroes_size != offset)
		end_zeroes(run);
	if (!run->zeroes_size)
		run->zeroes_at = offset;
	run->zeroes_size += size;
}

/* How much from data on is of one kind, zero or not. */
static size_t run_length(const uint8_t *data, size_t size, bool zero)
{
	size_t length = 0;

	while (length < size) {
		size_t unit = size - length < UNIT ? size - length : UNIT;

		if (all_zero(data + length, unit) != zero)
			break;
		length += unit;
	}
	return length;
}

static void put_piece(struct copy_run *run, const struct piece *piece)
{
	size_t at = 0, size = (size_t)piece->length;
	bool zero = all_zero(piece->data, size < UNIT ? size : UNIT);

	for (; at < size; zero = !zero) {
		size_t length = run_length(piece->data + at, size - at, zero);

		if (zero) {
			add_zeroes(run, piece->offset + at, length);
		} else {
			end_zeroes(run);
			rbd_diff_put_data(&run->text, piece->offset + at, piece->data + at, length);
		}
		at += length;
	}
}

static int empty(void *context, const struct batch *batch)
{
	struct copy_run *run = context;

	for (unsigned i = 0; i < batch->nr && !text_error(&run->text); i++) {
		put_piece(run, &batch->pieces[i]);
		if (run->copy->progress)
			run->copy->progress(run->copy->progress_context, batch->pieces[i].length);
	}
	return text_error(&run->text);
}

int copy_changed(const struct copy *copy, const struct text_output *output,
		 const struct report *report)
{
	struct copy_run run = {.copy = copy};
	const struct pipeline pipeline = {fill, &run, empty, &run};
	int r = text_init(&run.text, output);

	if (r)
		return r;
	rbd_diff_put_header(&run.text, &copy->header);
	r = pipeline_run(&pipeline);
	/* Not told by the thread that read it: this one may be showing progress. */
	if (r && run.unread && !text_error(&run.text))
		report_message(report, "cannot be read at byte %llu: %s",
			       (unsigned long long)run.begin, strerror(errno));
	if (!r) {
		end_zeroes(&run);
		rbd_diff_put_end(&run.text);
		r = text_flush(&run.text);
	}
	text_destroy(&run.text);
	return r;
}
