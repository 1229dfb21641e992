/* SPDX-License-Identifier: MIT */
/* Mutants and what is made of them. */
#include "tests/support/mutant.h"
#include "tests/support/bounded.h"
#include "tests/support/naive.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Making them. */

void mutant_open(struct mutant *mutant, const char *fixture, bool snapshot)
{
	memset(mutant, 0, sizeof(*mutant));
	mutant->fixture = fixture;
	mutant->snapshot = snapshot;
	fixture_open(&mutant->file, fixture);
	mutant->eras = snapshot ? &mutant->file.truth.snap : &mutant->file.truth.now;
	mutant->fd = open(mutant->file.image, O_RDWR | O_CLOEXEC);
	cr_assert(mutant->fd >= 0 && image_load(&mutant->sound, mutant->file.image) &&
			  image_load(&mutant->image, mutant->file.image),
		  "%s", fixture);
	mutant->used = image_used(&mutant->sound, snapshot, &mutant->nr_used);
}

void mutant_close(struct mutant *mutant)
{
	close(mutant->fd);
	unlink(mutant->file.image);
	truth_free(&mutant->file.truth);
	image_free(&mutant->sound);
	image_free(&mutant->image);
	free(mutant->used);
}

bool mutant_touch(struct mutant *mutant, uint64_t block)
{
	for (unsigned i = 0; i < mutant->nr_touched; i++)
		if (mutant->touched[i] == block)
			return true;
	if (mutant->nr_touched == MUTANT_MAX_TOUCHED)
		return false;
	mutant->touched[mutant->nr_touched++] = block;
	return true;
}

static void write_touched(const struct mutant *mutant)
{
	for (unsigned i = 0; i < mutant->nr_touched; i++) {
		uint64_t block = mutant->touched[i];

		cr_assert_eq(pwrite(mutant->fd, image_block(&mutant->image, block), IMAGE_BLOCK,
				    (off_t)(block * IMAGE_BLOCK)),
			     IMAGE_BLOCK);
	}
}

void mutant_heal(struct mutant *mutant)
{
	for (unsigned i = 0; i < mutant->nr_touched; i++)
		memcpy(image_block(&mutant->image, mutant->touched[i]),
		       image_block(&mutant->sound, mutant->touched[i]), IMAGE_BLOCK);
	write_touched(mutant);
	mutant->nr_touched = 0;
}

/* Running the commands. */

static struct outcome run(const struct mutant *mutant, const char *name, const char *command,
			  const char *option, const char *value)
{
	const char *argv[6] = {command};
	struct outcome outcome;
	const char *wrong;
	int n = 1;

	if (option)
		argv[n++] = option;
	if (value)
		argv[n++] = value;
	if (mutant->snapshot)
		argv[n++] = "--metadata-snapshot";
	argv[n] = mutant->file.image;
	outcome = bounded_run(argv);
	wrong = outcome_wrong(&outcome);
	cr_expect_null(wrong, "%s: %s: %s: %s", mutant->fixture, name, command, wrong);
	cr_expect(outcome.status == 0 || outcome.err_size, "%s: %s: %s failed in silence",
		  mutant->fixture, name, command);
	return outcome;
}

/* Whether a message has "metadata block N" in it, or a range of them with N; any block: UINT64_MAX. */
static bool names_block(const char *text, uint64_t block)
{
	static const char words[] = "metadata block";

	while ((text = strstr(text, words)) != NULL) {
		unsigned long long first, last;
		int n;

		text += strlen(words);
		n = sscanf(text + (*text == 's'), " %llu-%llu", &first, &last);
		if (n == 1)
			last = first;
		if (n >= 1 && (block == UINT64_MAX || (first <= block && block <= last)))
			return true;
	}
	return false;
}

static bool names_touched(const struct mutant *mutant, const char *text)
{
	for (unsigned i = 0; i < mutant->nr_touched; i++)
		if (names_block(text, mutant->touched[i]))
			return true;
	return false;
}

/* What an image says that is read plainly; to be freed. false: it contradicts itself. */
static bool read_plainly(const struct mutant *mutant, bool counts, struct naive *naive,
			 char problem[160])
{
	struct naive_image file;
	bool ok = naive_open(&file, mutant->file.image) &&
		  naive_load(naive, &file, mutant->snapshot) &&
		  (!counts || naive_check_counts(&file));

	snprintf(problem, 160, "%s", file.problem);
	naive_close(&file);
	return ok;
}

/* Of a snapshot alone nobody can know the counts. */
static void judge_passed(const struct mutant *mutant, const char *name)
{
	struct naive naive;
	char problem[160];
	bool sound = read_plainly(mutant, !mutant->snapshot, &naive, problem);

	cr_expect(sound, "%s: %s: era_check passed it: %s", mutant->fixture, name, problem);
	naive_free(&naive);
}

static bool judge_check(const struct mutant *mutant, const char *name, bool must_fail,
			bool name_touched)
{
	struct outcome outcome = run(mutant, name, "era_check", NULL, NULL);
	bool passed = outcome.status == 0;
	/* Of what is not there no block can be named. */
	bool absent = strstr(outcome.err, "not formatted") ||
		      strstr(outcome.err, "no metadata snapshot is held");

	cr_expect(!passed || !must_fail, "%s: %s: era_check passed it", mutant->fixture, name);
	cr_expect(passed || absent || names_block(outcome.err, UINT64_MAX),
		  "%s: %s: names no block: %s", mutant->fixture, name, outcome.err);
	cr_expect(passed || !name_touched || absent || names_touched(mutant, outcome.err),
		  "%s: %s: names another block: %s", mutant->fixture, name, outcome.err);
	if (passed)
		judge_passed(mutant, name);
	outcome_free(&outcome);
	return passed;
}

