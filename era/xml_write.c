/* SPDX-License-Identifier: MIT */
/* Writes the stream as XML. */
#include "era/xml_write.h"
#include "era/bitmap.h"
#include "era/superblock.h"
#include "persistent-data/error.h"

#include <stdlib.h>

#define NO_RUN UINT64_MAX
#define HEAD_MAX 256 /* bytes of the longest piece that is not one of many lines */
#define LINE_SIZE 64 /* bytes of a line of which there are many */
#define STRETCH 512  /* lines written between looks at the buffer */

struct xml_write {
	struct sink sink;
	struct text text;
	const struct report *report;
	bool compact;
	bool in_era_array;
	uint32_t nr_bits;   /* of the writeset being written */
	uint64_t run_begin; /* of a run of marked bits that goes on in the next batch */
};

static char *put_escaped(char *to, const uint8_t *uuid)
{
	for (unsigned i = 0; i < ERA_UUID_SIZE && uuid[i]; i++) {
		switch (uuid[i]) {
		case '&':
			to = PUT_LITERAL(to, "&amp;");
			break;
		case '<':
			to = PUT_LITERAL(to, "&lt;");
			break;
		case '>':
			to = PUT_LITERAL(to, "&gt;");
			break;
		case '"':
			to = PUT_LITERAL(to, "&quot;");
			break;
		default:
			*to++ = (char)uuid[i];
		}
	}
	return to;
}

static int xml_begin(struct sink *sink, const struct stream_info *info)
{
	struct xml_write *xml = (struct xml_write *)sink;
	char *p = text_room(&xml->text, HEAD_MAX);

	if (!superblock_uuid_is_text(info))
		return report_error(xml->report, PD_ERR_UNSUPPORTED,
				    "superblock: the uuid has bytes that XML cannot carry");
	p = PUT_LITERAL(p, "<superblock uuid=\"");
	p = put_escaped(p, info->uuid);
	p = PUT_LITERAL(p, "\" block_size=\"");
	p = put_decimal(p, info->data_block_size);
	p = PUT_LITERAL(p, "\" nr_blocks=\"");
	p = put_decimal(p, info->nr_blocks);
	p = PUT_LITERAL(p, "\" current_era=\"");
	p = put_decimal(p, info->current_era);
	p = PUT_LITERAL(p, "\">\n");
	text_filled(&xml->text, p);
	return text_error(&xml->text);
}

static int xml_writeset_begin(struct sink *sink, uint32_t era, uint32_t nr_bits)
{
	struct xml_write *xml = (struct xml_write *)sink;
	char *p = text_room(&xml->text, HEAD_MAX);

	p = PUT_LITERAL(p, "  <writeset era=\"");
	p = put_decimal(p, era);
	p = PUT_LITERAL(p, "\" nr_bits=\"");
	p = put_decimal(p, nr_bits);
	p = PUT_LITERAL(p, "\">\n");
	text_filled(&xml->text, p);
	xml->nr_bits = nr_bits;
	xml->run_begin = NO_RUN;
	return text_error(&xml->text);
}

/* The bits of a batch, which may stop short of its last word. */
static unsigned bits_in(const struct xml_write *xml, uint64_t first_word, unsigned nr_words)
{
	uint64_t left = xml->nr_bits - first_word * 64;

	return left < (uint64_t)nr_words * 64 ? (unsigned)left : nr_words * 64;
}

/* Up to STRETCH bits, from the i-th on. */
static void write_bit_lines(struct text *text, struct numbered *line, const uint64_t *words,
			    unsigned i, unsigned n)
{
	static const char values[2][16] = {"false\"/>\n", "true\"/>\n"};
	char *p = text_room(text, STRETCH * LINE_SIZE);

	for (unsigned end = i + n; i < end; i++) {
		unsigned bit = words[i / 64] >> (i % 64) & 1;

		p = put_numbered(p, line);
		memcpy(p, values[bit], sizeof(values[bit]));
		p += 9 - bit;
	}
	text_filled(text, p);
}

static void write_bits(struct xml_write *xml, uint64_t first_word, const uint64_t *words,
		       unsigned nr_bits)
{
	struct numbered line;

	numbered_set(&line, "    <bit block=\"", (uint32_t)(first_word * 64), "\" value=\"");
	for (unsigned i = 0; i < nr_bits; i += STRETCH)
		write_bit_lines(&xml->text, &line, words, i,
				nr_bits - i < STRETCH ? nr_bits - i : STRETCH);
}

