/* SPDX-License-Identifier: MIT */
/*
 * XML of every wrong kind for era_restore: refused with the place and the reason, and the output is
 * as it was, byte for byte.
 */
#include "tests/support/bounded.h"
#include "tests/support/image.h"
#include "tests/support/restoring.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static struct restoring files;

static void set_up(void)
{
	restoring_set_up(&files);
}

static void tear_down(void)
{
	restoring_tear_down(&files);
}

TestSuite(bad_xml, .init = set_up, .fini = tear_down, .timeout = 300);

/* Running era_restore. */

/* Checks that the run was a refusal with these words in its message; NULL: any. */
static void expect_refusal(const char *name, const struct outcome *outcome, const char *place,
			   const char *phrase)
{
	cr_expect_null(outcome_wrong(outcome), "%s: %s", name, outcome_wrong(outcome));
	cr_expect_eq(outcome->status, 1, "%s: exit status %d", name, outcome->status);
	cr_expect_eq(outcome->out_size, 0, "%s: printed %s", name, outcome->out);
	cr_expect_eq(strncmp(outcome->err, "era_restore: ", 13), 0, "%s: said %s", name,
		     outcome->err);
	cr_expect(!place || strstr(outcome->err, place), "%s: no %s in: %s", name, place,
		  outcome->err);
	cr_expect(!phrase || strstr(outcome->err, phrase), "%s: no '%s' in: %s", name, phrase,
		  outcome->err);
	if (!bounded_sanitized())
		cr_expect_lt(outcome->peak_kib, RESTORING_MEMORY_KIB, "%s: took %ld KiB", name,
			     outcome->peak_kib);
	if (!restoring_untouched(&files)) {
		cr_expect_fail("%s: the output was changed", name);
		restoring_fill(&files);
	}
}

static void expect_bytes_refused(const char *name, const void *bytes, size_t size,
				 const char *place, const char *phrase)
{
	struct outcome outcome;

	restoring_write(files.xml, bytes, size);
	outcome = restoring_run(files.xml, files.output);
	expect_refusal(name, &outcome, place, phrase);
	outcome_free(&outcome);
	outcome = BOUNDED_RUN("era_restore", "-i", files.xml, "--validate");
	expect_refusal(name, &outcome, NULL, NULL);
	outcome_free(&outcome);
}

/* A document in which '@' marks the place that the message must name; it is taken out. */
static void expect_refused(const char *name, const char *document, const char *phrase)
{
	char text[4096];
	char place[64] = "line ";
	const char *mark = strchr(document, '@');
	unsigned line = 1, column = 1;

	snprintf(text, sizeof(text), "%s", document);
	if (mark) {
		for (const char *c = document; c < mark; c++) {
			column = *c == '\n' ? 1 : column + 1;
			line += *c == '\n';
		}
		strcpy(text + (mark - document), mark + 1);
		snprintf(place, sizeof(place), "line %u, column %u:", line, column);
	}
	expect_bytes_refused(name, text, strlen(text), place, phrase);
}

/* The pieces that documents are made of. */

#define SUPERBLOCK(attributes) "<superblock " attributes ">\n"
#define GOOD "uuid=\"\" block_size=\"128\" nr_blocks=\"100\" current_era=\"5\""
#define HEAD SUPERBLOCK(GOOD)
#define TAIL "</superblock>\n"
#define ERAS "  <era_array/>\n"
#define BIT(block) "    <bit block=\"" block "\" value=\"true\"/>\n"
#define MARKED(begin, len) "    <marked block_begin=\"" begin "\" len=\"" len "\"/>\n"
#define ERA(block, era) "    <era block=\"" block "\" era=\"" era "\"/>\n"
/* With room for a mark before their first tag. */
#define WRITESET_OF(mark, era, bits, what) \
	"  " mark "<writeset era=\"" era "\" nr_bits=\"" bits "\">\n" what "  </writeset>\n"
#define WRITESET(what)                        \
	HEAD WRITESET_OF("", "3", "90", what) \
	ERAS TAIL
