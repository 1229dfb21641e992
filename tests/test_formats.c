/* SPDX-License-Identifier: MIT */
/*
 * Extents and the blocks of a cache against plain models: one byte for each sector, one loop for each
 * question. Sizes at random, among them those that do not divide each other.
 */
#include "era/cache_blocks.h"
#include "era/formats.h"
#include "persistent-data/error.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_CASES 3000
#define MAX_BLOCKS 200
#define MAX_SECTORS (MAX_BLOCKS * 64)

static struct changed changed;
static uint64_t words[4];

static struct random numbers;

static uint32_t below(uint64_t limit)
{
	return (uint32_t)random_below(&numbers, limit);
}

static bool is_changed(uint32_t block)
{
	return words[block / 64] >> block % 64 & 1;
}

static void make_changed(uint32_t block_size, uint32_t nr_blocks)
{
	uint32_t chance = 1 + below(12);

	memset(words, 0, sizeof(words));
	for (uint32_t i = 0; i < nr_blocks; i++)
		if (!below(chance))
			words[i / 64] |= UINT64_C(1) << i % 64;
	changed_init(&changed, 1 + below(9));
	changed.words = words;
	changed.info = (struct stream_info){
		.data_block_size = block_size, .nr_blocks = nr_blocks, .current_era = 9};
}

/* Text in memory. */

struct memory {
	char *text;
	size_t size, at;
	int fail_after; /* writes that pass before one fails; -1: none does */
};

static int memory_write(void *context, const char *text, size_t size)
{
	struct memory *memory = context;

	if (memory->fail_after >= 0 && memory->fail_after-- == 0)
		return PD_ERR_IO;
	memory->text = realloc(memory->text, memory->size + size + 1);
	cr_assert(memory->text);
	memcpy(memory->text + memory->size, text, size);
	memory->size += size;
	memory->text[memory->size] = '\0';
	return PD_OK;
}

/* In small pieces, so that tags are cut in all places. */
static int memory_read(void *context, char *buffer, size_t size, size_t *nr)
{
	struct memory *memory = context;

	*nr = 1 + below(60);
	if (*nr > memory->size - memory->at)
		*nr = memory->size - memory->at;
	if (*nr > size)
		*nr = size;
	memcpy(buffer, memory->text + memory->at, *nr);
	memory->at += *nr;
	return PD_OK;
}

static struct memory output;
static const struct text_output text_output = {memory_write, &output};

static void begin_output(void)
{
	free(output.text);
	output = (struct memory){.fail_after = -1};
}

/* XML. */

#define MOST_BLOCKS 0x7fffffffu

/* Another run of a sparse set, and its line; not if it would touch the one before. */
static void add_run(uint32_t begin, uint32_t length, uint32_t *last, FILE *expected)
{
	if (begin <= *last || begin + length > MOST_BLOCKS)
		return;
	*last = begin + length;
	for (uint32_t i = begin; i < *last; i++)
		changed.words[i / 64] |= UINT64_C(1) << i % 64;
	if (length == 1)
		fprintf(expected, "  <block block=\"%u\"/>\n", begin);
	else
		fprintf(expected, "  <range begin=\"%u\" end=\"%u\"/>\n", begin, *last);
}

/* Runs about each power of ten and its multiples, of lengths about those at which digits change. */
Test(formats, xml_of_numbers_of_every_length)
{
	static const uint32_t lengths[] = {1, 2, 1, 9, 1, 1, 10000, 1, 9999, 1, 30000, 2, 1};
	uint32_t last = 0;
	char *text;
	size_t size;
	FILE *expected = open_memstream(&text, &size);

	changed_init(&changed, 1);
	changed.info = (struct stream_info){
		.data_block_size = 8, .nr_blocks = MOST_BLOCKS, .current_era = 9};
	changed.words = calloc(MOST_BLOCKS / 64 + 1, sizeof(uint64_t));
	cr_assert(expected && changed.words);
	fputs("<blocks>\n", expected);
	for (uint64_t power = 1; power < MOST_BLOCKS; power *= 10)
		for (uint64_t at = power; at < 10 * power && at < MOST_BLOCKS; at += power)
			for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
				add_run((uint32_t)(i ? last + 1 + below(3) : (at > 4 ? at - 4 : 1)),
					lengths[i], &last, expected);
	add_run(MOST_BLOCKS - 1, 1, &last, expected);
	fputs("</blocks>\n", expected);
	fclose(expected);
	begin_output();
	cr_assert_eq(format_xml(&changed, &text_output), PD_OK);
	cr_expect_str_eq(output.text, text);
	free(text);
	changed_destroy(&changed);
}

