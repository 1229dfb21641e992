/* SPDX-License-Identifier: MIT */
/*
 * A damage that was met while a structure was walked: what is wrong, where, and what is lost by it.
 */
#ifndef PERSISTENT_DATA_DAMAGE_H
#define PERSISTENT_DATA_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct damage {
	uint64_t block;	  /* the metadata block that is bad */
	uint64_t parent;  /* the one that points to it; 0: the superblock, or none */
	const char *what; /* static text; like damages have the same one */
	bool has_numbers; /* found and expected say more about it */
	uint64_t found;
	uint64_t expected;
	bool loses_references; /* to further blocks, which are not looked at therefore */
	int error;	       /* PD_ERR_CORRUPT, or PD_ERR_IO */
	uint64_t begin;	       /* lost: keys of a btree, entries of an array, bits of a bitset, */
	uint64_t end;	       /* half-open */
	/*
	 * Where a sound block contradicts the one that names it: the end of the array or bitset as it
	 * has it; the end of the keys that are in it. 0: nothing of the kind.
	 */
	uint64_t real_end;
	bool ends_earlier; /* perhaps: its last block cannot be read, and real_end is for a full one */
};

/*
 * Is told of each damage. 0: go on with what is left; anything else ends the walk, which returns it.
 */
typedef int (*damage_fn)(void *context, const struct damage *damage);

/* Fill in what is wrong with damage->block; false, for the checks that have found it. */
static inline bool damage_is(struct damage *damage, const char *what)
{
	damage->what = what;
	return false;
}

static inline bool damage_is_number(struct damage *damage, const char *what, uint64_t found,
				    uint64_t expected)
{
	damage->has_numbers = true;
	damage->found = found;
	damage->expected = expected;
	return damage_is(damage, what);
}

#endif