static void write_run(struct xml_write *xml, uint64_t begin, uint64_t end)
{
	char *p = text_room(&xml->text, HEAD_MAX);

	p = PUT_LITERAL(p, "    <marked block_begin=\"");
	p = put_decimal(p, (uint32_t)begin);
	p = PUT_LITERAL(p, "\" len=\"");
	p = put_decimal(p, (uint32_t)(end - begin));
	p = PUT_LITERAL(p, "\"/>\n");
	text_filled(&xml->text, p);
}

/* Writes the runs that end within a batch, and keeps the begin of one that may go on. */
static void write_runs(struct xml_write *xml, uint64_t first_word, const uint64_t *words,
		       unsigned nr_bits)
{
	uint64_t first = first_word * 64;
	uint64_t i = 0;

	for (;;) {
		if (xml->run_begin == NO_RUN) {
			i = bitmap_find_set(words, nr_bits, i);
			if (i == nr_bits)
				return;
			xml->run_begin = first + i;
		}
		i = bitmap_find_clear(words, nr_bits, i);
		if (i == nr_bits)
			return;
		write_run(xml, xml->run_begin, first + i);
		xml->run_begin = NO_RUN;
	}
}

static int xml_writeset_words(struct sink *sink, uint64_t first_word, const uint64_t *words,
			      unsigned n)
{
	struct xml_write *xml = (struct xml_write *)sink;
	unsigned nr_bits = bits_in(xml, first_word, n);

	if (xml->compact)
		write_runs(xml, first_word, words, nr_bits);
	else
		write_bits(xml, first_word, words, nr_bits);
	return text_error(&xml->text);
}

static int xml_writeset_end(struct sink *sink)
{
	struct xml_write *xml = (struct xml_write *)sink;
	char *p;

	if (xml->run_begin != NO_RUN)
		write_run(xml, xml->run_begin, xml->nr_bits);
	p = text_room(&xml->text, HEAD_MAX);
	text_filled(&xml->text, PUT_LITERAL(p, "  </writeset>\n"));
	return text_error(&xml->text);
}

static void begin_era_array(struct xml_write *xml)
{
	char *p = text_room(&xml->text, HEAD_MAX);

	if (!xml->in_era_array)
		text_filled(&xml->text, PUT_LITERAL(p, "  <era_array>\n"));
	xml->in_era_array = true;
}

static void write_era_lines(struct text *text, struct numbered *line, const uint32_t *eras,
			    unsigned n)
{
	char *p = text_room(text, STRETCH * LINE_SIZE);

	for (unsigned i = 0; i < n; i++) {
		p = put_numbered(p, line);
		p = put_decimal(p, eras[i]);
		p = PUT_LITERAL(p, "\"/>\n");
	}
	text_filled(text, p);
}

static int xml_eras(struct sink *sink, uint32_t first_block, const uint32_t *eras, unsigned n)
{
	struct xml_write *xml = (struct xml_write *)sink;
	struct numbered line;

	begin_era_array(xml);
	numbered_set(&line, "    <era block=\"", first_block, "\" era=\"");
	for (unsigned i = 0; i < n; i += STRETCH)
		write_era_lines(&xml->text, &line, eras + i, n - i < STRETCH ? n - i : STRETCH);
	return text_error(&xml->text);
}

static int xml_end(struct sink *sink)
{
	struct xml_write *xml = (struct xml_write *)sink;
	char *p;

	begin_era_array(xml);
	p = text_room(&xml->text, HEAD_MAX);
	text_filled(&xml->text, PUT_LITERAL(p, "  </era_array>\n</superblock>\n"));
	return text_flush(&xml->text);
}

static const struct sink_ops xml_ops = {xml_begin,	  xml_writeset_begin, xml_writeset_words,
					xml_writeset_end, xml_eras,	      xml_end};

int xml_write_open(const struct text_output *output, bool compact, const struct report *report,
		   struct sink **result)
{
	struct xml_write *xml = calloc(1, sizeof(*xml));

	if (!xml || text_init(&xml->text, output)) {
		free(xml);
		return PD_ERR_NO_MEMORY;
	}
	xml->sink.ops = &xml_ops;
	xml->compact = compact;
	xml->report = report;
	*result = &xml->sink;
	return PD_OK;
}

void xml_write_close(struct sink *sink)
{
	struct xml_write *xml = (struct xml_write *)sink;

	if (!xml)
		return;
	text_destroy(&xml->text);
	free(xml);
}
