/* SPDX-License-Identifier: MIT */
/* Prints sets of changed blocks. */
#include "era/formats.h"

#include <stdio.h>

#define LINE_SIZE 64 /* bytes */

/* What lines of XML are made of. */
#define RANGE_HEAD "  <range begin=\""
#define BLOCK_HEAD "  <block block=\""
#define HEAD_LENGTH (sizeof(BLOCK_HEAD) - 1)
#define RANGE_MIDDLE "\" end=\""
#define LINE_END "\"/>\n"

/*
 * The lines of runs whose numbers have all digits but the last four in common: only these are put in.
 * Whether a run is a single block is as good as random, and a branch that is taken at random is dear: so
 * a range's line is written in any case, and only its beginning and its length tell a block's.
 */
struct run_lines {
	uint32_t base;	    /* what these numbers have in common, followed by four zeroes; not 0 */
	unsigned nr_digits; /* of what they have in common */
	char heads[2]
		  [32]; /* a range's line, then a block's, up to the first number's last digits */
	char tails[2][16]; /* and from there up to the second number's */
};

static void run_lines_set(struct run_lines *lines, uint32_t base)
{
	char digits[DECIMAL_MAX + PUT_SLACK];

	lines->base = base;
	lines->nr_digits = (unsigned)(put_decimal(digits, base / 10000) - digits);
	memcpy(put_string(lines->heads[0], RANGE_HEAD, HEAD_LENGTH), digits, 8);
	memcpy(put_string(lines->heads[1], BLOCK_HEAD, HEAD_LENGTH), digits, 8);
	memcpy(PUT_LITERAL(lines->tails[0], RANGE_MIDDLE), digits, 8);
	memcpy(lines->tails[1], LINE_END, sizeof(LINE_END));
}

/* Any run; lines are made ready for the next one. */
static char *put_any_run(char *p, struct run_lines *lines, uint32_t begin, uint32_t end)
{
	bool single = end - begin == 1;

	p = put_decimal(put_string(p, single ? BLOCK_HEAD : RANGE_HEAD, HEAD_LENGTH), begin);
	if (!single)
		p = put_decimal(PUT_LITERAL(p, RANGE_MIDDLE), end);
	if (end >= 10000)
		run_lines_set(lines, end - end % 10000);
	return PUT_LITERAL(p, LINE_END);
}

static inline char *put_run(char *p, struct run_lines *lines, uint32_t begin, uint32_t end)
{
	uint32_t from = begin - lines->base, to = end - lines->base;
	bool single = to - from == 1;
	uint64_t digits;
	char *second;

	if (from >= 10000 || to >= 10000)
		return put_any_run(p, lines, begin, end);
	digits = four_digits_each(from, to);
	memcpy(p, lines->heads[single], sizeof(lines->heads[single]));
	p += HEAD_LENGTH + lines->nr_digits;
	put_eight(p, digits);
	memcpy(p + 4, lines->tails[single], sizeof(lines->tails[single]));
	second = p + 4 + strlen(RANGE_MIDDLE) + lines->nr_digits;
	put_eight(second, digits >> 32);
	memcpy(second + 4, LINE_END, 4);
	return (single ? p : second) + 4 + strlen(LINE_END);
}

static void put_runs(struct text *text, struct run_lines *lines, const struct changed_runs *runs)
{
	char *p = text_room(text, CHANGED_RUNS_MAX * LINE_SIZE);

	for (unsigned i = 0; i < runs->nr; i++)
		p = put_run(p, lines, runs->edges[2 * i], runs->edges[2 * i + 1]);
	text_filled(text, p);
}

int format_xml(const struct changed *changed, const struct text_output *output)
{
	struct text text;
	struct run_lines lines;
	struct changed_runs runs;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_filled(&text, PUT_LITERAL(text_room(&text, LINE_SIZE), "<blocks>\n"));
	changed_runs_init(&runs, changed);
	run_lines_set(&lines, 10000);
	while (!text_error(&text) && changed_runs_next(&runs))
		put_runs(&text, &lines, &runs);
	text_filled(&text, PUT_LITERAL(text_room(&text, LINE_SIZE), "</blocks>\n"));
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}

static void put_extent(struct text *text, uint64_t begin, uint64_t end)
{
	char *p = put_decimal64(text_room(text, LINE_SIZE), begin);

	*p++ = ' ';
	p = put_decimal64(p, end - begin);
	*p++ = '\n';
	text_filled(text, p);
}

