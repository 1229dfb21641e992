/* SPDX-License-Identifier: MIT */
/*
 * The scanner against expat: whatever the text, reading it with the scanner and without gives the same
 * stream, or the same complaint about the same place. A newline in front of a document changes nothing
 * of what it says, but the scanner does not recognise it, so that expat reads all of it.
 */
#include "era/xml_read.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 2000
#define TEXT_MAX (256 * 1024)

/* What a reading gave: all that the sink was told, but for zeroes, as a string of numbers. */
struct outcome {
	int error;
	char message[REPORT_MAX];
	size_t nr;
	uint64_t *said;
	size_t capacity;
};

struct recorder {
	struct sink sink;
	struct outcome *outcome;
};

static void say(struct sink *sink, uint64_t value)
{
	struct outcome *outcome = ((struct recorder *)sink)->outcome;

	if (outcome->nr == outcome->capacity) {
		outcome->capacity = outcome->capacity * 2 + 64;
		outcome->said = realloc(outcome->said, outcome->capacity * sizeof(*outcome->said));
		cr_assert(outcome->said);
	}
	outcome->said[outcome->nr++] = value;
}

static int say_begin(struct sink *sink, const struct stream_info *info)
{
	say(sink, 'b');
	for (unsigned i = 0; i < ERA_UUID_SIZE; i++)
		say(sink, info->uuid[i]);
	say(sink, info->data_block_size);
	say(sink, info->nr_blocks);
	say(sink, info->current_era);
	return PD_OK;
}

static int say_writeset(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	say(sink, 'w');
	say(sink, era);
	say(sink, nr_bits);
	return PD_OK;
}

static int say_words(struct sink *sink, uint64_t first_word, const uint64_t *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!words[i])
			continue;
		say(sink, first_word + i);
		say(sink, words[i]);
	}
	return PD_OK;
}

static int say_writeset_end(struct sink *sink)
{
	say(sink, 'x');
	return PD_OK;
}

static int say_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!eras[i])
			continue;
		say(sink, first_block + i);
		say(sink, eras[i]);
	}
	return PD_OK;
}

static int say_end(struct sink *sink)
{
	say(sink, 'e');
	return PD_OK;
}

static const struct sink_ops recorder_ops = {say_begin,	       say_writeset, say_words,
					     say_writeset_end, say_eras,     say_end};

/* Text handed out in pieces of random size, as a pipe does. */
struct pieces {
	const char *text;
	size_t left;
	unsigned *seed;
};

static int read_piece(void *context, char *buffer, size_t size, size_t *nr)
{
	struct pieces *pieces = context;
	size_t most = (size_t)rand_r(pieces->seed) % 5000 + 1;

	*nr = pieces->left < size ? pieces->left : size;
	if (*nr > most)
		*nr = most;
	memcpy(buffer, pieces->text, *nr);
	pieces->text += *nr;
	pieces->left -= *nr;
	return PD_OK;
}

static void keep_message(void *context, const char *text)
{
	struct outcome *outcome = context;

	snprintf(outcome->message, sizeof(outcome->message), "%s", text);
}

static void read_text(const char *text, size_t size, unsigned *seed, struct outcome *outcome)
{
	struct recorder recorder = {{&recorder_ops}, outcome};
	struct pieces pieces = {text, size, seed};
	struct text_input input = {read_piece, &pieces};
	struct report report = {keep_message, outcome};

	memset(outcome, 0, sizeof(*outcome));
	outcome->error = xml_read(&input, &recorder.sink, &report);
}

/* The message, with the line it names moved up by so many. */
static void move_line(char *message, unsigned long by)
{
	char rest[REPORT_MAX];
	unsigned long line;
	int at = 0;

	if (sscanf(message, "line %lu,%n", &line, &at) < 1 || !at)
		return;
	snprintf(rest, sizeof(rest), "%s", message + at);
	snprintf(message, REPORT_MAX, "line %lu,%.400s", line - by, rest);
}

/* Documents: canonical ones, and then what chance makes of them. */

struct text {
	size_t size;
	char bytes[TEXT_MAX];
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->bytes + text->size, TEXT_MAX - text->size, format, args);
	va_end(args);
	cr_assert(n >= 0 && text->size + (size_t)n < TEXT_MAX);
	text->size += (size_t)n;
}

static unsigned below(unsigned *seed, unsigned n)
{
	return n ? (unsigned)rand_r(seed) % n : 0;
}

static void add_writeset(struct text *text, unsigned *seed, unsigned era, unsigned nr_bits)
{
	bool compact = below(seed, 3) == 0;

	add(text, "  <writeset era=\"%u\" nr_bits=\"%u\">\n", era, nr_bits);
	for (unsigned i = 0; i < nr_bits; i++) {
		unsigned len = below(seed, 70) + 1;

		if (below(seed, 40) == 0)
			continue; /* a gap */
		if (!compact)
			add(text, "    <bit block=\"%u\" value=\"%s\"/>\n", i,
			    below(seed, 2) ? "true" : "false");
		else if (i + len <= nr_bits && below(seed, 4) == 0)
			add(text, "    <marked block_begin=\"%u\" len=\"%u\"/>\n", i, len),
				i += len;
	}
	add(text, "  </writeset>\n");
}

