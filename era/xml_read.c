/* SPDX-License-Identifier: MIT */
/*
 * Reads XML: what is laid out as era_dump does it by the scanner, and anything else by expat, from the
 * first line on that the scanner does not recognise.
 */
#include "era/xml_read.h"
#include "era/document.h"
#include "era/superblock.h"
#include "era/xml_scan.h"
#include "persistent-data/error.h"
#include "persistent-data/worker.h"

#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_SIZE (512 * 1024)
#define CHUNK_SIZE (64 * 1024)
/* expat keeps a tag or comment in memory until it has all of it. Ours are short. */
#define LONGEST_TOKEN (1024 * 1024)

struct xml_read {
	XML_Parser parser;
	const struct report *report;
	struct document document;
	uint64_t nr_scanned;   /* lines that the scanner has taken */
	size_t opening_length; /* of what expat was given in their place, in its first line */
	bool opening;	       /* it is being given that */
	uint64_t nr_fed;       /* bytes given to expat */
	bool in_leaf;	       /* an element that takes no others is open */
	int error;
};

/* Elements: which attributes they take, and what to do with them. */

enum { MAX_ATTRIBUTES = 4 };

struct values {
	const char *text[MAX_ATTRIBUTES]; /* NULL: absent */
	uint32_t number[MAX_ATTRIBUTES];
};

struct element {
	const char *name;
	int (*start)(struct xml_read *xml, const struct values *values);
	int (*end)(struct document *document); /* NULL: nothing to do */
	struct {
		const char *name;
		bool is_text; /* and may be absent; all others are numbers */
	} attributes[MAX_ATTRIBUTES];
};

static int fail(struct xml_read *xml, int error)
{
	if (!xml->error)
		xml->error = error;
	XML_StopParser(xml->parser, XML_FALSE);
	return error;
}

static unsigned long long line(const struct xml_read *xml)
{
	return XML_GetCurrentLineNumber(xml->parser) + xml->nr_scanned;
}

static unsigned long long column(const struct xml_read *xml)
{
	unsigned long long in_line = XML_GetCurrentColumnNumber(xml->parser) + 1;

	return XML_GetCurrentLineNumber(xml->parser) == 1 ? in_line - xml->opening_length : in_line;
}

/* A message with the place that expat is at. */
static int refuse(struct xml_read *xml, const char *problem, const char *about)
{
	if (!xml->error)
		report_message(xml->report, "line %llu, column %llu: %s%s%s", line(xml),
			       column(xml), problem, about ? ": " : "", about ? about : "");
	return fail(xml, PD_ERR_CORRUPT);
}

static int start_superblock(struct xml_read *xml, const struct values *values)
{
	struct stream_info info = {.data_block_size = values->number[1],
				   .nr_blocks = values->number[2],
				   .current_era = values->number[3]};
	size_t length = values->text[0] ? strlen(values->text[0]) : 0;

	if (length > ERA_UUID_SIZE)
		return refuse(xml, "uuid is longer than 16 bytes", NULL);
	if (length)
		memcpy(info.uuid, values->text[0], length);
	return document_superblock(&xml->document, &info);
}

static int start_writeset(struct xml_read *xml, const struct values *values)
{
	return document_writeset(&xml->document, values->number[0], values->number[1]);
}

static int start_bit(struct xml_read *xml, const struct values *values)
{
	const char *value = values->text[1];
	bool is_true = value && !strcmp(value, "true");

	if (!value)
		return refuse(xml, "attribute missing", "value");
	if (!is_true && strcmp(value, "false") != 0)
		return refuse(xml, "neither true nor false", value);
	return document_bit(&xml->document, values->number[0], is_true);
}

static int start_marked(struct xml_read *xml, const struct values *values)
{
	return document_marked(&xml->document, values->number[0], values->number[1]);
}

static int start_era_array(struct xml_read *xml, const struct values *values)
{
	(void)values;
	return document_era_array(&xml->document);
}

