/* SPDX-License-Identifier: MIT */
/* Odd XML for era_restore that is right all the same: what is restored is dumped as it should be. */
#include "tests/support/bounded.h"
#include "tests/support/restoring.h"

#include <criterion/criterion.h>
#include <string.h>

static struct restoring files;

static void set_up(void)
{
	restoring_set_up(&files);
}

static void tear_down(void)
{
	restoring_tear_down(&files);
}

TestSuite(odd_xml, .init = set_up, .fini = tear_down, .timeout = 300);

static void expect_accepted(const char *name, const void *bytes, size_t size, const char *dump)
{
	struct outcome outcome;

	restoring_write(files.xml, bytes, size);
	restoring_fill(&files);
	outcome = BOUNDED_RUN("era_restore", "-i", files.xml, "--validate");
	cr_expect_eq(outcome.status, 0, "%s: --validate: %s", name, outcome.err);
	cr_expect(restoring_untouched(&files));
	outcome_free(&outcome);

	outcome = restoring_run(files.xml, files.output);
	cr_expect_eq(outcome.status, 0, "%s: %s", name, outcome.err);
	outcome_free(&outcome);
	outcome = BOUNDED_RUN("era_check", files.output);
	cr_expect_eq(outcome.status, 0, "%s: era_check: %s", name, outcome.err);
	outcome_free(&outcome);
	outcome = BOUNDED_RUN("era_dump", files.output);
	cr_expect_eq(outcome.status, 0, "%s: era_dump: %s", name, outcome.err);
	cr_expect_str_eq(outcome.out, dump, "%s: dumped as %s", name, outcome.out);
	outcome_free(&outcome);
}

#define DUMP_OF(uuid, writesets)                                                               \
	"<superblock uuid=\"" uuid                                                             \
	"\" block_size=\"8\" nr_blocks=\"3\" current_era=\"2\">\n" writesets "  <era_array>\n" \
	"    <era block=\"0\" era=\"0\"/>\n"                                                   \
	"    <era block=\"1\" era=\"2\"/>\n"                                                   \
	"    <era block=\"2\" era=\"0\"/>\n"                                                   \
	"  </era_array>\n</superblock>\n"
#define DUMP_WRITESET(bit0, bit1, bit2)               \
	"  <writeset era=\"1\" nr_bits=\"3\">\n"      \
	"    <bit block=\"0\" value=\"" bit0 "\"/>\n" \
	"    <bit block=\"1\" value=\"" bit1 "\"/>\n" \
	"    <bit block=\"2\" value=\"" bit2 "\"/>\n" \
	"  </writeset>\n"
#define ODD_HEAD "<superblock block_size=\"8\" nr_blocks=\"3\" current_era=\"2\">"
#define ODD_ERAS "<era_array><era block=\"1\" era=\"2\"/></era_array></superblock>"
#define ODD(what) ODD_HEAD what ODD_ERAS