int format_ranges(const struct extents *extents, const struct text_output *output)
{
	struct text text;
	uint64_t begin, end = 0;
	int r = text_init(&text, output);

	if (r)
		return r;
	while (!text_error(&text) && extents_next(extents, &begin, &end))
		put_extent(&text, begin, end);
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}

static void put_json_head(struct text *text, const struct extents *extents, bool snapshot)
{
	const struct changed *changed = extents->changed;

	text_print(text,
		   "{\n  \"version\": 1,\n  \"source\": \"%s\",\n  \"block_size\": %llu,\n"
		   "  \"nr_blocks\": %u,\n",
		   snapshot ? "snapshot" : "offline", (unsigned long long)extents->block_size,
		   changed->info.nr_blocks);
	if (extents->device_size != DEVICE_SIZE_UNKNOWN)
		text_print(text, "  \"device_size\": %llu,\n",
			   (unsigned long long)extents->device_size);
	text_print(text, "  \"since\": %u,\n  \"current_era\": %u,\n  \"extents\": [",
		   changed->since, changed->info.current_era);
}

static void put_json_extent(struct text *text, bool first, uint64_t begin, uint64_t end)
{
	char *p = text_room(text, 2 * LINE_SIZE);

	if (!first)
		*p++ = ',';
	p = PUT_LITERAL(p, "\n    {\"offset\": ");
	p = put_decimal64(p, begin);
	p = PUT_LITERAL(p, ", \"length\": ");
	p = put_decimal64(p, end - begin);
	*p++ = '}';
	text_filled(text, p);
}

int format_json(const struct extents *extents, bool snapshot, const struct text_output *output)
{
	struct text text;
	uint64_t begin, end = 0;
	bool first = true;
	int r = text_init(&text, output);

	if (r)
		return r;
	put_json_head(&text, extents, snapshot);
	for (; !text_error(&text) && extents_next(extents, &begin, &end); first = false)
		put_json_extent(&text, first, begin, end);
	text_print(&text, "%s]\n}\n", first ? "" : "\n  ");
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}

/* Of what libdevmapper lets into a name without mangling it, and a backslash, by which it mangles. */
bool format_dmsetup_takes(const char *name)
{
	size_t length = strlen(name);

	return length && length <= FORMAT_DMSETUP_NAME && *name != '-' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "#+-.:=@_\\") == length;
}

/* Lines of messages; each of them begins with `head`. */
struct messages {
	struct text text;
	char head[FORMAT_DMSETUP_NAME + LINE_SIZE];
	size_t head_length;
	size_t length; /* of the line at hand, without its newline; 0: there is none */
};

static void put_cache_range(struct messages *messages, uint32_t begin, uint32_t end)
{
	char range[2 * DECIMAL_MAX + 2 + PUT_SLACK];
	char *p = range, *to;

	*p++ = ' ';
	p = put_decimal(p, begin);
	if (end - begin > 1) {
		*p++ = '-';
		p = put_decimal(p, end);
	}
	to = text_room(&messages->text, (size_t)(p - range) + messages->head_length + 1);
	if (messages->length + (size_t)(p - range) + 1 > FORMAT_DMSETUP_LINE) {
		*to++ = '\n';
		messages->length = 0;
	}
	if (!messages->length) {
		to = put_string(to, messages->head, messages->head_length);
		messages->length = messages->head_length;
	}
	messages->length += (size_t)(p - range);
	text_filled(&messages->text, put_string(to, range, (size_t)(p - range)));
}

static void put_head(struct messages *messages, const char *name)
{
	const char *quote = strpbrk(name, "#\\=") ? "'" : "";

	messages->head_length =
		(size_t)snprintf(messages->head, sizeof(messages->head),
				 "dmsetup message %s%s%s 0 invalidate_cblocks", quote, name, quote);
}

int format_dmsetup(const struct cache_blocks *blocks, const char *name,
		   const struct text_output *output)
{
	struct messages messages = {.length = 0};
	uint32_t begin, end = 0;
	int r = text_init(&messages.text, output);

	if (r)
		return r;
	put_head(&messages, name);
	while (!text_error(&messages.text) && cache_blocks_next(blocks, &begin, &end))
		put_cache_range(&messages, begin, end);
	if (messages.length)
		text_print(&messages.text, "\n");
	r = text_flush(&messages.text);
	text_destroy(&messages.text);
	return r;
}
