/* SPDX-License-Identifier: MIT */
/* Reads a cache's mappings from XML, through expat. */
#include "era/cache_xml.h"
#include "persistent-data/error.h"

#include <expat.h>
#include <string.h>

#define CHUNK_SIZE (64 * 1024)
/* expat keeps a tag in memory until it has all of it; those with hints are the longest. */
#define LONGEST_TOKEN (1024 * 1024)

enum { DEPTH_NONE, DEPTH_SUPERBLOCK, DEPTH_PART, DEPTH_ENTRY };

struct cache_xml {
	XML_Parser parser;
	const struct report *report;
	const struct cache_visitor *visitor;
	unsigned depth; /* elements that are open */
	bool in_mappings, had_mappings;
	uint32_t nr_cache_blocks;
	uint64_t nr_fed; /* bytes given to expat */
	int error;
};

static int stop(struct cache_xml *xml, int error)
{
	if (!xml->error)
		xml->error = error;
	XML_StopParser(xml->parser, XML_FALSE);
	return error;
}

static int refuse(struct cache_xml *xml, const char *problem, const char *about)
{
	if (!xml->error)
		report_message(xml->report, "line %llu, column %llu: %s%s%s",
			       (unsigned long long)XML_GetCurrentLineNumber(xml->parser),
			       (unsigned long long)XML_GetCurrentColumnNumber(xml->parser) + 1,
			       problem, about ? ": " : "", about ? about : "");
	return stop(xml, PD_ERR_CORRUPT);
}

static const char *find(const XML_Char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2)
		if (!strcmp(attributes[0], name))
			return attributes[1];
	return NULL;
}

/* Decimal digits and nothing else, up to max. */
static bool take_number(struct cache_xml *xml, const XML_Char **attributes, const char *name,
			uint64_t max, uint64_t *number)
{
	const char *text = find(attributes, name);

	*number = 0;
	if (!text || !*text)
		return refuse(xml, "attribute missing", name) == PD_OK;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(unsigned char)*text - '0';

		if (digit > 9 || __builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, digit, number) || *number > max)
			return refuse(xml, "not a number, or too large", name) == PD_OK;
	}
	return true;
}

static void conclude(struct cache_xml *xml, int r, const char *problem)
{
	if (r == PD_ERR_CORRUPT)
		refuse(xml, problem, NULL);
	else if (r)
		stop(xml, r);
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
		refuse(xml, "a block size of 0", NULL);
		return;
	}
	info = (struct cache_info){(uint32_t)block_size, (uint32_t)nr_cache_blocks};
	xml->nr_cache_blocks = info.nr_cache_blocks;
	conclude(xml, xml->visitor->begin(xml->visitor->context, &info, &problem), problem);
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
		refuse(xml, "dirty is neither true nor false", NULL);
		return;
	}
	if (cache_block >= xml->nr_cache_blocks) {
		refuse(xml, "a cache block that the cache does not have", NULL);
		return;
	}
	r = xml->visitor->mapping(xml->visitor->context, (uint32_t)cache_block, origin_block,
				  !strcmp(dirty, "true"), &problem);
	conclude(xml, r, problem);
}

static void start_part(struct cache_xml *xml, const char *name)
{
	xml->in_mappings = !strcmp(name, "mappings");
	if (xml->in_mappings && xml->had_mappings)
		refuse(xml, "mappings a second time", NULL);
	else if (xml->in_mappings)
		xml->had_mappings = true;
	else if (strcmp(name, "hints") != 0 && strcmp(name, "discards") != 0)
		refuse(xml, "unknown element", name);
}

/* expat's events. They can come in after one of them has stopped the parser: xml->error tells. */

static void XMLCALL on_start(void *user_data, const XML_Char *name, const XML_Char **attributes)
{
	struct cache_xml *xml = user_data;
	bool is_mapping = !strcmp(name, "mapping");

	if (xml->error)
		return;
	if (xml->depth == DEPTH_NONE && !strcmp(name, "superblock"))
		start_superblock(xml, attributes);
	else if (xml->depth == DEPTH_SUPERBLOCK)
		start_part(xml, name);
	else if (xml->depth == DEPTH_PART && xml->in_mappings && is_mapping)
		start_mapping(xml, attributes);
	else if (xml->depth < DEPTH_PART || xml->in_mappings || is_mapping)
		refuse(xml, "an element that has no place here", name);
	xml->depth++;
}

static void XMLCALL on_end(void *user_data, const XML_Char *name)
{
	struct cache_xml *xml = user_data;

	(void)name;
	xml->depth--;
	if (xml->depth == DEPTH_SUPERBLOCK)
		xml->in_mappings = false;
	if (!xml->error && xml->depth == DEPTH_NONE && !xml->had_mappings)
		refuse(xml, "no mappings", NULL);
}

static void XMLCALL on_doctype(void *user_data, const XML_Char *name, const XML_Char *system_id,
			       const XML_Char *public_id, int has_internal_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_internal_subset;
	refuse(user_data, "a document type is not allowed", NULL);
}

static int expat_error(struct cache_xml *xml)
{
	enum XML_Error code = XML_GetErrorCode(xml->parser);

	if (xml->error)
		return xml->error;
	if (code == XML_ERROR_NO_MEMORY)
		return PD_ERR_NO_MEMORY;
	return refuse(xml, XML_ErrorString(code), NULL);
}

static int feed(struct cache_xml *xml, const struct text_input *input, bool *last)
{
	char *buffer = XML_GetBuffer(xml->parser, CHUNK_SIZE);
	XML_Index at;
	size_t nr = 0;
	int r;

	if (!buffer)
		return PD_ERR_NO_MEMORY;
	r = input->read(input->context, buffer, CHUNK_SIZE, &nr);
	if (r)
		return r;
	*last = nr == 0;
	xml->nr_fed += nr;
	if (XML_ParseBuffer(xml->parser, (int)nr, *last) != XML_STATUS_OK)
		return expat_error(xml);
	at = XML_GetCurrentByteIndex(xml->parser);
	if (at >= 0 && xml->nr_fed - (uint64_t)at > LONGEST_TOKEN)
		return refuse(xml, "a tag or comment of more than 1 MiB", NULL);
	return PD_OK;
}

int cache_xml_read(const struct text_input *input, const struct cache_visitor *visitor,
		   const struct report *report)
{
	struct cache_xml xml = {XML_ParserCreate(NULL), report, visitor, .depth = DEPTH_NONE};
	bool last = false;
	int r = PD_OK;

	if (!xml.parser)
		return PD_ERR_NO_MEMORY;
	XML_SetUserData(xml.parser, &xml);
	XML_SetElementHandler(xml.parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(xml.parser, on_doctype);
	while (!r && !last)
		r = feed(&xml, input, &last);
	XML_ParserFree(xml.parser);
	return r;
}
