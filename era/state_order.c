/* SPDX-License-Identifier: MIT */
/* Compares states of metadata. */
#include "era/state_order.h"
#include "persistent-data/array.h"

#include <stdlib.h>
#include <string.h>

static enum state_order order(uint64_t a, uint64_t b)
{
	return a < b ? STATE_EARLIER : a > b ? STATE_LATER : STATE_SAME;
}

static enum state_order compare_arrays(const struct scan *scan, const struct state *a,
				       const struct state *b)
{
	enum state_order result = STATE_SAME;

	for (uint64_t i = 0; i < a->nr_array_blocks; i++) {
		uint64_t left = a->array_blocks[i];
		uint64_t right = b->array_blocks[i];
		enum state_order here;

		if (left == right)
			continue;
		if (scan->kinds[left] != KIND_ERAS || scan->kinds[right] != KIND_ERAS)
			return STATE_UNKNOWN;
		here = order(scan->sums[left], scan->sums[right]);
		if (here != STATE_SAME && result != STATE_SAME && here != result)
			return STATE_UNKNOWN;
		if (here != STATE_SAME)
			result = here;
	}
	return result;
}

/*
 * That the sums of its eras are lower makes a state earlier if nothing was taken from it by making the device
 * smaller for a while: then it has no later era than the other one, nor one that is later than that time.
 */
static bool is_certain(const struct scan *scan, const struct state *earlier,
		       const struct state *later)
{
	return earlier->latest <= later->latest &&
	       (!scan->resized || earlier->latest > scan->other_latest);
}

/* false: it cannot be told. */
static bool read_bits(struct scan *scan, uint64_t number, uint8_t *block)
{
	if (number)
		return scan->kinds[number] == KIND_WORDS && scan_look(scan, number, block);
	memset(block, 0, METADATA_BLOCK_SIZE);
	return true;
}

/* Adds up which of two blocks has bits that the other has not. */
static void compare_words(const uint8_t *a, const uint8_t *b, bool *less, bool *more)
{
	for (size_t i = ARRAY_VALUES; i < METADATA_BLOCK_SIZE; i++) {
		*less |= (b[i] & ~a[i]) != 0;
		*more |= (a[i] & ~b[i]) != 0;
	}
}

/* buffer: two blocks. */
static enum state_order compare_bits(struct scan *scan, const struct state *a,
				     const struct state *b, uint8_t *buffer)
{
	uint8_t *other = buffer + METADATA_BLOCK_SIZE;
	bool less = false, more = false;

	for (uint64_t i = 0; i < a->nr_bit_blocks && !(less && more); i++) {
		if (a->bit_blocks[i] == b->bit_blocks[i])
			continue;
		if (!read_bits(scan, a->bit_blocks[i], buffer) ||
		    !read_bits(scan, b->bit_blocks[i], other))
			return STATE_UNKNOWN;
		compare_words(buffer, other, &less, &more);
	}
	if (less && more)
		return STATE_UNKNOWN;
	return less ? STATE_EARLIER : more ? STATE_LATER : STATE_SAME;
}

enum state_order state_compare(struct scan *scan, const struct state *a, const struct state *b)
{
	enum state_order result = compare_arrays(scan, a, b);
	uint8_t *buffer;

	if (result == STATE_EARLIER)
		return is_certain(scan, a, b) ? result : STATE_UNKNOWN;
	if (result == STATE_LATER)
		return is_certain(scan, b, a) ? result : STATE_UNKNOWN;
	if (result != STATE_SAME)
		return result;
	if (a->damaged || b->damaged || a->writesets_lost || b->writesets_lost ||
	    a->writesets != b->writesets)
		return STATE_UNKNOWN;
	buffer = aligned_alloc(METADATA_BLOCK_SIZE, 2 * (size_t)METADATA_BLOCK_SIZE);
	/* Without memory they are not told apart. */
	result = buffer ? compare_bits(scan, a, b, buffer) : STATE_UNKNOWN;
	free(buffer);
	return result;
}
