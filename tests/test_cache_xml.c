/* SPDX-License-Identifier: MIT */
/* The reader of a cache's XML: what it hands on, what it refuses, and errors that are not its own. */
#include "era/cache_xml.h"
#include "persistent-data/error.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "<superblock block_size=\"64\" nr_cache_blocks=\"9\">"
#define MAPPING "<mapping cache_block=\"3\" origin_block=\"7\" dirty=\"true\"/>"

/* A document, in pieces of some bytes; and a reader of it. */

struct reading {
	const char *text;
	size_t left, piece;
	int text_error, begin_error, mapping_error; /* to be returned */
	unsigned nr_mappings;
	char message[256];
};

static int read_text(void *context, char *buffer, size_t size, size_t *nr)
{
	struct reading *reading = context;

	if (size > reading->piece)
		size = reading->piece;
	*nr = size < reading->left ? size : reading->left;
	memcpy(buffer, reading->text, *nr);
	reading->text += *nr;
	reading->left -= *nr;
	return reading->left ? PD_OK : reading->text_error;
}

static int begin(void *context, const struct cache_info *info, const char **problem)
{
	const struct reading *reading = context;

	(void)problem;
	cr_expect_eq(info->block_size, 64);
	cr_expect_eq(info->nr_cache_blocks, 9);
	return reading->begin_error;
}

static int mapping(void *context, uint32_t cache_block, uint64_t origin_block, bool dirty,
		   const char **problem)
{
	struct reading *reading = context;

	cr_expect_eq(cache_block, 3);
	cr_expect_eq(origin_block, 7);
	cr_expect(dirty);
	reading->nr_mappings++;
	*problem = "of no use";
	return reading->mapping_error;
}

static void keep_message(void *context, const char *text)
{
	struct reading *reading = context;

	snprintf(reading->message, sizeof(reading->message), "%s", text);
}

static int read_all(struct reading *reading)
{
	const struct text_input input = {read_text, reading};
	const struct cache_visitor visitor = {reading, begin, mapping};
	const struct report report = {keep_message, reading};

	reading->left = strlen(reading->text);
	if (!reading->piece)
		reading->piece = SIZE_MAX;
	return cache_xml_read(&input, &visitor, &report);
}

Test(cache_xml, comes_in_pieces)
{
	for (size_t piece = 1; piece < 40; piece++) {
		struct reading reading = {
			.text = "<?xml version='1.0'?><!-- x -->\n" HEAD
				"<hints><hint/></hints><mappings>" MAPPING
				"</mappings><discards><discard><x/></discard></discards>"
				"</superblock>\n",
			.piece = piece};

		cr_expect_eq(read_all(&reading), PD_OK, "%s", reading.message);
		cr_expect_eq(reading.nr_mappings, 1);
	}
}

static void expect_refused(const char *text, const char *phrase)
{
	struct reading reading = {.text = text};

	cr_expect_eq(read_all(&reading), PD_ERR_CORRUPT, "%s", text);
	cr_expect(strstr(reading.message, phrase), "no '%s' in '%s': %.200s", phrase,
		  reading.message, text);
}

Test(cache_xml, refused)
{
	expect_refused("", "no element");
	expect_refused("<!DOCTYPE x>" HEAD, "document type");
	expect_refused("<superblock block_size=\"64\"/>", "attribute missing: nr_cache_blocks");
	expect_refused("<superblock block_size=\"0\" nr_cache_blocks=\"9\"/>", "block size of 0");
	expect_refused("<superblock block_size=\"4294967296\" nr_cache_blocks=\"9\"/>",
		       "too large");
	expect_refused(HEAD "</superblock>", "no mappings");
	expect_refused(HEAD "<mappings/><mappings/></superblock>", "second time");
	expect_refused(HEAD "<mapping/></superblock>", "unknown element");
	expect_refused(HEAD "<hints>" MAPPING "</hints></superblock>", "no place");
	expect_refused(HEAD "<mappings><hint/></mappings></superblock>", "no place");
	expect_refused(HEAD "<mappings>" MAPPING "</mappings>", "no element");
	expect_refused("<cache/>", "no place");
	expect_refused(HEAD
		       "<mappings><mapping cache_block=\"9\" origin_block=\"0\" dirty=\"true\"/>",
		       "does not have");
	expect_refused(HEAD "<mappings><mapping cache_block=\"3\" origin_block=\"0\" dirty=\"1\"/>",
		       "neither true nor false");
	expect_refused(HEAD
		       "<mappings><mapping cache_block=\"3\" origin_block=\"18446744073709551616\""
		       " dirty=\"true\"/>",
		       "too large");
}

/* It would have to be kept as a whole. */
Test(cache_xml, endless_comment)
{
	char *text = malloc(3 << 20);

	memset(text, 'x', 3 << 20);
	memcpy(text, "<!--", 4);
	text[(3 << 20) - 1] = '\0';
	expect_refused(text, "more than 1 MiB");
	free(text);
}

Test(cache_xml, errors_of_others)
{
	static const char text[] = HEAD "<mappings>" MAPPING MAPPING "</mappings></superblock>";
	struct reading begins = {.text = text, .begin_error = PD_ERR_NO_MEMORY};
	struct reading maps = {.text = text, .mapping_error = PD_ERR_NO_SPACE};
	struct reading refuses = {.text = text, .mapping_error = PD_ERR_CORRUPT};
	struct reading fails = {.text = text, .piece = 9, .text_error = PD_ERR_IO};

	cr_expect_eq(read_all(&begins), PD_ERR_NO_MEMORY);
	cr_expect_eq(begins.nr_mappings, 0);
	cr_expect_str_empty(begins.message);
	cr_expect_eq(read_all(&maps), PD_ERR_NO_SPACE);
	cr_expect_eq(maps.nr_mappings, 1);
	cr_expect_str_empty(maps.message);
	cr_expect_eq(read_all(&refuses), PD_ERR_CORRUPT);
	cr_expect_eq(refuses.nr_mappings, 1);
	cr_expect(strstr(refuses.message, "line 1, column 59: of no use"), "%s", refuses.message);
	cr_expect_eq(read_all(&fails), PD_ERR_IO);
	cr_expect_str_empty(fails.message);
}
