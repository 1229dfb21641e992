/* SPDX-License-Identifier: MIT */
/* Prints sets of changed blocks. */
#include "era/formats.h"
#include "persistent-data/error.h"

#include <stdio.h>

#define LINE_SIZE 64 /* bytes */

/*
 * Whether a run is a single block is as good as random, and a branch that is taken at random is dear: so
 * a range's line is written in any case, and only its beginning and its length tell a block's.
 */
static inline char *put_run(char *p, struct ascending *number, uint32_t begin, uint32_t end)
{
	static const char heads[2][16] = {"  <range begin=\"", "  <block block=\""};
	static const char tails[2][8] = {"\" end=\"", "\"/>\n"};
	bool single = end - begin == 1;
	char *line_end;

	p = put_string(p, heads[single], sizeof(heads[single]));
	p = put_ascending(p, number, begin);
	line_end = p + 4;
	memcpy(p, tails[single], sizeof(tails[single]));
	p = put_ascending(p + 7, number, end);
	p = PUT_LITERAL(p, "\"/>\n");
	return single ? line_end : p;
}

static void put_runs(struct text *text, struct ascending *number, const struct changed_runs *runs)
{
	char *p = text_room(text, CHANGED_RUNS_MAX * LINE_SIZE);

	for (unsigned i = 0; i < runs->nr; i++)
		p = put_run(p, number, runs->edges[2 * i], runs->edges[2 * i + 1]);
	text_filled(text, p);
}

int format_xml(const struct changed *changed, const struct text_output *output)
{
	struct text text;
	struct ascending number = {.high = 0};
	struct changed_runs runs;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_filled(&text, PUT_LITERAL(text_room(&text, LINE_SIZE), "<blocks>\n"));
	changed_runs_init(&runs, changed);
	while (!text_error(&text) && changed_runs_next(&runs))
		put_runs(&text, &number, &runs);
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
