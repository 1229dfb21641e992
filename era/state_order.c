/* SPDX-License-Identifier: MIT */
/* Compares states of metadata. */
#include "era/state_order.h"

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

static enum state_order compare_written(const struct state *a, const struct state *b)
{
	if (a->written_most < b->written_least)
		return STATE_EARLIER;
	if (a->written_least > b->written_most)
		return STATE_LATER;
	return a->written_least == b->written_most && a->written_most == b->written_least
		       ? STATE_SAME
		       : STATE_UNKNOWN;
}

static enum state_order compare_bits(const struct state *a, const struct state *b)
{
	if (a->superblock.writeset_root == b->superblock.writeset_root)
		return STATE_SAME;
	if (a->bits_lost || b->bits_lost)
		return STATE_UNKNOWN;
	return order(a->nr_bits, b->nr_bits);
}

/*
 * Both have the same era array, of which something is lost: what is may be of a later era than either is
 * known to have had writes in. So a writeset that only one of them has may be gone from the other because
 * it was digested, unless it has a block that is of an earlier era by what is left of the array.
 */
static bool is_certain(const struct state *earlier, const struct state *later)
{
	return later->written_shown > earlier->written_most;
}

enum state_order state_compare(const struct scan *scan, const struct state *a,
			       const struct state *b)
{
	enum state_order result = compare_arrays(scan, a, b), bits;

	if (result != STATE_SAME)
		return result;
	if (a->damaged || b->damaged)
		return STATE_UNKNOWN;
	result = compare_written(a, b);
	bits = compare_bits(a, b);
	if (result == STATE_SAME)
		return bits;
	if (!a->eras_lost || bits == result || bits == STATE_SAME ||
	    (result == STATE_EARLIER && is_certain(a, b)) ||
	    (result == STATE_LATER && is_certain(b, a)))
		return result;
	return STATE_UNKNOWN;
}