static int start_era(struct xml_read *xml, const struct values *values)
{
	return document_era(&xml->document, values->number[0], values->number[1]);
}

static const struct element elements[] = {
	{"era", start_era, NULL, {{"block", false}, {"era", false}}},
	{"bit", start_bit, NULL, {{"block", false}, {"value", true}}},
	{"marked", start_marked, NULL, {{"block_begin", false}, {"len", false}}},
	{"writeset", start_writeset, document_writeset_end, {{"era", false}, {"nr_bits", false}}},
	{"era_array", start_era_array, document_era_array_end, {{NULL, false}}},
	{"superblock",
	 start_superblock,
	 document_superblock_end,
	 {{"uuid", true}, {"block_size", false}, {"nr_blocks", false}, {"current_era", false}}},
};

static const struct element *find_element(const char *name)
{
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		if (!strcmp(elements[i].name, name))
			return &elements[i];
	return NULL;
}

static int find_attribute(const struct element *element, const char *name)
{
	for (int i = 0; i < MAX_ATTRIBUTES && element->attributes[i].name; i++)
		if (!strcmp(element->attributes[i].name, name))
			return i;
	return -1;
}

/* Decimal digits and nothing else, up to 2^32 - 1. */
static bool parse_number(const char *text, uint32_t *number)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*number = (uint32_t)value;
	return true;
}

static int parse_attributes(struct xml_read *xml, const struct element *element,
			    const XML_Char **attributes, struct values *values)
{
	memset(values, 0, sizeof(*values));
	for (; attributes[0]; attributes += 2) {
		int i = find_attribute(element, attributes[0]);

		if (i < 0)
			return refuse(xml, "unknown attribute", attributes[0]);
		values->text[i] = attributes[1];
		if (!element->attributes[i].is_text &&
		    !parse_number(attributes[1], &values->number[i]))
			return refuse(xml, "not a number from 0 to 4294967295", attributes[0]);
	}
	for (int i = 0; i < MAX_ATTRIBUTES && element->attributes[i].name; i++)
		if (!values->text[i] && !element->attributes[i].is_text)
			return refuse(xml, "attribute missing", element->attributes[i].name);
	return PD_OK;
}

/* What the document said to an element: its problem is told once, with the place. */
static void conclude(struct xml_read *xml, int r)
{
	if (r == PD_ERR_CORRUPT && !xml->error)
		refuse(xml, xml->document.problem, NULL);
	else if (r)
		fail(xml, r);
}

/* expat's events. They can come in after one of them has stopped the parser: xml->error tells. */

static void XMLCALL on_start(void *user_data, const XML_Char *name, const XML_Char **attributes)
{
	struct xml_read *xml = user_data;
	const struct element *element = find_element(name);
	struct values values;

	if (xml->error || xml->opening)
		return;
	if (!element)
		refuse(xml, "unknown element", name);
	else if (xml->in_leaf)
		refuse(xml, "an element within one that takes none", name);
	else if (!parse_attributes(xml, element, attributes, &values))
		conclude(xml, element->start(xml, &values));
	xml->in_leaf = element && !element->end;
}

static void XMLCALL on_end(void *user_data, const XML_Char *name)
{
	struct xml_read *xml = user_data;
	const struct element *element = find_element(name);

	xml->in_leaf = false;
	if (!xml->error && !xml->opening && element && element->end)
		conclude(xml, element->end(&xml->document));
}

