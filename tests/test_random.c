/* SPDX-License-Identifier: MIT */
/*
 * Random metadata, as XML of all kinds, through era_restore into the tightest device that will do;
 * then all commands must say of it what the naive implementation says. ERA_SEED=n runs again what
 * a message about that seed is about.
 */
#include "tests/support/command.h"
#include "tests/support/fixture.h"
#include "tests/support/naive.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NR_SMALL 300
#define NR_LARGE 12
#define NR_CHUNKS 4	  /* that can run side by side, of each kind */
#define SLOWNESS 6	  /* of sanitizers */
#define MAX_LINES 4000000 /* of a dump */

struct chunk {
	uint64_t seed;
	unsigned first, end; /* cases */
	bool large;
};

TestSuite(random_metadata, .init = fixture_set_up, .fini = fixture_tear_down, .timeout = 900);

static struct naive model;
static char who[80]; /* the case, for messages */

/* Numbers at random: splitmix64. */

static uint64_t state;

static uint64_t random_number(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint32_t below(uint64_t limit)
{
	return (uint32_t)(random_number() % limit);
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

/* Metadata. */

static uint32_t pick_size(bool large, bool tiny)
{
	static const uint32_t small_sizes[] = {0,   1,	 2,   63,   64,	  65,	128, 508,
					       509, 510, 700, 1017, 1018, 1019, 2036};
	static const uint32_t large_sizes[] = {32575, 32576, 32577, 65152, 256536, 300000};

	if (tiny)
		return below(130);
	if (large)
		return PICK(large_sizes) + (one_in(3) ? below(1000) : 0);
	return PICK(small_sizes);
}

static uint32_t pick_bits(uint32_t nr_blocks)
{
	switch (below(8)) {
	case 0:
		return below(nr_blocks + 1);
	case 1:
		return nr_blocks + below(100);
	case 2:
		return nr_blocks + 1;
	case 3:
		return nr_blocks ? nr_blocks - 1 : 0;
	default:
		return nr_blocks;
	}
}

static uint32_t pick_current_era(void)
{
	static const uint32_t eras[] = {1, 2, 7, 300, 70000, 0x7fffffff, 0x80000000, UINT32_MAX};

	return one_in(30) ? 0 : PICK(eras);
}

/* Sets bits in runs of one length, or all or none of them. */
static void fill_bits(struct naive_writeset *writeset)
{
	static const uint32_t lengths[] = {1, 1, 2, 64, 1000};
	uint32_t length = PICK(lengths);
	uint32_t chance = one_in(4) ? 1 : 2 + below(30);

	if (one_in(6))
		return;
	for (uint32_t i = 0; i < writeset->nr_bits; i += length) {
		bool set = one_in(chance);

		for (uint32_t j = i; set && j < writeset->nr_bits && j < i + length; j++)
			naive_set_bit(writeset, j);
	}
}

static void fill_eras(void)
{
	uint64_t nr_eras = (uint64_t)model.current_era + 1;
	uint32_t longest = one_in(2) ? 1 : 1 + below(2000);
	bool extreme = one_in(4);

	naive_make_eras(&model);
	for (uint32_t i = 0; i < model.nr_blocks;) {
		uint32_t era = extreme ? (one_in(2) ? model.current_era : 0) : below(nr_eras);
		uint32_t end = i + 1 + below(longest);

		for (; i < end && i < model.nr_blocks; i++)
			model.eras[i] = era;
	}
}

/* The eras of the writesets: near together, or far apart. */
static void make_writesets(uint32_t nr)
{
	uint32_t spread = one_in(2) ? 3 : UINT32_MAX;
	uint32_t era = 0;

	for (; nr; nr--) {
		uint32_t room = model.current_era - era - (nr - 1);

		era += 1 + below(room < spread ? room : spread);
		if (nr == 1 && one_in(2))
			era = model.current_era;
		fill_bits(naive_add_writeset(&model, era, pick_bits(model.nr_blocks)));
	}
}

static void make_uuid(void)
{
	uint32_t length = one_in(2) ? 0 : below(17);

	for (uint32_t i = 0; i < length; i++)
		model.uuid[i] = one_in(4) ? PICK("&<>\"' a") : (char)(' ' + below(95));
	model.uuid[length] = 0;
	/* The string's own zero may have been picked. */
	memset(model.uuid + strlen(model.uuid), 0, sizeof(model.uuid) - strlen(model.uuid));
}

static void make_model(bool large)
{
	static const uint32_t counts[] = {0, 1, 1, 2, 3, 5, 201, 250};
	uint32_t nr = large ? below(6) : PICK(counts);

	model = (struct naive){.current_era = pick_current_era()};
	model.block_size = one_in(10) ? 0xfffffff8 : 8 * (1 + below(1000));
	model.nr_blocks = pick_size(large, nr > 5);
	make_uuid();
	make_writesets(nr < model.current_era ? nr : model.current_era);
	fill_eras();
}

/* XML that says the same in unusual ways. */

static FILE *xml;

/* What may stand between two tags. */
static void put_gap(void)
{
	static const char *const gaps[] = {
		"\n",	  " ",		 "\r\n\t", "<!-- a - <b> & \" -->",
		"&#32;",  "<?p i='?'?>", "&#xA;",  "<![CDATA[ \n]]>",
		"<!---->"};

	if (one_in(3))
		fputs(PICK(gaps), xml);
	if (one_in(2))
		fputs("\n", xml);
}

/* Between two attributes. */
static void put_space(void)
{
	static const char *const spaces[] = {" ", " ", "  ", "\n", "\t", "\r\n   "};

	fputs(PICK(spaces), xml);
}

static void put_character(char c, char quote)
{
	if (one_in(40) || c == '&' || c == '<' || c == quote)
		fprintf(xml, one_in(2) ? "&#%d;" : "&#x%02x;", c);
	else
		fputc(c, xml);
}

struct attribute {
	const char *name, *value;
};

static void put_attribute(const struct attribute *attribute)
{
	char quote = one_in(3) ? '\'' : '"';

	put_space();
	fputs(attribute->name, xml);
	fputs(one_in(5) ? " = " : "=", xml);
	fputc(quote, xml);
	for (const char *c = attribute->value; *c; c++)
		put_character(*c, quote);
	fputc(quote, xml);
}

/* A tag, whose attributes come in any order. */
static void put_tag(const char *name, struct attribute *attributes, unsigned nr)
{
	fprintf(xml, "<%s", name);
	for (; nr; nr--) {
		unsigned which = below(nr);

		put_attribute(&attributes[which]);
		attributes[which] = attributes[nr - 1];
	}
	if (one_in(5))
		put_space();
}

static void put_empty(const char *name, struct attribute *attributes, unsigned nr)
{
	put_tag(name, attributes, nr);
	if (one_in(5))
		fprintf(xml, "></%s>", name);
	else
		fputs("/>", xml);
	put_gap();
}

static void put_open(const char *name, struct attribute *attributes, unsigned nr)
{
	put_tag(name, attributes, nr);
	fputs(">", xml);
	put_gap();
}

static void put_close(const char *name)
{
	fprintf(xml, one_in(5) ? "</%s >" : "</%s>", name);
	put_gap();
}

struct number {
	char digits[24];
};

static struct number number(uint32_t value)
{
	struct number number;

	snprintf(number.digits, sizeof(number.digits), one_in(20) ? "%020u" : "%u", value);
	return number;
}

static void put_bit(uint32_t block, bool value)
{
	struct number n = number(block);
	struct attribute attributes[] = {{"block", n.digits}, {"value", value ? "true" : "false"}};

	put_empty("bit", attributes, 2);
}

static void put_marked(uint32_t begin, uint32_t length)
{
	struct number n = number(begin), l = number(length);
	struct attribute attributes[] = {{"block_begin", n.digits}, {"len", l.digits}};

	put_empty("marked", attributes, 2);
}

/* Bits and runs mixed; runs may be cut anywhere, and bits that are not set left out. */
static void put_bits(const struct naive_writeset *writeset)
{
	for (uint32_t i = 0, length; i < writeset->nr_bits; i += length) {
		uint32_t longest = one_in(2) ? UINT32_MAX : 1 + below(70);

		for (length = 0; i + length < writeset->nr_bits && length < longest &&
				 naive_bit(writeset, i + length);)
			length++;
		if (length > 1 || (length && one_in(2))) {
			put_marked(i, length);
			continue;
		}
		if (length || one_in(4))
			put_bit(i, length);
		length = 1;
	}
}

static void put_writesets(void)
{
	for (uint32_t w = 0; w < model.nr_writesets; w++) {
		const struct naive_writeset *writeset = &model.writesets[w];
		struct number e = number(writeset->era), n = number(writeset->nr_bits);
		struct attribute attributes[] = {{"era", e.digits}, {"nr_bits", n.digits}};

		put_open("writeset", attributes, 2);
		put_bits(writeset);
		put_close("writeset");
	}
}

static void put_eras(void)
{
	put_open("era_array", NULL, 0);
	for (uint32_t i = 0; i < model.nr_blocks; i++) {
		struct number b = number(i), e = number(model.eras[i]);
		struct attribute attributes[] = {{"block", b.digits}, {"era", e.digits}};

		if (model.eras[i] || one_in(2))
			put_empty("era", attributes, 2);
	}
	put_close("era_array");
}

static void put_superblock(void)
{
	struct number b = number(model.block_size), n = number(model.nr_blocks);
	struct number e = number(model.current_era);
	struct attribute attributes[] = {{"block_size", b.digits},
					 {"nr_blocks", n.digits},
					 {"current_era", e.digits},
					 {"uuid", model.uuid}};

	put_open("superblock", attributes, model.uuid[0] || one_in(2) ? 4 : 3);
	put_writesets();
	put_eras();
	fprintf(xml, "</superblock>%s", one_in(2) ? "\n<!-- the end -->" : "");
}

static char *odd_xml(size_t *size)
{
	char *text;

	xml = open_memstream(&text, size);
	cr_assert(xml);
	if (one_in(2))
		fputs("<?xml version='1.0' encoding=\"UTF-8\"?>\n<!-- odd -->", xml);
	put_superblock();
	fclose(xml);
	return text;
}

/* Restoring. */

static void expect_printed(struct command_result result, const char *what, const char *text,
			   size_t size)
{
	char problem[400];

	cr_expect(command_printed(&result, text, size, problem), "%s: %s: %s", who, what, problem);
	command_free(&result);
}

/* How many blocks it must have, from the message about one that is too small. */
static uint64_t blocks_needed(const char *input)
{
	const char *tiny = fixture_file("tiny.img", NULL, 4096);
	struct command_result result = COMMAND("era_restore", "-i", input, "-o", tiny);
	const char *text = strstr(result.err, "too small: ");
	unsigned long long needed = 0;
	char problem[400];

	cr_expect(command_refused(&result, "era_restore", "metadata blocks are needed", problem),
		  "%s: %s", who, problem);
	if (text)
		sscanf(text, "too small: %llu metadata blocks", &needed);
	cr_assert_gt(needed, 1, "%s", who);
	command_free(&result);
	return needed;
}

static void expect_too_small(const char *input, uint64_t nr_blocks)
{
	const char *path = fixture_file("small.img", NULL, nr_blocks * 4096);
	struct command_result result = COMMAND("era_restore", "-i", input, "-o", path);
	char problem[400];

	cr_expect(command_refused(&result, "era_restore", "too small", problem), "%s: %s", who,
		  problem);
	command_free(&result);
}

/* Into a device that is just large enough, or larger. */
static const char *restore(const char *input)
{
	static const uint32_t more[] = {0, 0, 1, 100, 16320, 40000};
	uint64_t needed = blocks_needed(input);
	const char *path;
	uint32_t extra = PICK(more);

	expect_too_small(input, needed - 1);
	/* A space map that covers more needs more room itself. */
	path = fixture_file("restored.img", NULL, (needed + extra) * 4096);
	expect_printed(COMMAND("era_restore", "-i", input, "-o", path), "era_restore", "", 0);
	return path;
}

static void check_image(const char *path)
{
	struct naive_image image;
	struct naive found;
	char problem[160], line[PATH_MAX + 16];

	snprintf(line, sizeof(line), "%s: sound\n", path);
	expect_printed(COMMAND("era_check", path), "era_check", line, strlen(line));
	cr_assert(naive_open(&image, path));
	cr_assert(naive_load(&found, &image, false), "%s: %s", who, image.problem);
	cr_assert(naive_same(&found, &model, problem), "%s: %s", who, problem);
	cr_expect(naive_check_counts(&image), "%s: %s", who, image.problem);
	naive_free(&found);
	naive_close(&image);
}

static void check_dump(const char *path, const char *option, enum naive_shape shape)
{
	size_t size;
	char *text;

	if (naive_nr_lines(&model, shape) > MAX_LINES)
		return;
	text = naive_dump(&model, shape, &size);
	expect_printed(COMMAND("era_dump", option, path), option, text, size);
	free(text);
}

static void check_changed(const char *path, const uint32_t *eras, uint32_t since)
{
	size_t size;
	char *text = naive_changed(eras, model.nr_blocks, since, &size);
	char option[40];

	snprintf(option, sizeof(option), "--written-since=%u", since);
	expect_printed(COMMAND("era_invalidate", option, path), option, text, size);
	free(text);
}

static void check_commands(const char *path)
{
	uint32_t *eras = naive_block_eras(&model);

	check_dump(path, "--output=-", NAIVE_FULL);
	check_dump(path, "--compact", NAIVE_COMPACT);
	check_dump(path, "--logical", NAIVE_LOGICAL);
	check_changed(path, eras, 0);
	check_changed(path, eras, 1);
	check_changed(path, eras, model.current_era);
	check_changed(path, eras, below((uint64_t)model.current_era + 1));
	if (model.nr_blocks)
		check_changed(path, eras, eras[below(model.nr_blocks)]);
	if (model.current_era < UINT32_MAX)
		check_changed(path, eras, model.current_era + 1);
	free(eras);
}

static void run_case(bool large)
{
	const char *input;
	size_t size;
	char *text;

	make_model(large);
	switch (below(4)) {
	case 0:
		text = naive_dump(&model, NAIVE_FULL, &size);
		break;
	case 1:
		text = naive_dump(&model, NAIVE_COMPACT, &size);
		break;
	default:
		text = odd_xml(&size);
	}
	input = fixture_file("in.xml", text, size);
	free(text);
	input = restore(input);
	check_image(input);
	check_commands(input);
	naive_free(&model);
}

static uint64_t pick_seed(void)
{
	const char *given = getenv("ERA_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return given ? strtoull(given, NULL, 0)
		     : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

ParameterizedTestParameters(random_metadata, round_trips)
{
	unsigned slowness = command_sanitized() ? SLOWNESS : 1;
	struct chunk *chunks = cr_malloc(2 * NR_CHUNKS * sizeof(*chunks));
	uint64_t seed = pick_seed();

	for (unsigned i = 0; i < 2 * NR_CHUNKS; i++) {
		bool large = i < NR_CHUNKS;
		unsigned size = (large ? NR_LARGE : NR_SMALL) / slowness / NR_CHUNKS + 1;

		chunks[i] = (struct chunk){seed, i % NR_CHUNKS * size, (i % NR_CHUNKS + 1) * size,
					   large};
	}
	return (struct criterion_test_params){
		.size = sizeof(*chunks), .params = chunks, .length = 2 * NR_CHUNKS};
}

ParameterizedTest(struct chunk *chunk, random_metadata, round_trips)
{
	if (!chunk->first && !chunk->large)
		fprintf(stderr, "ERA_SEED=%llu\n", (unsigned long long)chunk->seed);
	for (unsigned i = chunk->first; i < chunk->end; i++) {
		state = chunk->seed + (uint64_t)i * 2 + chunk->large;
		random_number();
		snprintf(who, sizeof(who), "ERA_SEED=%llu, %s case %u",
			 (unsigned long long)chunk->seed, chunk->large ? "large" : "small", i);
		run_case(chunk->large);
	}
}
