/* SPDX-License-Identifier: MIT */
/*
 * The stream that all commands speak: what metadata says, from a source to a sink, in batches.
 *
 *	begin
 *	{ writeset_begin  writeset_words*  writeset_end }*
 *	eras*
 *	end
 *
 * Writesets come in strictly ascending order of era; the current writeset, where there is one, is the
 * last of them, under the current era. Each writeset's words come in order and complete, those past
 * the last bit never, and bits past the last bit are zero. The eras come in order and complete, one
 * for each data block. A source calls end() only when all went well, so a sink that is not ended has
 * had a part of the truth at most.
 *
 * A sink that says that it takes any order has writesets, also parts of one, and eras come mixed and in
 * any order, each part of a writeset between a begin and an end of its own; all of it perhaps again
 * from the beginning. What is told of each block is the same.
 *
 * A function of a sink returns 0, or an error, which ends the source: it returns it in turn.
 */
#ifndef ERA_STREAM_H
#define ERA_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#define ERA_UUID_SIZE 16

struct stream_info {
	uint8_t uuid[ERA_UUID_SIZE]; /* padded with zeroes */
	uint32_t data_block_size;    /* sectors */
	uint32_t nr_blocks;	     /* data blocks */
	uint32_t current_era;
};

struct sink;

struct sink_ops {
	int (*begin)(struct sink *sink, const struct stream_info *info);
	int (*writeset_begin)(struct sink *sink, uint32_t era, uint32_t nr_bits);
	int (*writeset_words)(struct sink *sink, uint64_t first_word, const uint64_t *words,
			      unsigned n);
	int (*writeset_end)(struct sink *sink);
	int (*eras)(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n);
	int (*end)(struct sink *sink);
	bool any_order;
};

/* The first member of whatever a sink is. */
struct sink {
	const struct sink_ops *ops;
};

#endif
