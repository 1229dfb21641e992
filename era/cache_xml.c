/* SPDX-License-Identifier: MIT */
/* Reads a cache's mappings from XML, through expat. */
#include "era/cache_xml.h"
#include "era/markup.h"

#include <string.h>

enum { DEPTH_NONE, DEPTH_SUPERBLOCK, DEPTH_PART, DEPTH_ENTRY };

struct cache_xml {
	struct markup markup;
	const struct cache_visitor *visitor;
	unsigned depth; /* elements that are open */
	bool in_mappings, had_mappings;
	uint32_t nr_cache_blocks;
};

static const char *find(const XML_Char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2)
		if (!strcmp(attributes[0], name))
			return attributes[1];
	return NULL;
}

static bool take_number(struct cache_xml *xml, const XML_Char **attributes, const char *name,
			uint64_t max, uint64_t *number)
{
	const char *text = find(attributes, name);

	*number = 0;
	if (!text || !*text)
		markup_refuse(&xml->markup, "attribute missing", name);
	else if (!markup_number(text, max, number))
		markup_refuse(&xml->markup, "not a number, or too large", name);
	else
		return true;
	return false;
}

static void start_superblock(struct cache_xml *xml, const XML_Char **attributes)
{
	uint64_t block_size, nr_cache_blocks;
	struct cache_info info;
	const char *problem = NULL;

	if (!take_number(xml, attributes, "block_size", UINT32_MAX, &block_size) ||
	    !take_number(xml, attributes, "nr_cache_blocks", UINT32_MAX, &nr_cache_blocks))
		return;
	if (!block_size) {
		markup_refuse(&xml->markup, "a block size of 0", NULL);
		return;
	}
	info = (struct cache_info){(uint32_t)block_size, (uint32_t)nr_cache_blocks};
	xml->nr_cache_blocks = info.nr_cache_blocks;
	markup_conclude(&xml->markup, xml->visitor->begin(xml->visitor->context, &info, &problem),
			problem);
}

static void start_mapping(struct cache_xml *xml, const XML_Char **attributes)
{
	const char *dirty = find(attributes, "dirty");
	uint64_t cache_block, origin_block;
	const char *problem = NULL;
	int r;

	if (!take_number(xml, attributes, "cache_block", UINT32_MAX, &cache_block) ||
	    !take_number(xml, attributes, "origin_block", UINT64_MAX, &origin_block))
		return;
	if (!dirty || (strcmp(dirty, "true") != 0 && strcmp(dirty, "false") != 0)) {
		markup_refuse(&xml->markup, "dirty is neither true nor false", NULL);
		return;
	}
	if (cache_block >= xml->nr_cache_blocks) {
		markup_refuse(&xml->markup, "a cache block that the cache does not have", NULL);
		return;
	}
	r = xml->visitor->mapping(xml->visitor->context, (uint32_t)cache_block, origin_block,
				  !strcmp(dirty, "true"), &problem);
	markup_conclude(&xml->markup, r, problem);
}

static void start_part(struct cache_xml *xml, const char *name)
{
	xml->in_mappings = !strcmp(name, "mappings");
	if (xml->in_mappings && xml->had_mappings)
		markup_refuse(&xml->markup, "mappings a second time", NULL);
	else if (xml->in_mappings)
		xml->had_mappings = true;
	else if (strcmp(name, "hints") != 0 && strcmp(name, "discards") != 0)
		markup_refuse(&xml->markup, "unknown element", name);
}

/* expat's events. They can come in after one of them has stopped the parser: xml->markup.error tells. */

static void XMLCALL on_start(void *user_data, const XML_Char *name, const XML_Char **attributes)
{
	struct cache_xml *xml = user_data;
	bool is_mapping = !strcmp(name, "mapping");

	if (xml->markup.error)
		return;
	if (xml->depth == DEPTH_NONE && !strcmp(name, "superblock"))
		start_superblock(xml, attributes);
	else if (xml->depth == DEPTH_SUPERBLOCK)
		start_part(xml, name);
	else if (xml->depth == DEPTH_PART && xml->in_mappings && is_mapping)
		start_mapping(xml, attributes);
	else if (xml->depth < DEPTH_PART || xml->in_mappings || is_mapping)
		markup_refuse(&xml->markup, "an element that has no place here", name);
	xml->depth++;
}

static void XMLCALL on_end(void *user_data, const XML_Char *name)
{
	struct cache_xml *xml = user_data;

	(void)name;
	xml->depth--;
	if (xml->depth == DEPTH_SUPERBLOCK)
		xml->in_mappings = false;
	if (!xml->markup.error && xml->depth == DEPTH_NONE && !xml->had_mappings)
		markup_refuse(&xml->markup, "no mappings", NULL);
}

int cache_xml_read(const struct text_input *input, const struct cache_visitor *visitor,
		   const struct report *report)
{
	struct cache_xml xml = {.visitor = visitor, .depth = DEPTH_NONE};
	int r = markup_open(&xml.markup, report, on_start, on_end);

	if (!r)
		r = markup_feed_rest(&xml.markup, input);
	markup_close(&xml.markup);
	return r;
}
