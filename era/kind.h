/* SPDX-License-Identifier: MIT */
/* What a metadata block is by its own account, when nothing that can be trusted leads to it. */
#ifndef ERA_KIND_H
#define ERA_KIND_H

#include <stdint.h>

enum kind {
	KIND_UNREADABLE, /* for those who read it */
	KIND_UNKNOWN,	 /* no checksum fits, or a header that cannot be */
	KIND_ZEROES,	 /* never used, as likely as not */
	KIND_SUPERBLOCK,
	KIND_INTERNAL,	 /* node of any tree */
	KIND_WRITESETS,	 /* leaf of a writeset tree */
	KIND_POINTERS,	 /* leaf of an array's tree */
	KIND_REF_COUNTS, /* leaf of a space map's tree */
	KIND_ERAS,	 /* array block of an era array */
	KIND_WORDS,	 /* array block of a bitset */
	KIND_INDEX,
	KIND_BITMAP,
	NR_KINDS,
};

/* block: as it was read from that place. Numbers of entries are within bounds unless it is unknown. */
enum kind block_kind(const uint8_t *block, uint64_t number);

/* Of a node: entries, the i-th key, and the block that its i-th value points to. */
unsigned kind_nr_entries(const uint8_t *node);
uint64_t kind_key(const uint8_t *node, unsigned i);
uint64_t kind_pointer(const uint8_t *node, enum kind kind, unsigned i);

#endif