#define ERA_ARRAY(what) HEAD "  <era_array>\n" what "  </era_array>\n" TAIL

struct bad {
	const char *name, *document, *phrase;
};

static void expect_all_refused(const struct bad *bad, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		expect_refused(bad[i].name, bad[i].document, bad[i].phrase);
}

#define EXPECT_ALL_REFUSED(bad) expect_all_refused(bad, sizeof(bad) / sizeof((bad)[0]))

Test(bad_xml, malformed)
{
	static const struct bad cases[] = {
		{"text instead of XML", "@hello", NULL},
		{"white space alone", " \n\n ", NULL},
		{"no end tag", HEAD ERAS, NULL},
		{"the wrong end tag", HEAD ERAS "</@super>\n", "mismatched"},
		{"a bare <", HEAD "  <@<era_array/>\n" TAIL, NULL},
		{"an attribute without quotes",
		 "<superblock uuid=\"\" block_size=@128 nr_blocks=\"1\" current_era=\"1\">" ERAS
			 TAIL,
		 NULL},
		{"a quote that stays open", HEAD "<era_array a=\"1/>\n" TAIL, NULL},
		{"an attribute twice", ERA_ARRAY("<era block=\"1\" era=\"1\" @era=\"1\"/>"),
		 "duplicate"},
		{"an unknown entity", ERA_ARRAY("<era block=\"&nbsp;\" era=\"1\"/>"), NULL},
		{"a character reference to NUL", ERA_ARRAY("<era block=\"&#0;\" era=\"1\"/>"),
		 NULL},
		{"a comment that stays open", HEAD ERAS "<!-- " TAIL, NULL},
		{"-- in a comment", HEAD ERAS "<!-- a -- b -->" TAIL, NULL},
		{"a second document", HEAD ERAS TAIL "@" HEAD ERAS TAIL, NULL},
		{"text behind the document", HEAD ERAS TAIL "@x", NULL},
		{"a declaration that comes late", HEAD "<?xml version=\"1.0\"?>" ERAS TAIL, NULL},
		{"an unknown encoding",
		 "<?xml version=\"1.0\" encoding=\"no-such\"?>\n" HEAD ERAS TAIL, "encoding"},
		{"bytes that are no UTF-8", HEAD "\xff\xfe" ERAS TAIL, NULL},
		{"an overlong UTF-8 sequence", HEAD "<!-- \xc0\xaf -->" ERAS TAIL, NULL},
		{"a control character", HEAD "\x01" ERAS TAIL, NULL},
	};

	EXPECT_ALL_REFUSED(cases);
}

Test(bad_xml, document_types)
{
	static const struct bad cases[] = {
		{"a document type", "<!DOCTYPE superblock@>\n" HEAD ERAS TAIL, "document type"},
		{"an external one",
		 "<!DOCTYPE superblock SYSTEM \"/etc/passwd\"@>\n" HEAD ERAS TAIL, "document type"},
		{"an external entity",
		 "<!DOCTYPE s @[<!ENTITY e SYSTEM \"file:///etc/passwd\">]>\n" HEAD "&e;" ERAS TAIL,
		 "document type"},
		{"a billion laughs",
		 "<!DOCTYPE s @[<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
		 "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">"
		 "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
		 "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">"
		 "<!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">"
		 "<!ENTITY g \"&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;\">"
		 "<!ENTITY h \"&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;\">"
		 "<!ENTITY i \"&h;&h;&h;&h;&h;&h;&h;&h;&h;&h;\">]>\n"
		 "<superblock uuid=\"&i;\"/>\n",
		 "document type"},
	};

	EXPECT_ALL_REFUSED(cases);
}