/* Extents. */

/* Every byte of the device, through what is printed. */
static void check_ranges(const struct extents *extents, uint64_t size, uint64_t block_size)
{
	uint64_t at = 0, offset, length, total = 0;
	int n;

	begin_output();
	cr_assert_eq(format_ranges(extents, &text_output), PD_OK);
	for (const char *line = output.text; line && *line; line = strchr(line, '\n') + 1) {
		cr_assert_eq(sscanf(line, "%lu %lu\n%n", &offset, &length, &n), 2);
		cr_assert(at == 0 || offset > at, "not maximal");
		cr_assert(length && offset + length <= size);
		for (; at < offset; at += block_size)
			cr_assert(!is_changed((uint32_t)(at / block_size)), "%lu is left out", at);
		for (; at < offset + length; at += block_size)
			cr_assert(is_changed((uint32_t)(at / block_size)), "%lu is too much", at);
		at = offset + length;
		total += length;
	}
	for (; at < size; at += block_size)
		cr_assert(!is_changed((uint32_t)(at / block_size)), "%lu is left out", at);
	cr_assert_eq(extents_total(extents), total);
}

Test(formats, ranges_cover_each_changed_byte_once)
{
	for (uint64_t seed = 0; seed < NR_CASES; seed++) {
		numbers.state = seed;

		uint32_t block_size = 8 * (1 + below(8)), nr_blocks = 1 + below(MAX_BLOCKS);
		uint64_t bytes = (uint64_t)block_size * 512, whole = bytes * nr_blocks;
		uint64_t size = whole - below((uint32_t)bytes);
		struct extents extents;

		make_changed(block_size, nr_blocks);
		cr_assert_eq(extents_init(&extents, &changed, size, NULL), PD_OK);
		check_ranges(&extents, size, bytes);
		cr_assert_eq(extents_init(&extents, &changed, DEVICE_SIZE_UNKNOWN, NULL), PD_OK);
		check_ranges(&extents, whole, bytes);
	}
}

Test(formats, a_device_of_another_number_of_blocks_is_refused)
{
	struct extents extents;
	const uint64_t bytes = 24 * 512;

	make_changed(24, 10);
	cr_expect_eq(extents_init(&extents, &changed, 10 * bytes, NULL), PD_OK);
	cr_expect_eq(extents_init(&extents, &changed, 9 * bytes + 1, NULL), PD_OK);
	cr_expect_eq(extents_init(&extents, &changed, 9 * bytes, NULL), PD_ERR_USAGE);
	cr_expect_eq(extents_init(&extents, &changed, 10 * bytes + 1, NULL), PD_ERR_USAGE);
	cr_expect_eq(extents_init(&extents, &changed, 0, NULL), PD_ERR_USAGE);
	make_changed(24, 0);
	cr_expect_eq(extents_init(&extents, &changed, 0, NULL), PD_OK);
	cr_expect_eq(extents_init(&extents, &changed, 1, NULL), PD_ERR_USAGE);
}

