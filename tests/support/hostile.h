/* SPDX-License-Identifier: MIT */
/*
 * Small metadata from scratch, to be made hostile; and what each command must do about it: end soon,
 * in little memory, and say something that is no answer unless the trees are sound.
 */
#ifndef TESTS_SUPPORT_HOSTILE_H
#define TESTS_SUPPORT_HOSTILE_H

#include "tests/support/builder.h"

enum verdict {
	SOUND,
	HINT,  /* a wrong hint: era_check minds unless told not to, nobody else does */
	LEAK,  /* not fatal either, but what was lost may have been a part of the answer */
	FATAL, /* nobody may give an answer */
};

enum place {
	AT_SUPERBLOCK,
	AT_WRITESET_LEAF,
	AT_BITSET_LEAF, /* of the first writeset */
	AT_BITSET_BLOCK,
	AT_CURRENT_LEAF,
	AT_ERA_LEAF,
	AT_ERA_BLOCK_0,
	AT_ERA_BLOCK_1,
	AT_ERA_BLOCK_2,
	AT_INDEX,
	AT_BITMAP,
	AT_REF_COUNTS,
	NR_PLACES
};

/* Offsets of entry i in a leaf of an array's tree and of the writeset tree. */
#define KEY_AT(i) (NODE_KEYS + 8 * (i))
#define ROOM_8 252
#define ROOM_12 201
#define VALUE_AT(i) (NODE_KEYS + 8 * ROOM_8 + 8 * (i))
#define WRITESET_BITS_AT(i) (NODE_KEYS + 8 * ROOM_12 + 12 * (i))
#define WRITESET_ROOT_AT(i) (WRITESET_BITS_AT(i) + 4)

/*
 * What cases begin with: 3000 data blocks, in era 5 with a current writeset, writesets of eras 3 and
 * 4, three era array blocks, on 64 metadata blocks. The small one has 100 data blocks, one writeset
 * of era 3 and no current one, on 10 metadata blocks, all but one in use.
 */
#define HOSTILE_BLOCKS 64
#define HOSTILE_DATA_BLOCKS 3000
#define SMALL_BLOCKS 10
#define SMALL_DATA_BLOCKS 100

struct hostile {
	struct builder builder;
	struct plan plan;
	struct plan_writeset writesets[2];
	uint64_t at[NR_PLACES]; /* known when it is finished */
};

void hostile_init(struct hostile *hostile, bool small);
void hostile_finish(struct hostile *hostile);
void hostile_free(struct hostile *hostile);

void hostile_poke(const struct hostile *hostile, enum place place, size_t offset, size_t size,
		  uint64_t value);

/*
 * A case spoils the plan before the space map is made, so that all reference counts come out as its
 * pointers want them, or the image afterwards; either may be NULL.
 */
struct hostile_case {
	const char *name;
	void (*plan)(struct hostile *hostile);
	void (*spoil)(struct hostile *hostile);
	enum verdict verdict;
	const char *phrase;
};

/* Makes what the case wants, from what is not small. */
void hostile_make(struct hostile *hostile, const struct hostile_case *test);

/*
 * Runs all commands on the file and holds them to the verdict; phrase: what era_check must say, unless
 * all is sound. With snapshot they get --metadata-snapshot, too.
 */
void hostile_judge_file(const char *name, const char *path, bool snapshot, enum verdict verdict,
			const char *phrase);

/* The same, for an image. */
void hostile_judge(const char *name, const struct image *image, enum verdict verdict,
		   const char *phrase);

/* And for a snapshot in it. */
void hostile_judge_snapshot(const char *name, const struct image *image, enum verdict verdict,
			    const char *phrase);

void hostile_judge_cases(const struct hostile_case *cases, size_t nr);

#define HOSTILE_JUDGE_CASES(cases) hostile_judge_cases(cases, sizeof(cases) / sizeof((cases)[0]))

#endif
