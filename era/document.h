/* SPDX-License-Identifier: MIT */
/*
 * The meaning of an XML document, element by element, turned into the stream: what may follow what,
 * which numbers are possible, and batches out of single bits and eras. How the elements were read is
 * no concern of this module.
 */
#ifndef ERA_DOCUMENT_H
#define ERA_DOCUMENT_H

#include "era/stream.h"

#include <stdbool.h>

#define DOCUMENT_BATCH_WORDS 512
#define DOCUMENT_BATCH_ERAS 1024

enum document_place {
	PLACE_BEFORE,
	PLACE_SUPERBLOCK,
	PLACE_WRITESET,
	PLACE_ERA_ARRAY,
	PLACE_AFTER
};

struct document {
	struct sink *sink;
	const char *problem; /* what PD_ERR_CORRUPT meant, a static text */
	enum document_place place;
	struct stream_info info;
	bool had_writeset, had_era_array;
	uint32_t writeset_era, nr_bits; /* of the writeset at hand, or the last one */
	uint64_t next;			/* the lowest bit or block that may still come */
	uint64_t batch_begin;		/* word or block that the batch at hand begins with */
	uint64_t words[DOCUMENT_BATCH_WORDS];
	uint32_t eras[DOCUMENT_BATCH_ERAS];
};

void document_init(struct document *document, struct sink *sink);

/*
 * Each returns 0; PD_ERR_CORRUPT: the document must not say this here, see problem, and it is as if
 * it had not; or what the sink returned.
 */
int document_superblock(struct document *document, const struct stream_info *info);
int document_superblock_end(struct document *document);
int document_writeset(struct document *document, uint32_t era, uint32_t nr_bits);
int document_writeset_end(struct document *document);
int document_bit(struct document *document, uint32_t block, bool value);
/* n bits at once, 64 at most, from block first on: bit i of bits is that of block first + i. */
int document_bits(struct document *document, uint32_t first, uint64_t bits, unsigned n);
int document_marked(struct document *document, uint32_t block_begin, uint32_t len);
int document_era_array(struct document *document);
int document_era_array_end(struct document *document);
int document_era(struct document *document, uint32_t block, uint32_t era);
/* n eras at once, from block first on; all of them are taken, or none. */
int document_eras(struct document *document, uint32_t first, const uint32_t *eras, unsigned n);

/* The document is over, and well-formed. */
int document_end(struct document *document);

#endif