/* 2^31 - 1 blocks of 2^32 - 8 sectors are more bytes than 64 bits can count. */
Test(formats, offsets_that_do_not_fit_are_refused)
{
	struct extents extents;
	uint64_t begin, end = 0;

	make_changed(0xfffffff8, 1);
	changed.info.nr_blocks = 0x7fffffff;
	cr_expect_eq(extents_init(&extents, &changed, DEVICE_SIZE_UNKNOWN, NULL),
		     PD_ERR_UNSUPPORTED);
	cr_expect_neq(extents_init(&extents, &changed, INT64_MAX, NULL), PD_OK);
	/* The largest that can be: the last block ends at 2^63 - 1, cut off. */
	make_changed(0xfffffff8, 100);
	words[0] = words[1] = 0;
	words[1] |= UINT64_C(1) << 35;
	cr_assert_eq(extents_init(&extents, &changed, 99 * UINT64_C(0xfffffff8) * 512 + 7, NULL),
		     PD_OK);
	cr_assert(extents_next(&extents, &begin, &end));
	cr_expect_eq(begin, 99 * UINT64_C(0xfffffff8) * 512);
	cr_expect_eq(end, begin + 7);
	cr_expect_not(extents_next(&extents, &begin, &end));
}

Test(formats, a_failing_output_is_told)
{
	struct extents extents;
	struct cache_blocks blocks = {.info = {8, 100}, .stale = words};

	make_changed(8, 100);
	words[0] = UINT64_MAX / 3;
	cr_assert_eq(extents_init(&extents, &changed, DEVICE_SIZE_UNKNOWN, NULL), PD_OK);
	begin_output();
	output.fail_after = 0;
	cr_expect_eq(format_ranges(&extents, &text_output), PD_ERR_IO);
	output.fail_after = 0;
	cr_expect_eq(format_json(&extents, false, &text_output), PD_ERR_IO);
	output.fail_after = 0;
	cr_expect_eq(format_dmsetup(&blocks, "c", &text_output), PD_ERR_IO);
}

/* A cache. */

struct cache {
	uint32_t block_size, nr_blocks;
	uint64_t nr_origin_blocks; /* whole ones that the tracked device has */
	bool mapped[MAX_BLOCKS];
	uint64_t origin[MAX_BLOCKS];
};

static void make_cache(struct cache *cache, uint64_t tracked)
{
	memset(cache, 0, sizeof(*cache));
	do
		cache->block_size = 1 + below(100);
	while (cache->block_size > tracked);
	cache->nr_blocks = 1 + below(MAX_BLOCKS);
	cache->nr_origin_blocks = tracked / cache->block_size;
	for (uint32_t i = 0; i < cache->nr_blocks; i++) {
		cache->mapped[i] = below(3);
		cache->origin[i] = below((uint32_t)cache->nr_origin_blocks);
	}
}

static void put_cache(struct memory *xml, const struct cache *cache, int dirty)
{
	char line[200];
	uint32_t first = below(cache->nr_blocks); /* in some order */

	*xml = (struct memory){.fail_after = -1};
	memory_write(
		xml, line,
		(size_t)sprintf(line,
				"<superblock uuid=\"\" block_size=\"%u\" nr_cache_blocks=\"%u\" "
				"policy=\"smq\" hint_width=\"4\">\n  <mappings>\n",
				cache->block_size, cache->nr_blocks));
	for (uint32_t n = 0; n < cache->nr_blocks; n++) {
		uint32_t i = (first + n) % cache->nr_blocks;

		if (cache->mapped[i])
			memory_write(xml, line,
				     (size_t)sprintf(line,
						     "    <mapping cache_block=\"%u\" "
						     "origin_block=\"%lu\" dirty=\"%s\"/>\n",
						     i, cache->origin[i],
						     dirty-- > 0 ? "true" : "false"));
	}
	memory_write(xml, line,
		     (size_t)sprintf(line, "  </mappings>\n  <hints>\n    <hint cache_block=\"0\" "
					   "data=\"AAAA\"/>\n  </hints>\n</superblock>\n"));
}

/* Sector by sector. */
static bool is_stale(const struct cache *cache, uint32_t block)
{
	for (uint64_t i = 0; cache->mapped[block] && i < cache->block_size; i++) {
		uint64_t sector = cache->origin[block] * cache->block_size + i;

		if (is_changed((uint32_t)(sector / changed.info.data_block_size)))
			return true;
	}
	return false;
}

