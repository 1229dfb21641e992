/* SPDX-License-Identifier: MIT */
/*
 * Mutants: images that a kernel wrote, changed in a few blocks; and the first law, to which all that
 * the commands do with them is held: no command ends with 0 and leaves a changed block out.
 */
#ifndef TESTS_SUPPORT_MUTANT_H
#define TESTS_SUPPORT_MUTANT_H

#include "tests/support/fixture.h"
#include "tests/support/image.h"

#define MUTANT_MAX_TOUCHED 16

struct mutant {
	const char *fixture;
	bool snapshot;		 /* run commands with --metadata-snapshot */
	struct image sound;	 /* as it was */
	struct image image;	 /* as it is */
	struct used_block *used; /* in the sound image, by what the commands run will read */
	size_t nr_used;
	struct fixture file;	       /* that has the image as it is, and its truth */
	const struct truth_eras *eras; /* that are the truth */
	int fd;
	uint64_t touched[MUTANT_MAX_TOUCHED];
	unsigned nr_touched;
	unsigned turn; /* of the runs that are not made each time */
};

/* Unpacks a fixture into the temporary directory. Anything unexpected ends the test. */
void mutant_open(struct mutant *mutant, const char *fixture, bool snapshot);
void mutant_close(struct mutant *mutant);

/* A block to be changed; false: as many as can be were touched before. */
bool mutant_touch(struct mutant *mutant, uint64_t block);

/* Makes the image as it was. */
void mutant_heal(struct mutant *mutant);

/*
 * Runs the commands on the image as it is: they must end soon, with 0 or 1, agree with each other, and
 * leave nothing out. era_check must_fail, naming a metadata block, one of those touched if it must
 * name_touched. Returns whether era_check passed it.
 */
bool mutant_judge(struct mutant *mutant, const char *name, bool must_fail, bool name_touched);

#endif