static bool judge_dump(const struct mutant *mutant, const char *name, const char *option,
		       enum naive_shape shape)
{
	struct outcome outcome = run(mutant, name, "era_dump", option, NULL);
	bool done = outcome.status == 0;

	cr_expect_eq(strstr(outcome.out, "</superblock>") != NULL, done,
		     "%s: %s: era_dump: exit status %d, but the document is %s", mutant->fixture,
		     name, outcome.status, done ? "cut short" : "whole");
	if (done) {
		struct naive naive = {.nr_blocks = 0};
		char problem[160];
		bool sound = read_plainly(mutant, false, &naive, problem);
		size_t size;
		char *expected = naive_dump(&naive, shape, &size);

		cr_expect(sound, "%s: %s: era_dump printed what is unsound: %s", mutant->fixture,
			  name, problem);
		cr_expect(!sound || !strcmp(expected, outcome.out), "%s: %s: another dump",
			  mutant->fixture, name);
		free(expected);
		naive_free(&naive);
	}
	outcome_free(&outcome);
	return done;
}

/* The first block of era `since` or later that the answer leaves out. */
static bool leaves_out(const struct mutant *mutant, const char *answer, uint32_t since,
		       uint32_t *block)
{
	uint32_t nr_blocks = mutant->eras->nr_blocks;
	bool *listed = calloc((size_t)nr_blocks + 1, sizeof(*listed));
	unsigned begin, end;

	for (const char *line = answer; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n ");
		end = 0;
		if (sscanf(line, "<block block=\"%u\"/>", &begin) == 1)
			end = begin + 1;
		else
			sscanf(line, "<range begin=\"%u\" end=\"%u\"/>", &begin, &end);
		for (; end && begin < end && begin < nr_blocks; begin++)
			listed[begin] = true;
	}
	for (*block = 0; *block < nr_blocks; (*block)++)
		if (mutant->eras->eras[*block] >= since && !listed[*block])
			break;
	free(listed);
	return *block < nr_blocks;
}

/*
 * An answer is right if the image, though it is not what the kernel wrote, is sound and says just that.
 * Whatever else is answered must have all that changed in truth.
 */
static void judge_answer(const struct mutant *mutant, const char *name, const char *answer,
			 uint32_t since)
{
	struct naive naive = {.nr_blocks = 0};
	char problem[160];
	bool sound = read_plainly(mutant, false, &naive, problem);
	uint32_t *eras = naive_block_eras(&naive);
	size_t size;
	char *expected = naive_changed(eras, naive.nr_blocks, since, &size);
	uint32_t block;

	if (sound)
		cr_expect_eq(strcmp(answer, expected), 0,
			     "%s: %s: since %u: not what the image says", mutant->fixture, name,
			     since);
	else
		cr_expect_not(
			leaves_out(mutant, answer, since, &block),
			"%s: %s: since %u: block %u is left out, and the image is not sound: %s",
			mutant->fixture, name, since, block, problem);
	free(expected);
	free(eras);
	naive_free(&naive);
}

static bool judge_invalidate(const struct mutant *mutant, const char *name, uint32_t since)
{
	char number[16];
	struct outcome outcome;
	bool done;

	snprintf(number, sizeof(number), "%u", since);
	outcome = run(mutant, name, "era_invalidate", "--written-since", number);
	done = outcome.status == 0;
	if (done)
		judge_answer(mutant, name, outcome.out, since);
	else
		cr_expect_eq(outcome.out_size, 0, "%s: %s: era_invalidate failed, and printed %s",
			     mutant->fixture, name, outcome.out);
	outcome_free(&outcome);
	return done;
}

/* Commands that agree with era_check that there is damage. Each kind of run has its turn. */
static void judge_damaged(struct mutant *mutant, const char *name, const uint32_t since[3])
{
	unsigned turn = mutant->turn++;
	bool dumped = turn % 2 ? judge_dump(mutant, name, NULL, NAIVE_FULL)
			       : judge_dump(mutant, name, "--logical", NAIVE_LOGICAL);
	bool told = judge_invalidate(mutant, name, since[turn % 3]);

	/* A uuid that XML cannot carry is no damage to what era_invalidate tells. */
	cr_expect(told || !dumped, "%s: %s: era_dump has it for sound, era_invalidate does not",
		  mutant->fixture, name);
}

static void judge_sound(struct mutant *mutant, const char *name, const uint32_t since[3])
{
	bool done = judge_dump(mutant, name, NULL, NAIVE_FULL) &&
		    judge_dump(mutant, name, "--logical", NAIVE_LOGICAL);

	for (int i = 0; done && i < 3; i++)
		done = judge_invalidate(mutant, name, since[i]);
	cr_expect(done, "%s: %s: passes era_check, and is refused", mutant->fixture, name);
}

bool mutant_judge(struct mutant *mutant, const char *name, bool must_fail, bool name_touched)
{
	uint32_t current = mutant->eras->current_era;
	uint32_t since[3] = {1, current / 2 + 1, current ? current : 1};
	bool passed;

	write_touched(mutant);
	passed = judge_check(mutant, name, must_fail, name_touched);
	if (passed)
		judge_sound(mutant, name, since);
	else
		judge_damaged(mutant, name, since);
	return passed;
}
