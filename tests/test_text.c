/* SPDX-License-Identifier: MIT */
/* Numbers as text, against printf; the buffer; findings in words, and folded. */
#include "era/bitmap.h"
#include "era/fold.h"
#include "era/text.h"
#include "persistent-data/error.h"
#include "persistent-data/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers about which digits change: powers of ten, of two, and their neighbours. */
static unsigned edges(uint32_t *numbers)
{
	unsigned n = 0;

	for (uint64_t power = 1; power <= UINT32_MAX; power *= 10)
		for (int i = -2; i <= 2; i++)
			numbers[n++] = (uint32_t)(power + (uint64_t)(int64_t)i);
	for (uint64_t power = 1; power <= UINT32_MAX; power *= 2)
		for (int i = -2; i <= 2; i++)
			numbers[n++] = (uint32_t)(power + (uint64_t)(int64_t)i);
	return n;
}

static void expect_number(uint32_t number, struct ascending *ascending)
{
	char text[DECIMAL_MAX + PUT_SLACK], expected[16];

	snprintf(expected, sizeof(expected), "%u", number);
	*put_decimal(text, number) = '\0';
	cr_assert_str_eq(text, expected);
	*put_ascending(text, ascending, number) = '\0';
	cr_assert_str_eq(text, expected);
}

Test(text, decimal_numbers)
{
	struct ascending ascending = {.high = 0};
	uint32_t numbers[512];
	unsigned n = edges(numbers);
	unsigned seed = 1;

	for (unsigned i = 0; i < n; i++)
		expect_number(numbers[i], &ascending);
	for (uint32_t i = 0; i < 300000; i++)
		expect_number(i, &ascending);
	for (unsigned i = 0; i < 300000; i++)
		expect_number((uint32_t)rand_r(&seed) * 3 >> (i % 31), &ascending);
}

Test(text, numbered_lines)
{
	static const uint32_t starts[] = {0, 7, 95, 995, 99990, 999999, 99999990, 4294967200};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct numbered line;
		char text[NUMBERED_MAX + PUT_SLACK], expected[64];

		numbered_set(&line, "<a n=\"", starts[i], "\" v=\"");
		for (uint32_t k = 0; k < 95; k++) {
			snprintf(expected, sizeof(expected), "<a n=\"%u\" v=\"", starts[i] + k);
			*put_numbered(text, &line) = '\0';
			cr_assert_str_eq(text, expected);
		}
	}
}

struct sunk {
	size_t size;
	uint64_t sum;
	int error;
};

static int sink_text(void *context, const char *text, size_t size)
{
	struct sunk *sunk = context;

	if (sunk->error)
		return sunk->error;
	for (size_t i = 0; i < size; i++)
		sunk->sum += (sunk->size + i) * (uint8_t)text[i];
	sunk->size += size;
	return PD_OK;
}

Test(text, nothing_is_lost_between_buffers)
{
	struct sunk sunk = {0}, expected = {0};
	struct text_output output = {sink_text, &sunk};
	char line[32];
	struct text text;

	cr_assert_eq(text_init(&text, &output), PD_OK);
	for (uint32_t i = 0; i < 100000; i++) {
		char *p = text_room(&text, 32);

		text_filled(&text, PUT_LITERAL(put_decimal(p, i), "\n"));
		sink_text(&expected, line, (size_t)snprintf(line, sizeof(line), "%u\n", i));
	}
	cr_expect_eq(text_flush(&text), PD_OK);
	cr_expect(sunk.size == expected.size && sunk.sum == expected.sum);
	text_destroy(&text);
}

Test(text, an_error_stays)
{
	struct sunk sunk = {.error = PD_ERR_CLOSED};
	struct text_output output = {sink_text, &sunk};
	struct text text;

	cr_assert_eq(text_init(&text, &output), PD_OK);
	for (unsigned i = 0; i < 2 * TEXT_BUFFER_SIZE; i += 8)
		text_filled(&text, PUT_LITERAL(text_room(&text, 8), "8 bytes\n"));
	cr_expect_eq(text_error(&text), PD_ERR_CLOSED);
	sunk.error = PD_OK;
	cr_expect_eq(text_flush(&text), PD_ERR_CLOSED);
	cr_expect_eq(sunk.size, 0);
	text_destroy(&text);
}

/* Runs of bits. */

Test(bitmap, against_bit_by_bit)
{
	for (unsigned seed = 1; seed < 200; seed++) {
		unsigned state = seed;
		uint64_t nr_bits = seed % 130 + 1;
		uint64_t words[3];

		for (unsigned i = 0; i < 3; i++)
			words[i] =
				seed % 3 ? (uint64_t)rand_r(&state) << (seed % 40) : -(seed & 1ull);
		for (uint64_t from = 0; from <= nr_bits; from++) {
			uint64_t set = from, clear = from;

			while (set < nr_bits && !(words[set / 64] >> set % 64 & 1))
				set++;
			while (clear < nr_bits && (words[clear / 64] >> clear % 64 & 1))
				clear++;
			cr_assert_eq(bitmap_find_set(words, nr_bits, from), set);
			cr_assert_eq(bitmap_find_clear(words, nr_bits, from), clear);
		}
	}
}

/* Findings. */

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