static void check_messages(const struct cache *cache)
{
	static const char head[] = "dmsetup message c 0 invalidate_cblocks";
	bool told[MAX_BLOCKS] = {false};
	uint32_t begin, end, last = 0;
	const char *p = output.text;
	int n;

	while (p && *p) {
		cr_assert(!strncmp(p, head, sizeof(head) - 1));
		for (p += sizeof(head) - 1; *p == ' '; p += n) {
			cr_assert_eq(sscanf(p, " %u%n", &begin, &n), 1);
			end = begin + 1;
			if (p[n] == '-')
				cr_assert_eq(sscanf(p, " %u-%u%n", &begin, &end, &n), 2);
			cr_assert(begin < end && end <= cache->nr_blocks);
			cr_assert(!last || begin > last, "not merged, or not in order");
			last = end;
			while (begin < end)
				told[begin++] = true;
		}
		cr_assert_eq(*p++, '\n');
	}
	for (uint32_t i = 0; i < cache->nr_blocks; i++)
		cr_assert_eq(told[i], is_stale(cache, i), "cache block %u", i);
}

Test(formats, cache_blocks_are_those_of_the_model)
{
	for (uint64_t seed = 0; seed < NR_CASES; seed++) {
		numbers.state = seed;

		uint32_t block_size = 8 * (1 + below(8)), nr_blocks = 1 + below(MAX_BLOCKS);
		struct cache cache;
		struct cache_blocks blocks;
		struct memory xml;
		struct text_input input = {memory_read, &xml};

		make_changed(block_size, nr_blocks);
		make_cache(&cache, (uint64_t)block_size * nr_blocks);
		put_cache(&xml, &cache, 0);
		cr_assert_eq(cache_blocks_read(&blocks, &changed, &input, NULL), PD_OK);
		begin_output();
		cr_assert_eq(format_dmsetup(&blocks, "c", &text_output), PD_OK);
		check_messages(&cache);
		cache_blocks_destroy(&blocks);
		free(xml.text);
	}
}

static char message[REPORT_MAX];

static void keep_message(void *context, const char *text)
{
	(void)context;
	snprintf(message, sizeof(message), "%s", text);
}

static const struct report report = {keep_message, NULL};

static int read_document(const char *document)
{
	struct memory xml = {(char *)(uintptr_t)document, strlen(document), 0, -1};
	struct text_input input = {memory_read, &xml};
	struct cache_blocks blocks;
	int r;

	*message = '\0';
	r = cache_blocks_read(&blocks, &changed, &input, &report);
	cache_blocks_destroy(&blocks);
	return r;
}

Test(formats, dirty_mappings_are_counted_and_refused)
{
	struct cache cache = {.block_size = 8, .nr_blocks = 9, .nr_origin_blocks = 9};
	struct memory xml;

	make_changed(8, 9);
	memset(cache.mapped, true, 9);
	put_cache(&xml, &cache, 7);
	cr_expect_eq(read_document(xml.text), PD_ERR_BUSY);
	cr_expect(strstr(message, "7 mappings are dirty"), "%s", message);
	free(xml.text);
}

#define TOP "<superblock block_size=\"16\" nr_cache_blocks=\"4\">"
#define MAPPING(cache, origin, dirty) \
	"<mapping cache_block=\"" cache "\" origin_block=\"" origin "\" dirty=\"" dirty "\"/>"
#define CACHE(mappings) TOP "<mappings>" mappings "</mappings></superblock>"

