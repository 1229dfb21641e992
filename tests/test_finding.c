/* SPDX-License-Identifier: MIT */
/* What a person is told: findings in words, and folded; reports; the texts of errors. */
#include "era/fold.h"
#include "persistent-data/error.h"
#include "persistent-data/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct finding finding_at(uint64_t block, uint64_t begin, uint64_t end)
{
	struct damage damage = {.block = block,
				.what = "is bad",
				.error = PD_ERR_CORRUPT,
				.begin = begin,
				.end = end};

	return finding_make(STRUCTURE_ERA_ARRAY, &damage, AFFECTS_DATA_BLOCKS);
}

static void expect_text(const struct finding *finding, const char *expected)
{
	char text[FINDING_TEXT_MAX];

	finding_text(finding, text);
	cr_expect_str_eq(text, expected);
}

Test(finding, in_words)
{
	struct finding finding = finding_at(7, 5, 6);

	expect_text(&finding, "era array: metadata block 7: is bad; affects data block 5");
	finding.damage.parent = 9;
	finding.damage.has_numbers = true;
	finding.damage.found = 3;
	finding.damage.expected = 4;
	finding.damage.end = 8;
	expect_text(&finding, "era array: metadata block 7, named by block 9: is bad (3, expected "
			      "4); affects data blocks 5-7");
	finding.structure = STRUCTURE_WRITESET;
	finding.era = 12;
	finding.snapshot = true;
	finding.damage.parent = 0;
	finding.damage.has_numbers = false;
	finding.affected = AFFECTS_NOTHING;
	expect_text(&finding, "metadata snapshot: writeset of era 12: metadata block 7: is bad");
}

struct folded {
	unsigned nr;
	uint64_t nr_more;
	struct finding last;
};

static void fold_told(void *context, const struct finding *finding)
{
	struct folded *folded = context;

	folded->nr++;
	folded->last = *finding;
}

static void fold_more(void *context, const struct fold_kind *kind, uint64_t nr_more)
{
	struct folded *folded = context;

	cr_expect_str_eq(kind->what, "is bad");
	folded->nr_more = nr_more;
}

static void fold_init(struct fold *fold, struct folded *folded)
{
	memset(fold, 0, sizeof(*fold));
	memset(folded, 0, sizeof(*folded));
	fold->finding = fold_told;
	fold->more = fold_more;
	fold->context = folded;
}

static void add(struct fold *fold, uint64_t block, uint64_t begin, uint64_t end)
{
	struct finding finding = finding_at(block, begin, end);

	fold_add(fold, &finding);
}

Test(fold, neighbours_become_one)
{
	struct folded folded;
	struct fold fold;

	fold_init(&fold, &folded);
	add(&fold, 7, 0, 10);
	add(&fold, 8, 10, 20);
	add(&fold, 3, 20, 25);
	fold_finish(&fold);
	cr_expect_eq(folded.nr, 1);
	expect_text(&folded.last,
		    "era array: 3 of the metadata blocks 3-8: is bad; affects data blocks 0-24");
	cr_expect(fold.nr_fatal == 1 && fold.nr_non_fatal == 0);
}

Test(fold, what_is_apart_stays_apart)
{
	struct folded folded;
	struct fold fold;

	fold_init(&fold, &folded);
	add(&fold, 7, 0, 10);
	add(&fold, 8, 11, 20);
	fold_finish(&fold);
	cr_expect_eq(folded.nr, 2);
	expect_text(&folded.last, "era array: metadata block 8: is bad; affects data blocks 11-19");
}

/* Two damages of one block are about one block; those of two eras do not mix. */
Test(fold, what_is_alike)
{
	struct finding other_era = finding_at(8, 20, 30);
	struct folded folded;
	struct fold fold;

	fold_init(&fold, &folded);
	add(&fold, 7, 0, 10);
	add(&fold, 7, 10, 20);
	other_era.era = 3;
	fold_add(&fold, &other_era);
	cr_expect_eq(folded.nr, 1);
	expect_text(&folded.last, "era array: metadata block 7: is bad; affects data blocks 0-19");
	fold_finish(&fold);
	cr_expect_eq(folded.nr, 2);
}

Test(fold, many_are_counted)
{
	struct folded folded;
	struct fold fold;

	fold_init(&fold, &folded);
	for (uint64_t i = 0; i < 1000; i++)
		add(&fold, 2 * i, 2 * i, 2 * i + 1);
	fold_finish(&fold);
	cr_expect_eq(folded.nr, FOLD_MAX_LIKE);
	cr_expect_eq(folded.nr_more, 1000 - FOLD_MAX_LIKE);
	cr_expect_eq(fold.nr_fatal, 1000);
}

/* Reports and error texts. */

static void keep_message(void *context, const char *text)
{
	snprintf(context, REPORT_MAX, "%s", text);
}

Test(report, messages)
{
	char text[REPORT_MAX] = "";
	struct report report = {keep_message, text};
	char longer[2 * REPORT_MAX];

	report_message(&report, "block %d", 5);
	cr_expect_str_eq(text, "block 5");
	cr_expect_eq(report_error(&report, PD_ERR_IO, "%s", "no"), PD_ERR_IO);
	cr_expect_str_eq(text, "no");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	report_message(&report, "%s", longer);
	cr_expect_eq(strlen(text), REPORT_MAX - 1);
	cr_expect_eq(report_error(NULL, PD_ERR_BUSY, "unheard"), PD_ERR_BUSY);
}

Test(report, every_error_has_a_text_of_its_own)
{
	for (int a = PD_OK; a >= PD_ERR_CLOSED; a--) {
		cr_expect_str_neq(pd_error_text(a), "unknown error");
		for (int b = PD_OK; b > a; b--)
			cr_expect_str_neq(pd_error_text(a), pd_error_text(b));
	}
	cr_expect_str_eq(pd_error_text(PD_ERR_CLOSED - 1), "unknown error");
	cr_expect_str_eq(pd_error_text(1), "unknown error");
}
