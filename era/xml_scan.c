/* SPDX-License-Identifier: MIT */
/* Recognises the lines that era_dump prints. */
#include "era/xml_scan.h"
#include "era/text.h"
#include "persistent-data/error.h"
#include "persistent-data/le.h"

#include <string.h>

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Each of these returns the place behind what it recognised, or NULL. */

static inline const char *scan_bytes(const char *p, const char *literal, size_t length)
{
	return memcmp(p, literal, length) == 0 ? p + length : NULL;
}

#define SCAN_LITERAL(p, literal) scan_bytes(p, literal, sizeof(literal) - 1)

/* Eight digits, the first one lowest, as values rather than characters. */
static inline uint32_t eight_digits_value(uint64_t digits)
{
	/* Pairs, then fours, then all of them, each step in all parts of the word at once. */
	digits = (digits * 10 + (digits >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
	digits = (digits * 100 + (digits >> 16)) & UINT64_C(0x0000ffff0000ffff);
	digits = digits * 10000 + (digits >> 32);
	return (uint32_t)digits;
}

/* Behind eight digits: no 32-bit number has more than two further ones. */
static const char *scan_long_number(const char *p, uint64_t value, uint32_t *number)
{
	for (unsigned n = 0; *p >= '0' && *p <= '9'; n++, p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (n == 2 || value > UINT32_MAX)
			return NULL;
	}
	*number = (uint32_t)value;
	return p;
}

static inline const char *scan_number(const char *p, uint32_t *number)
{
	uint64_t values = get_le64(p) ^ EVERY_BYTE('0');
	/* The high bit of each byte that is more than nine; carries spoil none before the first. */
	uint64_t others = (values | (values + EVERY_BYTE(0x76))) & EVERY_BYTE(0x80);
	unsigned nr_digits;

	if (!others)
		return scan_long_number(p + 8, eight_digits_value(values), number);
	nr_digits = (unsigned)__builtin_ctzll(others) / 8;
	if (!nr_digits)
		return NULL;
	*number = eight_digits_value(values << (64 - 8 * nr_digits));
	return p + nr_digits;
}

/* What stands before a number, and the number. */
#define SCAN_FIELD(p, literal, number)                \
	do {                                          \
		(p) = SCAN_LITERAL(p, literal);       \
		if (p)                                \
			(p) = scan_number(p, number); \
	} while (0)

/*
 * The number of the line that comes next, where lines are numbered one by one: to compare digits is
 * quicker than to find out how many there are. Numbers of nine digits and more are not foreseen.
 */
struct foreseen {
	uint64_t digits, mask; /* as they stand in the text, the first digit lowest */
	unsigned nr_digits;    /* 0: none is foreseen */
};

static void foresee(struct foreseen *foreseen, uint32_t number)
{
	char text[DECIMAL_MAX + PUT_SLACK];
	unsigned nr_digits = (unsigned)(put_decimal(text, number) - text);

	if (nr_digits > sizeof(foreseen->digits)) {
		foreseen->nr_digits = 0;
		return;
	}
	foreseen->nr_digits = nr_digits;
	foreseen->mask = UINT64_MAX >> (64 - 8 * nr_digits);
	foreseen->digits = get_le64(text) & foreseen->mask;
}

/* The number was there: on to the one behind it. */
static inline void foresee_next(struct foreseen *foreseen, uint32_t number)
{
	unsigned last = 8 * foreseen->nr_digits - 8;

	if (foreseen->nr_digits && (foreseen->digits >> last & 0xff) != '9')
		foreseen->digits += UINT64_C(1) << last;
	else
		foresee(foreseen, number + 1);
}

/* A number, which is quickly read if it is the foreseen one. */
static inline const char *scan_foreseen(const char *p, const struct foreseen *foreseen,
					uint32_t number_foreseen, uint32_t *number)
{
	if (foreseen->nr_digits && (get_le64(p) & foreseen->mask) == foreseen->digits &&
	    p[foreseen->nr_digits] == '"') {
		*number = number_foreseen;
		return p + foreseen->nr_digits;
	}
	return scan_number(p, number);
}

struct span {
	const char *begin, *end;
};

/*
 * Each of the following takes lines of a kind from the beginning of the text, and says where it
 * stopped: at the beginning if there are none, or if the document refused them.
 */

static const char *take(struct xml_scan *scan, const char *begin, const char *end,
			uint64_t nr_lines, int r, int *error)
{
	if (r == PD_OK) {
		scan->nr_lines += nr_lines;
		return end;
	}
	if (r != PD_ERR_CORRUPT)
		*error = r;
	return begin;
}

/* Lines of one kind, numbered one by one. */
struct run {
	uint32_t first;
	unsigned n;
	struct foreseen foreseen;
};

static inline const char *run_number(const char *p, struct run *run, const char *before,
				     size_t length)
{
	uint32_t number;

	p = scan_bytes(p, before, length);
	if (p)
		p = scan_foreseen(p, &run->foreseen, run->first + run->n, &number);
	if (!p || (run->n && number != run->first + run->n))
		return NULL;
	if (!run->n) {
		run->first = number;
		foresee(&run->foreseen, number);
	}
	return p;
}

static inline void run_next(struct run *run)
{
	foresee_next(&run->foreseen, run->first + run->n);
	run->n++;
}

#define RUN_NUMBER(p, run, before) run_number(p, run, before, sizeof(before) - 1)

static inline const char *era_line(const char *p, struct run *run, uint32_t *era)
{
	p = RUN_NUMBER(p, run, "    <era block=\"");
	if (p)
		SCAN_FIELD(p, "\" era=\"", era);
	return p ? SCAN_LITERAL(p, "\"/>\n") : NULL;
}

static const char *scan_eras(struct xml_scan *scan, struct span text, int *error)
{
	uint32_t eras[DOCUMENT_BATCH_ERAS];
	struct run run = {.n = 0};
	const char *p = text.begin;

	while (run.n < DOCUMENT_BATCH_ERAS) {
		const char *next = era_line(p, &run, &eras[run.n]);

		if (!next || next > text.end)
			break;
		run_next(&run);
		p = next;
	}
	if (!run.n)
		return text.begin;
	return take(scan, text.begin, p, run.n,
		    document_eras(scan->document, run.first, eras, run.n), error);
}

static inline const char *bit_line(const char *p, struct run *run, uint64_t *value)
{
	const char *behind;

	p = RUN_NUMBER(p, run, "    <bit block=\"");
	if (!p)
		return NULL;
	behind = SCAN_LITERAL(p, "\" value=\"false\"/>\n");
	*value = !behind;
	return behind ? behind : SCAN_LITERAL(p, "\" value=\"true\"/>\n");
}

static const char *scan_bits(struct xml_scan *scan, struct span text, int *error)
{
	struct run run = {.n = 0};
	const char *p = text.begin;
	uint64_t bits = 0;

	while (run.n < 64) {
		uint64_t value;
		const char *next = bit_line(p, &run, &value);

		if (!next || next > text.end)
			break;
		bits |= value << run.n;
		run_next(&run);
		p = next;
	}
	if (!run.n)
		return text.begin;
	return take(scan, text.begin, p, run.n,
		    document_bits(scan->document, run.first, bits, run.n), error);
}

static const char *scan_marked(struct xml_scan *scan, struct span text, int *error)
{
	const char *p = text.begin;
	uint32_t block_begin, len;

	SCAN_FIELD(p, "    <marked block_begin=\"", &block_begin);
	if (p)
		SCAN_FIELD(p, "\" len=\"", &len);
	p = p ? SCAN_LITERAL(p, "\"/>\n") : NULL;
	if (!p || p > text.end)
		return text.begin;
	return take(scan, text.begin, p, 1, document_marked(scan->document, block_begin, len),
		    error);
}

/* What the scanner takes for a uuid means itself to a parser: plain characters and no references. */
static const char *scan_uuid(const char *p, struct stream_info *info)
{
	unsigned n = 0;

	p = SCAN_LITERAL(p, "<superblock uuid=\"");
	if (!p)
		return NULL;
	for (; n < ERA_UUID_SIZE && *p != '"'; p++) {
		if (*p < 0x20 || *p > 0x7e || *p == '&' || *p == '<')
			return NULL;
		info->uuid[n++] = (uint8_t)*p;
	}
	return p;
}

static const char *scan_superblock(struct xml_scan *scan, struct span text, int *error)
{
	struct stream_info info = {.uuid = ""};
	const char *p = scan_uuid(text.begin, &info);

	if (p)
		SCAN_FIELD(p, "\" block_size=\"", &info.data_block_size);
	if (p)
		SCAN_FIELD(p, "\" nr_blocks=\"", &info.nr_blocks);
	if (p)
		SCAN_FIELD(p, "\" current_era=\"", &info.current_era);
	p = p ? SCAN_LITERAL(p, "\">\n") : NULL;
	if (!p || p > text.end)
		return text.begin;
	return take(scan, text.begin, p, 1, document_superblock(scan->document, &info), error);
}

static const char *scan_writeset(struct xml_scan *scan, struct span text, int *error)
{
	const char *p = text.begin;
	uint32_t era, nr_bits;

	SCAN_FIELD(p, "  <writeset era=\"", &era);
	if (p)
		SCAN_FIELD(p, "\" nr_bits=\"", &nr_bits);
	p = p ? SCAN_LITERAL(p, "\">\n") : NULL;
	if (!p || p > text.end)
		return text.begin;
	return take(scan, text.begin, p, 1, document_writeset(scan->document, era, nr_bits), error);
}

/* A line without numbers. */
static const char *scan_tag(struct xml_scan *scan, struct span text, const char *tag,
			    int (*act)(struct document *document), int *error)
{
	const char *p = scan_bytes(text.begin, tag, strlen(tag));

	if (!p || p > text.end)
		return text.begin;
	return take(scan, text.begin, p, 1, act(scan->document), error);
}

static const char *scan_in_superblock(struct xml_scan *scan, struct span text, int *error)
{
	const char *p = scan_writeset(scan, text, error);

	if (p == text.begin && !*error)
		p = scan_tag(scan, text, "  <era_array>\n", document_era_array, error);
	if (p == text.begin && !*error)
		p = scan_tag(scan, text, "</superblock>\n", document_superblock_end, error);
	return p;
}

static const char *scan_in_writeset(struct xml_scan *scan, struct span text, int *error)
{
	const char *p = scan_bits(scan, text, error);

	if (p == text.begin && !*error)
		p = scan_marked(scan, text, error);
	if (p == text.begin && !*error)
		p = scan_tag(scan, text, "  </writeset>\n", document_writeset_end, error);
	return p;
}

static const char *scan_in_era_array(struct xml_scan *scan, struct span text, int *error)
{
	const char *p = scan_eras(scan, text, error);

	if (p == text.begin && !*error)
		p = scan_tag(scan, text, "  </era_array>\n", document_era_array_end, error);
	return p;
}

static const char *scan_some(struct xml_scan *scan, struct span text, int *error)
{
	switch (scan->document->place) {
	case PLACE_BEFORE:
		return scan_superblock(scan, text, error);
	case PLACE_SUPERBLOCK:
		return scan_in_superblock(scan, text, error);
	case PLACE_WRITESET:
		return scan_in_writeset(scan, text, error);
	case PLACE_ERA_ARRAY:
		return scan_in_era_array(scan, text, error);
	default:
		return text.begin;
	}
}

int xml_scan(struct xml_scan *scan, const char *text, size_t size, size_t *used, bool *stopped)
{
	struct span rest = {text, text + size};
	const char *p = text;
	int error = PD_OK;

	do {
		rest.begin = p;
		p = scan_some(scan, rest, &error);
	} while (p != rest.begin && !error);
	*used = (size_t)(p - text);
	*stopped = !error && memchr(p, '\n', (size_t)(rest.end - p));
	return error;
}