Test(bad_xml, elements)
{
	static const struct bad cases[] = {
		{"an unknown root", "@<thin/>\n", "thin"},
		{"an unknown element", HEAD "  @<bits/>\n" ERAS TAIL, "bits"},
		{"upper case", HEAD "  @<ERA_ARRAY/>\n" TAIL, "ERA_ARRAY"},
		{"a name space", HEAD "  @<e:era_array xmlns:e=\"u\"/>\n" TAIL, NULL},
		{"the root is an era array", "@<era_array/>\n", NULL},
		{"the root is a writeset", "@<writeset era=\"1\" nr_bits=\"1\"/>\n", NULL},
		{"the root is a bit", "@<bit block=\"1\" value=\"true\"/>\n", NULL},
		{"the root is an era", "@<era block=\"1\" era=\"1\"/>\n", NULL},
		{"a superblock in itself", HEAD "@" HEAD ERAS TAIL TAIL, NULL},
		{"a bit outside of writesets", HEAD "@<bit block=\"1\" value=\"true\"/>" ERAS TAIL,
		 NULL},
		{"a bit in the era array", ERA_ARRAY("@<bit block=\"1\" value=\"true\"/>"), NULL},
		{"marked in the era array", ERA_ARRAY("@<marked block_begin=\"1\" len=\"1\"/>"),
		 NULL},
		{"an era in a writeset", WRITESET("@<era block=\"1\" era=\"1\"/>"), NULL},
		{"an era outside of the array", HEAD "@<era block=\"1\" era=\"1\"/>" ERAS TAIL,
		 NULL},
		{"a writeset in a writeset",
		 WRITESET("@<writeset era=\"4\" nr_bits=\"1\"></writeset>"), NULL},
		{"an era array in a writeset", WRITESET("@<era_array/>"), NULL},
		{"a writeset in the era array",
		 ERA_ARRAY("@<writeset era=\"4\" nr_bits=\"1\"></writeset>"), NULL},
		{"an era array in itself", ERA_ARRAY("@<era_array/>"), NULL},
		{"a writeset after the era array", HEAD ERAS WRITESET_OF("@", "3", "90", "") TAIL,
		 "after"},
		{"two era arrays", HEAD ERAS "  @<era_array/>\n" TAIL, "era_array"},
		{"no era array", HEAD "@" TAIL, "era_array"},
		{"something in a bit",
		 WRITESET("<bit block=\"1\" value=\"true\">@<bit block=\"2\" "
			  "value=\"true\"/></bit>"),
		 NULL},
		{"something in an era",
		 ERA_ARRAY("<era block=\"1\" era=\"1\">@<era block=\"2\" era=\"1\"/></era>"), NULL},
		{"text in the superblock", HEAD "@x" ERAS TAIL, "text"},
		{"text in a writeset", WRITESET("@x"), "text"},
		{"text in a bit", WRITESET("<bit block=\"1\" value=\"true\">@1</bit>"), "text"},
		{"text in the era array", ERA_ARRAY("@7"), "text"},
		{"text that is escaped", ERA_ARRAY("@&#65;"), "text"},
		{"text in CDATA", ERA_ARRAY("<![CDATA[x]]>"), "text"},
	};

	EXPECT_ALL_REFUSED(cases);
}

