/* SPDX-License-Identifier: MIT */
/* Drives expat. */
#include "era/markup.h"
#include "persistent-data/error.h"

#define CHUNK_SIZE (64 * 1024)
/* expat keeps a tag or comment in memory until it has all of it. Ours are short. */
#define LONGEST_TOKEN (1024 * 1024)

int markup_stop(struct markup *markup, int error)
{
	if (!markup->error)
		markup->error = error;
	XML_StopParser(markup->parser, XML_FALSE);
	return error;
}

int markup_refuse(struct markup *markup, const char *problem, const char *about)
{
	unsigned long long line = XML_GetCurrentLineNumber(markup->parser);
	unsigned long long column = XML_GetCurrentColumnNumber(markup->parser) + 1;

	if (line == 1)
		column -= markup->stand_in;
	if (!markup->error)
		report_message(markup->report, "line %llu, column %llu: %s%s%s",
			       line + markup->nr_lines_before, column, problem, about ? ": " : "",
			       about ? about : "");
	return markup_stop(markup, PD_ERR_CORRUPT);
}

void markup_conclude(struct markup *markup, int r, const char *problem)
{
	if (r == PD_ERR_CORRUPT)
		markup_refuse(markup, problem, NULL);
	else if (r)
		markup_stop(markup, r);
}

bool markup_number(const char *text, uint64_t max, uint64_t *number)
{
	*number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(unsigned char)*text - '0';

		if (digit > 9 || __builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, digit, number) || *number > max)
			return false;
	}
	return true;
}

static void XMLCALL on_doctype(void *user_data, const XML_Char *name, const XML_Char *system_id,
			       const XML_Char *public_id, int has_internal_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_internal_subset;
	markup_refuse(user_data, "a document type is not allowed", NULL);
}

int markup_open(struct markup *markup, const struct report *report,
		XML_StartElementHandler on_start, XML_EndElementHandler on_end)
{
	*markup = (struct markup){.parser = XML_ParserCreate(NULL), .report = report};
	if (!markup->parser)
		return PD_ERR_NO_MEMORY;
	XML_SetUserData(markup->parser, markup);
	XML_SetElementHandler(markup->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(markup->parser, on_doctype);
	return PD_OK;
}

void markup_close(struct markup *markup)
{
	if (markup->parser)
		XML_ParserFree(markup->parser);
}

static int expat_error(struct markup *markup)
{
	enum XML_Error code = XML_GetErrorCode(markup->parser);

	if (markup->error)
		return markup->error;
	if (code == XML_ERROR_NO_MEMORY)
		return PD_ERR_NO_MEMORY;
	return markup_refuse(markup, XML_ErrorString(code), NULL);
}

static int after_parsing(struct markup *markup, enum XML_Status status)
{
	XML_Index at;

	if (status != XML_STATUS_OK)
		return expat_error(markup);
	at = XML_GetCurrentByteIndex(markup->parser);
	if (at >= 0 && markup->nr_fed - (uint64_t)at > LONGEST_TOKEN)
		return markup_refuse(markup, "a tag or comment of more than 1 MiB", NULL);
	return PD_OK;
}

int markup_feed(struct markup *markup, const char *text, size_t size)
{
	markup->nr_fed += size;
	return after_parsing(markup, XML_Parse(markup->parser, text, (int)size, XML_FALSE));
}

int markup_end(struct markup *markup)
{
	return after_parsing(markup, XML_Parse(markup->parser, "", 0, XML_TRUE));
}

static int feed_input(struct markup *markup, const struct text_input *input, bool *last)
{
	char *buffer = XML_GetBuffer(markup->parser, CHUNK_SIZE);
	size_t nr = 0;
	int r;

	if (!buffer)
		return PD_ERR_NO_MEMORY;
	r = input->read(input->context, buffer, CHUNK_SIZE, &nr);
	if (r)
		return r;
	*last = nr == 0;
	markup->nr_fed += nr;
	return after_parsing(markup, XML_ParseBuffer(markup->parser, (int)nr, *last));
}

int markup_feed_rest(struct markup *markup, const struct text_input *input)
{
	bool last = false;
	int r = PD_OK;

	while (!r && !last)
		r = feed_input(markup, input, &last);
	return r;
}