static void XMLCALL on_text(void *user_data, const XML_Char *text, int length)
{
	struct xml_read *xml = user_data;

	for (int i = 0; i < length; i++) {
		if (!strchr(" \t\r\n", text[i]) || !text[i]) {
			refuse(xml, "text where there should be none", NULL);
			return;
		}
	}
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

static int open_parser(struct xml_read *xml)
{
	xml->parser = XML_ParserCreate(NULL);
	if (!xml->parser)
		return PD_ERR_NO_MEMORY;
	XML_SetUserData(xml->parser, xml);
	XML_SetElementHandler(xml->parser, on_start, on_end);
	XML_SetCharacterDataHandler(xml->parser, on_text);
	XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
	return PD_OK;
}

static int expat_error(struct xml_read *xml)
{
	enum XML_Error code = XML_GetErrorCode(xml->parser);

	if (xml->error)
		return xml->error;
	if (code == XML_ERROR_NO_MEMORY)
		return PD_ERR_NO_MEMORY;
	return refuse(xml, XML_ErrorString(code), NULL);
}

static bool token_too_long(struct xml_read *xml)
{
	XML_Index at = XML_GetCurrentByteIndex(xml->parser);

	return at >= 0 && xml->nr_fed - (uint64_t)at > LONGEST_TOKEN;
}

static int after_parsing(struct xml_read *xml, enum XML_Status status)
{
	if (status != XML_STATUS_OK)
		return expat_error(xml);
	if (token_too_long(xml))
		return refuse(xml, "a tag or comment of more than 1 MiB", NULL);
	return PD_OK;
}

static int feed(struct xml_read *xml, const char *text, size_t size)
{
	xml->nr_fed += size;
	return after_parsing(xml, XML_Parse(xml->parser, text, (int)size, XML_FALSE));
}

static int feed_input(struct xml_read *xml, const struct text_input *input, bool *last)
{
	char *buffer = XML_GetBuffer(xml->parser, CHUNK_SIZE);
	size_t nr = 0;
	int r;

	if (!buffer)
		return PD_ERR_NO_MEMORY;
	r = input->read(input->context, buffer, CHUNK_SIZE, &nr);
	if (r)
		return r;
	*last = nr == 0;
	xml->nr_fed += nr;
	return after_parsing(xml, XML_ParseBuffer(xml->parser, (int)nr, nr == 0));
}

/* Brings expat to where the scanner stopped: into the same elements. */
static int open_elements(struct xml_read *xml)
{
	static const char *const openings[] = {
		[PLACE_BEFORE] = "",
		[PLACE_SUPERBLOCK] = "<superblock>",
		[PLACE_WRITESET] = "<superblock><writeset>",
		[PLACE_ERA_ARRAY] = "<superblock><era_array>",
		[PLACE_AFTER] = "<superblock/>",
	};
	const char *opening = openings[xml->document.place];
	int r;

	xml->opening_length = strlen(opening);
	xml->opening = true;
	r = feed(xml, opening, xml->opening_length);
	xml->opening = false;
	return r;
}

/* Parses all that follows. */
static int parse_rest(struct xml_read *xml, const struct text_input *input)
{
	bool last = false;
	int r = PD_OK;

	while (!r && !last)
		r = feed_input(xml, input, &last);
	return r ? r : document_end(&xml->document);
}

/* Metadata itself, rather than a dump of it, would only be called malformed. */
static int refuse_metadata(const struct xml_read *xml, const char *text, size_t size)
{
	if (!superblock_is_likely((const uint8_t *)text, size))
		return PD_OK;
	report_message(xml->report, "binary metadata, where XML is meant");
	return PD_ERR_CORRUPT;
}

/*
 * Text is read ahead while the scanner is at the text before: two rooms take turns. What the scanner
 * leaves of a room, less than a line, is put right before the text in the other.
 */
struct room {
	char *text; /* SCAN_SIZE bytes, and XML_SCAN_LINE both before and behind them */
	size_t size;
};

struct ahead {
	const struct text_input *input;
	struct worker *worker;
	struct room rooms[2];
	unsigned next; /* the room that is being read into */
	bool going_on;
};

static int fill_room(void *context)
{
	struct ahead *ahead = context;
	struct room *room = &ahead->rooms[ahead->next];

	return ahead->input->read(ahead->input->context, room->text, SCAN_SIZE, &room->size);
}

static void begin_ahead(struct ahead *ahead)
{
	ahead->rooms[ahead->next].size = 0;
	ahead->going_on = true;
	worker_start(ahead->worker, fill_room, ahead);
}

/* The text that was read ahead, if there is any. */
static int finish_ahead(struct ahead *ahead, struct room **room)
{
	*room = &ahead->rooms[ahead->next];
	if (!ahead->going_on)
		(*room)->size = 0;
	ahead->going_on = false;
	return worker_wait(ahead->worker);
}

/* The text that the scanner is at. */
struct window {
	char *text;
	size_t size;
};

/* Goes on to the text behind the window, and puts before it what is left of that. */
static int next_window(struct ahead *ahead, struct window *window, bool *last)
{
	struct room *room;
	int r = finish_ahead(ahead, &room);

	if (r)
		return r;
	*last = room->size == 0;
	memcpy(room->text - window->size, window->text, window->size);
	window->text = room->text - window->size;
	window->size += room->size;
	ahead->next = 1 - ahead->next;
	if (!*last)
		begin_ahead(ahead);
	return PD_OK;
}

/* Scans as far as the scanner goes; what comes behind that is left in the window, and ahead. */
static int scan(struct xml_read *xml, struct ahead *ahead, struct window *window)
{
	struct xml_scan scanner = {.document = &xml->document};
	bool stopped = false, last = false;
	int r = PD_OK;

	begin_ahead(ahead);
	while (!r && !stopped && window->size < XML_SCAN_LINE) {
		size_t used;

		r = next_window(ahead, window, &last);
		if (!r && !scanner.nr_lines)
			r = refuse_metadata(xml, window->text, window->size);
		if (r || last)
			break;
		r = xml_scan(&scanner, window->text, window->size, &used, &stopped);
		window->text += used;
		window->size -= used;
	}
	xml->nr_scanned = scanner.nr_lines;
	return r;
}

static int read_document(struct xml_read *xml, struct ahead *ahead)
{
	struct window window = {ahead->rooms[1].text, 0};
	struct room *room;
	int r = scan(xml, ahead, &window);
	/* Whatever came of the scan: nothing is to be going on any longer. */
	int behind = finish_ahead(ahead, &room);

	if (!r)
		r = open_parser(xml);
	if (!r)
		r = open_elements(xml);
	if (!r)
		r = feed(xml, window.text, window.size);
	if (!r)
		r = behind ? behind : feed(xml, room->text, room->size);
	return r ? r : parse_rest(xml, ahead->input);
}

static int open_ahead(struct ahead *ahead, const struct text_input *input)
{
	*ahead = (struct ahead){.input = input, .worker = worker_open()};
	for (unsigned i = 0; i < 2; i++) {
		char *memory = calloc(1, XML_SCAN_LINE + SCAN_SIZE + XML_SCAN_LINE);

		if (memory)
			ahead->rooms[i].text = memory + XML_SCAN_LINE;
	}
	return ahead->worker && ahead->rooms[0].text && ahead->rooms[1].text ? PD_OK
									     : PD_ERR_NO_MEMORY;
}

static void close_ahead(struct ahead *ahead)
{
	for (unsigned i = 0; i < 2; i++)
		if (ahead->rooms[i].text)
			free(ahead->rooms[i].text - XML_SCAN_LINE);
	worker_close(ahead->worker);
}

int xml_read(const struct text_input *input, struct sink *sink, const struct report *report)
{
	struct xml_read *xml = calloc(1, sizeof(*xml));
	struct ahead ahead;
	int r;

	if (!xml)
		return PD_ERR_NO_MEMORY;
	xml->report = report;
	document_init(&xml->document, sink);
	r = open_ahead(&ahead, input);
	if (!r)
		r = read_document(xml, &ahead);
	close_ahead(&ahead);
	if (xml->parser)
		XML_ParserFree(xml->parser);
	free(xml);
	return r;
}