Test(bad_xml, attributes)
{
	static const struct bad cases[] = {
		{"unknown in superblock", "@" SUPERBLOCK(GOOD " flags=\"1\"") ERAS TAIL, "flags"},
		{"unknown in writeset",
		 HEAD "@<writeset era=\"1\" nr_bits=\"1\" root=\"5\"/>" ERAS TAIL, "root"},
		{"unknown in bit", WRITESET("@<bit block=\"1\" value=\"true\" x=\"\"/>"), "x"},
		{"unknown in marked", WRITESET("@<marked block_begin=\"1\" len=\"1\" end=\"2\"/>"),
		 "end"},
		{"unknown in era_array", HEAD "@<era_array n=\"1\"/>" TAIL, "n"},
		{"unknown in era", ERA_ARRAY("@<era block=\"1\" era=\"1\" value=\"true\"/>"),
		 "value"},
		{"a block_size is missing",
		 "@" SUPERBLOCK("uuid=\"\" nr_blocks=\"1\" current_era=\"1\"") ERAS TAIL,
		 "block_size"},
		{"a nr_blocks is missing",
		 "@" SUPERBLOCK("uuid=\"\" block_size=\"8\" current_era=\"1\"") ERAS TAIL,
		 "nr_blocks"},
		{"a current_era is missing",
		 "@" SUPERBLOCK("uuid=\"\" block_size=\"8\" nr_blocks=\"1\"") ERAS TAIL,
		 "current_era"},
		{"a writeset's era is missing", HEAD "@<writeset nr_bits=\"1\"/>" ERAS TAIL, "era"},
		{"a nr_bits is missing", HEAD "@<writeset era=\"1\"/>" ERAS TAIL, "nr_bits"},
		{"a bit's block is missing", WRITESET("@<bit value=\"true\"/>"), "block"},
		{"a bit's value is missing", WRITESET("@<bit block=\"1\"/>"), "value"},
		{"a block_begin is missing", WRITESET("@<marked len=\"1\"/>"), "block_begin"},
		{"a len is missing", WRITESET("@<marked block_begin=\"1\"/>"), "len"},
		{"an era's block is missing", ERA_ARRAY("@<era era=\"1\"/>"), "block"},
		{"an era's era is missing", ERA_ARRAY("@<era block=\"1\"/>"), "era"},
		{"a value in upper case", WRITESET("@<bit block=\"1\" value=\"True\"/>"), "True"},
		{"a value as a number", WRITESET("@<bit block=\"1\" value=\"1\"/>"), NULL},
		{"an empty value", WRITESET("@<bit block=\"1\" value=\"\"/>"), NULL},
		{"a uuid that is no ASCII",
		 "@" SUPERBLOCK(
			 "uuid=\"\xc3\xa9\" block_size=\"8\" nr_blocks=\"1\" current_era=\"1\"")
			 ERAS TAIL,
		 "uuid"},
		{"a uuid with a newline",
		 "@" SUPERBLOCK(
			 "uuid=\"a&#10;\" block_size=\"8\" nr_blocks=\"1\" current_era=\"1\"")
			 ERAS TAIL,
		 "uuid"},
		{"a uuid with DEL",
		 "@" SUPERBLOCK(
			 "uuid=\"&#127;\" block_size=\"8\" nr_blocks=\"1\" current_era=\"1\"")
			 ERAS TAIL,
		 "uuid"},
		{"a uuid of 17 bytes",
		 "@" SUPERBLOCK("uuid=\"12345678901234567\" block_size=\"8\" nr_blocks=\"1\" "
				"current_era=\"1\"") ERAS TAIL,
		 "uuid"},
	};

	EXPECT_ALL_REFUSED(cases);
}

/* What no number is, in the place of every number. */
Test(bad_xml, numbers)
{
	static const char *const numbers[] = {
		"",
		" ",
		"-1",
		"+1",
		"1 ",
		" 1",
		"0x10",
		"1e3",
		"1.0",
		"1,000",
		"ten",
		"1&#10;",
		"--1",
		"1-",
		"4294967296",
		"4294967297",
		"\xd9\xa1",
		"18446744073709551616",
		"18446744073709551617",
		"100000000000000000000000000001",
		"000000000000000000004294967296",
	};
	static const char *const documents[] = {
		"@<superblock uuid=\"\" block_size=\"%s\" nr_blocks=\"1\" current_era=\"1\">" ERAS
			TAIL,
		"@<superblock uuid=\"\" block_size=\"8\" nr_blocks=\"%s\" current_era=\"1\">" ERAS
			TAIL,
		"@<superblock uuid=\"\" block_size=\"8\" nr_blocks=\"1\" current_era=\"%s\">" ERAS
			TAIL,
		HEAD "@<writeset era=\"%s\" nr_bits=\"1\"></writeset>\n" ERAS TAIL,
		HEAD "@<writeset era=\"1\" nr_bits=\"%s\"></writeset>\n" ERAS TAIL,
		WRITESET("@<bit block=\"%s\" value=\"true\"/>\n"),
		WRITESET("@<marked block_begin=\"%s\" len=\"1\"/>\n"),
		WRITESET("@<marked block_begin=\"1\" len=\"%s\"/>\n"),
		ERA_ARRAY("@<era block=\"%s\" era=\"1\"/>\n"),
		ERA_ARRAY("@<era block=\"1\" era=\"%s\"/>\n"),
	};
	char text[2048];

	for (size_t d = 0; d < sizeof(documents) / sizeof(documents[0]); d++) {
		for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
			snprintf(text, sizeof(text), documents[d], numbers[n]);
			expect_refused(text, text, NULL);
		}
	}
}