Test(formats, only_a_whole_cache_dump_is_taken)
{
	static const struct {
		const char *document, *phrase; /* NULL: it is taken */
	} cases[] = {
		{CACHE(""), NULL},
		{CACHE(MAPPING("3", "9", "false")), NULL},
		{TOP "<hints><x><y/></x></hints><mappings/><discards/></superblock>", NULL},
		{"", "no element"},
		{"<superblock/>", "block_size"},
		{"<other/>", "place"},
		{"<superblock uuid=\"\" block_size=\"128\" nr_blocks=\"3\" current_era=\"4\">",
		 "nr_cache_blocks"},
		{"<superblock block_size=\"0\" nr_cache_blocks=\"4\"><mappings/></superblock>",
		 "block size of 0"},
		{TOP "</superblock>", "no mappings"},
		{TOP "<mappings/><mappings/></superblock>", "second"},
		{TOP "<mappings>" MAPPING("1", "1", "false"), "no element"},
		{TOP "<mapping cache_block=\"1\"/></superblock>", "unknown element"},
		{TOP "<hints>" MAPPING("1", "1", "false") "</hints><mappings/></superblock>",
		 "place"},
		{"<!DOCTYPE superblock>" CACHE(""), "document type"},
		{CACHE("<other/>"), "place"},
		{CACHE("<mapping cache_block=\"1\" dirty=\"false\"/>"), "origin_block"},
		{CACHE("<mapping cache_block=\"1\" origin_block=\"1\"/>"), "dirty"},
		{CACHE(MAPPING("1", "1", "maybe")), "dirty"},
		{CACHE(MAPPING("1", " 1", "false")), "origin_block"},
		{CACHE(MAPPING("1", "-1", "false")), "origin_block"},
		{CACHE(MAPPING("1", "", "false")), "origin_block"},
		{CACHE(MAPPING("1", "0x1", "false")), "origin_block"},
		{CACHE(MAPPING("1", "18446744073709551616", "false")), "origin_block"},
		{CACHE(MAPPING("4", "1", "false")), "does not have"},
		{CACHE(MAPPING("4294967296", "1", "false")), "cache_block"},
		{CACHE(MAPPING("1", "1", "false") MAPPING("1", "2", "false")), "before"},
		{CACHE(MAPPING("1", "10", "false")), "past the end"},
		{CACHE(MAPPING("1", "18446744073709551615", "false")), "past the end"},
	};

	make_changed(8, 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = read_document(cases[i].document);

		cr_expect_eq(r, cases[i].phrase ? PD_ERR_CORRUPT : PD_OK, "%s: %s",
			     cases[i].document, message);
		cr_expect(!cases[i].phrase || strstr(message, cases[i].phrase), "%s: %s",
			  cases[i].document, message);
	}
}

Test(formats, lines_of_messages_are_not_too_long)
{
	uint32_t nr = 1000000;
	struct cache_blocks blocks = {.info = {8, nr}, .stale = malloc(nr / 8)};
	size_t longest = 0, count = 0;

	memset(blocks.stale, 0x5d, nr / 8);
	begin_output();
	cr_assert_eq(format_dmsetup(&blocks, "a#b", &text_output), PD_OK);
	for (const char *line = output.text, *next; *line; line = next) {
		next = strchr(line, '\n') + 1;
		cr_expect(!strncmp(line, "dmsetup message 'a#b' 0 invalidate_cblocks ", 43));
		if ((size_t)(next - line) > longest)
			longest = (size_t)(next - line);
		for (const char *p = line + 43; p < next; p++)
			count += *p == ' ' || *p == '\n';
	}
	/* 0x5d is 01011101 from its end on: a run of 1, one of 3, one of 1. */
	cr_expect_eq(count, nr / 8 * 3);
	cr_expect(longest <= FORMAT_DMSETUP_LINE && longest > FORMAT_DMSETUP_LINE - 20, "%zu",
		  longest);
	free(blocks.stale);
}

Test(formats, names_that_no_device_has_are_refused)
{
	static const char longest[FORMAT_DMSETUP_NAME + 2] = {[0 ... FORMAT_DMSETUP_NAME] = 'x'};

	cr_expect(format_dmsetup_takes("vg-cache_1"));
	cr_expect(format_dmsetup_takes("a\\x20b"));
	cr_expect(format_dmsetup_takes(longest + 1));
	cr_expect_not(format_dmsetup_takes(longest));
	cr_expect_not(format_dmsetup_takes(""));
	cr_expect_not(format_dmsetup_takes("-x"));
	cr_expect_not(format_dmsetup_takes("a b"));
	cr_expect_not(format_dmsetup_takes("a'; reboot"));
	cr_expect_not(format_dmsetup_takes("a\nb"));
}
