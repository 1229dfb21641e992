/* SPDX-License-Identifier: MIT */
/*
 * The stream in which RBD exports the difference between two snapshots, version 1 ("rbd diff v1"): a
 * line that names it, records about the whole (snapshot names, size), records with data or zeroes, and a
 * record that ends it. Integers are little-endian.
 *
 * Source: doc/dev/rbd-diff.rst of Ceph, and for the limit of names and the order in which the records
 * about the whole are written, rbd's import and export.
 *
 * A snapshot's name is here "era-N": all that was written before era N began. A stream that has no
 * `from` is a copy of the whole.
 */
#ifndef ERA_RBD_DIFF_H
#define ERA_RBD_DIFF_H

#include "era/text.h"
#include "era/xml_read.h"

#include <stdbool.h>

struct rbd_diff_header {
	uint32_t
		from; /* the target must be as of the beginning of this era; 0: it may be anything */
	uint32_t to;  /* and will be as of the beginning of this one, which is not 0 */
	uint64_t size; /* bytes */
};

/* --- writing --- */

/* Binary text: errors stick to `text` as they do in text.h. */
void rbd_diff_put_header(struct text *text, const struct rbd_diff_header *header);
void rbd_diff_put_data(struct text *text, uint64_t offset, const uint8_t *data, size_t length);
void rbd_diff_put_zeroes(struct text *text, uint64_t offset, uint64_t length);
void rbd_diff_put_end(struct text *text);

/* --- reading --- */

#define RBD_DIFF_BUFFER (64 * 1024)

struct rbd_diff_input {
	struct text_input text;
	/* Passes over bytes; NULL: they have to be read. */
	int (*skip)(void *context, uint64_t nr);
};

struct rbd_diff {
	const struct rbd_diff_input *input;
	struct rbd_diff_header header;
	char problem[160]; /* what PD_ERR_CORRUPT meant */
	bool has_from, has_to, has_size;
	int tag;	  /* of the record at hand */
	uint64_t next;	  /* bytes: data or zeroes below this have been met */
	uint64_t left;	  /* bytes of the data at hand that have not been taken */
	uint64_t nr_read; /* bytes of the stream, for messages */
	size_t at, nr_buffered;
	char buffer[RBD_DIFF_BUFFER];
};

struct rbd_diff_extent {
	uint64_t offset, length; /* bytes; length 0: this is the end of the stream */
	bool has_data;		 /* rather than zeroes */
};

/*
 * All return 0; PD_ERR_CORRUPT: what is wrong is in problem; or what the input returned.
 *
 * open() reads up to the first extent. next() passes over what was left of the data of the extent
 * before. Extents must ascend and must not overlap: rbd writes them so, and so a record that was
 * spoilt or doubled is noticed. At the end of the stream the input must end too.
 */
int rbd_diff_open(struct rbd_diff *diff, const struct rbd_diff_input *input);
int rbd_diff_next(struct rbd_diff *diff, struct rbd_diff_extent *extent);
int rbd_diff_read(struct rbd_diff *diff, void *data, size_t length);

#endif