Test(bad_xml, meaning)
{
	static const struct bad cases[] = {
		{"block_size 0",
		 "@" SUPERBLOCK("block_size=\"0\" nr_blocks=\"1\" current_era=\"1\"") ERAS TAIL,
		 "block_size"},
		{"block_size 12",
		 "@" SUPERBLOCK("block_size=\"12\" nr_blocks=\"1\" current_era=\"1\"") ERAS TAIL,
		 "block_size"},
		{"nr_blocks 2^31",
		 "@" SUPERBLOCK("block_size=\"8\" nr_blocks=\"2147483648\" current_era=\"1\"")
			 ERAS TAIL,
		 "nr_blocks"},
		{"nr_blocks 2^32 - 1",
		 "@" SUPERBLOCK("block_size=\"8\" nr_blocks=\"4294967295\" current_era=\"1\"")
			 ERAS TAIL,
		 "nr_blocks"},
		{"nr_bits 2^31", HEAD WRITESET_OF("@", "3", "2147483648", "") ERAS TAIL, "nr_bits"},
		{"a writeset past the current era", HEAD WRITESET_OF("@", "6", "90", "") ERAS TAIL,
		 "current"},
		{"an era past the current one", ERA_ARRAY("@<era block=\"1\" era=\"6\"/>"), NULL},
		{"a writeset's era again",
		 HEAD WRITESET_OF("", "3", "90", "") WRITESET_OF("@", "3", "90", "") ERAS TAIL,
		 "same era"},
		{"writesets that descend",
		 HEAD WRITESET_OF("", "3", "90", "") WRITESET_OF("@", "2", "90", "") ERAS TAIL,
		 "ascend"},
		{"a bit past the end", WRITESET("@<bit block=\"90\" value=\"true\"/>"),
		 "past the end"},
		{"even if it is not set", WRITESET("@<bit block=\"90\" value=\"false\"/>"),
		 "past the end"},
		{"a bit in a writeset of none",
		 HEAD WRITESET_OF("", "3", "0", "@<bit block=\"0\" value=\"true\"/>") ERAS TAIL,
		 "past the end"},
		{"a bit again", WRITESET(BIT("7") "    @<bit block=\"7\" value=\"true\"/>"),
		 "again"},
		{"a bit again, with another value",
		 WRITESET(BIT("7") "    @<bit block=\"7\" value=\"false\"/>"), "again"},
		{"bits that descend", WRITESET(BIT("7") "    @<bit block=\"6\" value=\"true\"/>"),
		 NULL},
		{"marked, 0 long", WRITESET("@<marked block_begin=\"1\" len=\"0\"/>"), "len"},
		{"marked past the end", WRITESET("@<marked block_begin=\"80\" len=\"11\"/>"),
		 "past the end"},
		{"marked with a sum of 2^32 and a bit",
		 WRITESET("@<marked block_begin=\"4294967295\" len=\"2\"/>"), "past the end"},
		{"marked, long enough to wrap",
		 WRITESET("@<marked block_begin=\"2\" len=\"4294967295\"/>"), "past the end"},
		{"marked that overlaps",
		 WRITESET(MARKED("1", "5") "@<marked block_begin=\"5\" len=\"1\"/>"), NULL},
		{"marked that descends",
		 WRITESET(MARKED("8", "2") "@<marked block_begin=\"1\" len=\"1\"/>"), NULL},
		{"a bit that was marked",
		 WRITESET(MARKED("1", "5") "@<bit block=\"5\" value=\"false\"/>"), "again"},
		{"marked that was a bit",
		 WRITESET(BIT("5") "@<marked block_begin=\"5\" len=\"2\"/>"), NULL},
		{"an era past the end", ERA_ARRAY("@<era block=\"100\" era=\"1\"/>"),
		 "past the end"},
		{"an era again", ERA_ARRAY(ERA("7", "1") "@<era block=\"7\" era=\"1\"/>"), "again"},
		{"eras that descend", ERA_ARRAY(ERA("7", "1") "@<era block=\"2\" era=\"1\"/>"),
		 NULL},
	};

	EXPECT_ALL_REFUSED(cases);
}