static void make_document(struct text *text, unsigned *seed)
{
	static const unsigned tops[] = {5, 12, 9999, 10001, 99999999, 123456789, 4294967295};
	unsigned nr_blocks = below(seed, 1500);
	unsigned current_era = tops[below(seed, 7)];
	/* High numbers of blocks, so that there are some of every length. */
	unsigned first = below(seed, 40) ? 0 : tops[below(seed, 6)] - below(seed, 20);

	text->size = 0;
	if (first > 0x7fffffff)
		first = 0; /* less than nothing */
	add(text,
	    "<superblock uuid=\"%s\" block_size=\"%u\" nr_blocks=\"%u\" current_era=\"%u\">\n",
	    below(seed, 4) ? "" : "some 'id'", 8 + 8 * below(seed, 40), first + nr_blocks,
	    current_era);
	for (unsigned era = 1; era < 3 && below(seed, 3); era++)
		add_writeset(text, seed, era, below(seed, 600));
	add(text, "  <era_array>\n");
	for (unsigned i = 0; i < nr_blocks; i++)
		if (below(seed, 200))
			add(text, "    <era block=\"%u\" era=\"%u\"/>\n", first + i,
			    below(seed, below(seed, 2) ? current_era : 7));
	add(text, "  </era_array>\n</superblock>\n");
}

static void replace(struct text *text, size_t at, size_t length, const char *by)
{
	size_t by_length = strlen(by);

	if (at + length > text->size || text->size - length + by_length >= TEXT_MAX)
		return;
	memmove(text->bytes + at + by_length, text->bytes + at + length, text->size - at - length);
	memcpy(text->bytes + at, by, by_length);
	text->size += by_length;
	text->size -= length;
}

/* One small change: mostly ones that leave the document nearly right. */
static void spoil(struct text *text, unsigned *seed)
{
	static const char *const pieces[] = {
		" ",
		"\n",
		"0",
		"9",
		"<!-- c -->",
		"\"",
		"/",
		"<",
		">",
		"&#49;",
		"\t",
		"\r",
		"true",
		"</era_array>",
		"<era block=\"3\" era=\"1\"/>",
		"-",
		"00000000000000",
		"\xc3\xa4",
		"\xff",
		"x",
		"'",
		"<?p?>",
		"4294967296",
		"    <era block=\"7\" era=\"1\"/>\n",
		"  <writeset era=\"1\" nr_bits=\"1\">\n",
		"  </writeset>\n",
		"</superblock>\n",
		"<!DOCTYPE a>",
		"]]>",
	};
	size_t at = below(seed, (unsigned)text->size);
	char byte[2] = {(char)(below(seed, 255) + 1), 0};

	switch (below(seed, 6)) {
	case 0:
		text->size = at;
		break;
	case 1:
		replace(text, at, below(seed, 3), "");
		break;
	case 2:
		replace(text, at, 1, byte);
		break;
	case 3: /* a line said twice, or left out */
	{
		char *end = memchr(text->bytes + at, '\n', text->size - at);
		char *next =
			end ? memchr(end + 1, '\n', text->size - (size_t)(end + 1 - text->bytes))
			    : NULL;
		char line[300] = "";

		if (!next || next - end > 250)
			break;
		memcpy(line, end + 1, (size_t)(next - end));
		replace(text, (size_t)(end + 1 - text->bytes), below(seed, 2) ? strlen(line) : 0,
			below(seed, 2) ? line : "");
		break;
	}
	default:
		replace(text, at, below(seed, 2),
			pieces[below(seed, sizeof(pieces) / sizeof(pieces[0]))]);
	}
}

static void compare(const struct text *text, unsigned *seed, unsigned first_seed)
{
	char *moved = malloc(text->size + 1);
	struct outcome scanned, parsed;

	cr_assert(moved);
	moved[0] = '\n';
	memcpy(moved + 1, text->bytes, text->size);
	read_text(text->bytes, text->size, seed, &scanned);
	read_text(moved, text->size + 1, seed, &parsed);
	move_line(parsed.message, 1);
	cr_expect_eq(scanned.error, parsed.error, "seed %u: %d, not %d: %s / %s", first_seed,
		     scanned.error, parsed.error, scanned.message, parsed.message);
	cr_expect_str_eq(scanned.message, parsed.message, "seed %u: '%s', not '%s'", first_seed,
			 scanned.message, parsed.message);
	if (!parsed.error) {
		cr_expect_eq(scanned.nr, parsed.nr, "seed %u", first_seed);
		cr_expect(scanned.nr == parsed.nr &&
				  !memcmp(scanned.said, parsed.said, parsed.nr * sizeof(uint64_t)),
			  "seed %u: another stream", first_seed);
	}
	free(scanned.said);
	free(parsed.said);
	free(moved);
}

static unsigned base_seed(void)
{
	const char *given = getenv("ERA_SEED");

	return given ? (unsigned)strtoul(given, NULL, 10) : 1;
}

Test(xml_scan, canonical_documents_read_as_by_expat)
{
	static struct text text;

	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		unsigned seed = base_seed() + i;

		make_document(&text, &seed);
		compare(&text, &seed, base_seed() + i);
	}
}

Test(xml_scan, spoilt_documents_read_as_by_expat)
{
	static struct text text;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned seed = base_seed() + i;

		make_document(&text, &seed);
		for (unsigned changes = below(&seed, 3) + 1; changes; changes--)
			spoil(&text, &seed);
		compare(&text, &seed, base_seed() + i);
	}
}