Test(odd_xml, documents)
{
	static const struct {
		const char *name, *document, *dump;
	} cases[] = {
		{"everything", SMALL, DUMP_OF("ab", DUMP_WRITESET("true", "true", "true"))},
		{"a declaration", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" ODD(""),
		 DUMP_OF("", "")},
		{"a byte order mark", "\xef\xbb\xbf" ODD(""), DUMP_OF("", "")},
		{"comments everywhere",
		 "<!-- <x> -->" ODD_HEAD "<!-- & --><writeset era=\"1\" nr_bits=\"3\"><!-- 1 -->"
		 "<bit block=\"1\" value=\"true\"><!----></bit></writeset><!-- 2 -->" ODD_ERAS
		 "<!-- the end -->",
		 DUMP_OF("", DUMP_WRITESET("false", "true", "false"))},
		{"processing instructions", "<?x y?>" ODD("<?z?>") "<?x?>", DUMP_OF("", "")},
		{"attributes the other way round",
		 "<superblock current_era=\"2\" nr_blocks=\"3\" block_size=\"8\" uuid=\"\">"
		 "<writeset nr_bits=\"3\" era=\"1\"><bit value=\"true\" block=\"0\"/>"
		 "<marked len=\"1\" block_begin=\"2\"/></writeset>"
		 "<era_array><era era=\"2\" block=\"1\"/></era_array></superblock>",
		 DUMP_OF("", DUMP_WRITESET("true", "false", "true"))},
		{"character references in numbers",
		 ODD("<writeset era=\"&#49;\" nr_bits=\"&#x33;\">"
		     "<bit block=\"&#50;\" value=\"tr&#117;e\"/></writeset>"),
		 DUMP_OF("", DUMP_WRITESET("false", "false", "true"))},
		{"single quotes", ODD("<writeset era='1' nr_bits='3'/>"),
		 DUMP_OF("", DUMP_WRITESET("false", "false", "false"))},
		{"leading zeroes", ODD("<writeset era=\"0000000000000001\" nr_bits=\"03\"/>"),
		 DUMP_OF("", DUMP_WRITESET("false", "false", "false"))},
		{"white space in and between tags",
		 "\n\t<superblock\n block_size = \"8\"\tnr_blocks\n=\n\"3\" "
		 "current_era=\"2\"\r\n>\r\n"
		 "\t<era_array\t><era\nblock=\"1\"\nera=\"2\"\n></era\n>\n</era_array "
		 "></superblock >\n\n",
		 DUMP_OF("", "")},
		{"white space as character references", ODD("&#32;&#9;&#10;&#13;"),
		 DUMP_OF("", "")},
		{"white space in CDATA", ODD("<![CDATA[ \n]]>"), DUMP_OF("", "")},
		{"bits that are not set",
		 ODD("<writeset era=\"1\" nr_bits=\"3\"><bit block=\"0\" value=\"false\"/>"
		     "<bit block=\"2\" value=\"true\"/></writeset>"),
		 DUMP_OF("", DUMP_WRITESET("false", "false", "true"))},
		{"a uuid of 16 bytes",
		 "<superblock uuid=\"1234567890123456\" block_size=\"8\" nr_blocks=\"3\" "
		 "current_era=\"2\">" ODD_ERAS,
		 DUMP_OF("1234567890123456", "")},
		{"a uuid that needs escaping",
		 "<superblock uuid=\"a&lt;&amp;&gt;&quot;b\" block_size=\"8\" nr_blocks=\"3\" "
		 "current_era=\"2\">" ODD_ERAS,
		 DUMP_OF("a&lt;&amp;&gt;&quot;b", "")},
		{"another encoding, and nothing special in it",
		 "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" ODD("<!-- \xe9 -->"),
		 DUMP_OF("", "")},
		{"an empty era array",
		 "<superblock block_size=\"8\" nr_blocks=\"0\" current_era=\"0\"><era_array/>"
		 "</superblock>",
		 "<superblock uuid=\"\" block_size=\"8\" nr_blocks=\"0\" current_era=\"0\">\n"
		 "  <era_array>\n  </era_array>\n</superblock>\n"},
		{"no eras",
		 "<superblock block_size=\"4294967288\" nr_blocks=\"1\" current_era=\"4294967295\">"
		 "<era_array/></superblock>",
		 "<superblock uuid=\"\" block_size=\"4294967288\" nr_blocks=\"1\" "
		 "current_era=\"4294967295\">\n  <era_array>\n    <era block=\"0\" era=\"0\"/>\n"
		 "  </era_array>\n</superblock>\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_accepted(cases[i].name, cases[i].document, strlen(cases[i].document),
				cases[i].dump);
}

Test(odd_xml, utf_16)
{
	static const char dump[] = DUMP_OF("ab", DUMP_WRITESET("true", "true", "true"));
	size_t size = strlen(SMALL);
	char text[2 + 2 * sizeof(SMALL)];

	for (int low = 0; low < 2; low++) {
		memset(text, 0, sizeof(text));
		text[low] = (char)0xff;
		text[!low] = (char)0xfe;
		for (size_t i = 0; i < size; i++)
			text[2 + 2 * i + (size_t)low] = SMALL[i];
		/* The byte order mark FE FF is that of big-endian text. */
		expect_accepted(low ? "UTF-16BE" : "UTF-16LE", text, 2 + 2 * size, dump);
	}
}

/* Long input of short pieces takes no more memory than a short one. */
Test(odd_xml, long_input)
{
	static const struct {
		const char *name, *piece;
	} cases[] = {
		{"100 MB of white space", "                                                   \n"},
		{"100 MB of comments",
		 "<!-- xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx -->\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome outcome;

		restoring_write_large(files.xml, ODD_HEAD, cases[i].piece, ODD_ERAS);
		outcome = restoring_run(files.xml, files.output);
		cr_expect_eq(outcome.status, 0, "%s: %s", cases[i].name, outcome.err);
		if (!bounded_sanitized())
			cr_expect_lt(outcome.peak_kib, RESTORING_MEMORY_KIB, "%s: took %ld KiB",
				     cases[i].name, outcome.peak_kib);
		outcome_free(&outcome);
		outcome = BOUNDED_RUN("era_dump", files.output);
		cr_expect_str_eq(outcome.out, DUMP_OF("", ""), "%s", cases[i].name);
		outcome_free(&outcome);
	}
}