Test(bad_xml, cut_short_at_every_byte)
{
	char name[32];

	for (size_t size = 0; size < strlen(SMALL); size++) {
		snprintf(name, sizeof(name), "the first %zu bytes", size);
		expect_bytes_refused(name, SMALL, size, "line ", NULL);
	}
}

Test(bad_xml, a_nul_at_every_byte)
{
	char text[] = SMALL;
	char name[32];

	for (size_t i = 0; i < strlen(SMALL); i++) {
		snprintf(name, sizeof(name), "NUL at byte %zu", i);
		memcpy(text, SMALL, sizeof(text));
		text[i] = '\0';
		expect_bytes_refused(name, text, strlen(SMALL), NULL, NULL);
	}
}

Test(bad_xml, not_xml_at_all)
{
	struct image image;

	cr_assert(image_load(&image, files.output));
	expect_bytes_refused("binary", image.bytes, 4 * IMAGE_BLOCK, "line 1", NULL);
	memset(image.bytes, 0, IMAGE_BLOCK);
	expect_bytes_refused("zeroes", image.bytes, IMAGE_BLOCK, "line 1", NULL);
	image_free(&image);
}

static char sixty_four_x[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

Test(bad_xml, huge_pieces)
{
	static const struct {
		const char *name, *begin, *end;
	} cases[] = {
		{"a huge comment", "<!-- ", " -->" HEAD ERAS TAIL},
		{"a huge attribute", "<superblock uuid=\"", "\"/>"},
		{"a huge name", "<super", "/>"},
		{"a huge processing instruction", "<?x ", "?>" HEAD ERAS TAIL},
		{"a huge text", "<superblock " GOOD ">", ERAS TAIL},
		{"a huge number", "<superblock block_size=\"8\" nr_blocks=\"", "\"/>"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome outcome;

		restoring_write_large(files.xml, cases[i].begin, sixty_four_x, cases[i].end);
		outcome = restoring_run(files.xml, files.output);
		expect_refusal(cases[i].name, &outcome, "line 1", NULL);
		cr_expect_lt(outcome.err_size, 4096, "%s: a huge message", cases[i].name);
		outcome_free(&outcome);
	}
}

/* Little XML that asks for much. */
Test(bad_xml, many_huge_writesets)
{
	FILE *file = fopen(files.xml, "wb");
	struct outcome outcome;

	cr_assert(file);
	fputs("<superblock block_size=\"8\" nr_blocks=\"2147483647\" current_era=\"100000\">",
	      file);
	for (unsigned era = 1; era <= 100000; era++)
		fprintf(file, "<writeset era=\"%u\" nr_bits=\"2147483647\"/>", era);
	fputs("<era_array/></superblock>", file);
	cr_assert_eq(fclose(file), 0);
	outcome = restoring_run(files.xml, files.output);
	expect_refusal("100000 writesets of 2^31 - 1 bits", &outcome, NULL, NULL);
	outcome_free(&outcome);
}

Test(bad_xml, too_small_an_output)
{
	/* 33 blocks of eras in one tree node, the superblock and four blocks of space map. */
	static const char document[] =
		"<superblock block_size=\"8\" nr_blocks=\"33594\" current_era=\"5\">" ERAS TAIL;
	struct outcome outcome;
	char needed[128];
	unsigned need, have;

	restoring_write(files.xml, document, strlen(document));
	cr_assert_eq(truncate(files.output, 10 * IMAGE_BLOCK), 0);
	outcome = restoring_run(files.xml, files.output);
	cr_expect_eq(outcome.status, 1);
	cr_assert(strstr(outcome.err, "too small"), "%s", outcome.err);
	cr_assert_eq(sscanf(strstr(outcome.err, "too small"),
			    "too small: %u metadata blocks are needed, it has %u", &need, &have),
		     2, "%s", outcome.err);
	cr_expect_eq(have, 10);
	outcome_free(&outcome);

	/* One block less than needed is refused, and exactly that many will do. */
	for (unsigned size = need - 1; size <= need; size++) {
		cr_assert_eq(truncate(files.output, (off_t)size * IMAGE_BLOCK), 0);
		outcome = restoring_run(files.xml, files.output);
		snprintf(needed, sizeof(needed), "%u blocks: %s", size, outcome.err);
		cr_expect_eq(outcome.status, size < need, "%s", needed);
		outcome_free(&outcome);
	}
	outcome = BOUNDED_RUN("era_check", files.output);
	cr_expect_eq(outcome.status, 0, "%s", outcome.err);
	outcome_free(&outcome);
}

Test(bad_xml, wrong_outputs)
{
	char path[128];
	struct outcome outcome;
	struct stat st;

	restoring_write(files.xml, SMALL, strlen(SMALL));
	outcome = restoring_run(files.xml, files.directory);
	expect_refusal("a directory as output", &outcome, files.directory, "directory");
	outcome_free(&outcome);

	snprintf(path, sizeof(path), "%s/none", files.directory);
	outcome = restoring_run(files.xml, path);
	expect_refusal("no output", &outcome, "none", NULL);
	cr_expect_neq(stat(path, &st), 0, "a missing output was made");
	outcome_free(&outcome);

	outcome = restoring_run(files.xml, "/dev/null");
	expect_refusal("a character device as output", &outcome, "/dev/null", "character device");
	outcome_free(&outcome);
}

Test(bad_xml, wrong_inputs)
{
	char path[128];
	struct outcome outcome;

	outcome = restoring_run(files.directory, files.output);
	expect_refusal("a directory as input", &outcome, files.directory, "directory");
	outcome_free(&outcome);

	snprintf(path, sizeof(path), "%s/none", files.directory);
	outcome = restoring_run(path, files.output);
	expect_refusal("no input", &outcome, "none", NULL);
	outcome_free(&outcome);

	outcome = restoring_run("/dev/null", files.output);
	expect_refusal("nothing as input", &outcome, "/dev/null", NULL);
	outcome_free(&outcome);

	outcome = BOUNDED_RUN("era_restore", "-i", "-", "-o", files.output);
	expect_refusal("nothing on standard input", &outcome, "standard input", NULL);
	outcome_free(&outcome);
}

/* Even where the XML is large enough to hold what it says, and by another name. */
Test(bad_xml, output_is_input)
{
	char *text = malloc(64 * IMAGE_BLOCK);
	char link_path[128];
	struct outcome outcome;
	struct image after;

	memset(text, ' ', 64 * IMAGE_BLOCK);
	memcpy(text, SMALL, strlen(SMALL));
	restoring_write(files.xml, text, 64 * IMAGE_BLOCK);
	snprintf(link_path, sizeof(link_path), "%s/link", files.directory);
	cr_assert_eq(symlink("in.xml", link_path), 0);
	outcome = restoring_run(files.xml, files.xml);
	expect_refusal("output is input", &outcome, "in.xml", "input");
	outcome_free(&outcome);
	outcome = restoring_run(files.xml, link_path);
	expect_refusal("output is a link to the input", &outcome, "link", "input");
	outcome_free(&outcome);
	cr_assert(image_load(&after, files.xml));
	cr_expect_eq(memcmp(after.bytes, text, 64 * IMAGE_BLOCK), 0, "the input was changed");
	image_free(&after);
	unlink(link_path);
	free(text);
}
