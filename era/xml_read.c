/* SPDX-License-Identifier: MIT */
/*
 * Reads XML: what is laid out as era_dump does it by the scanner, and anything else by expat, from the
 * first line on that the scanner does not recognise.
 */
#include "era/xml_read.h"
#include "era/document.h"
#include "era/markup.h"
#include "era/superblock.h"
#include "era/xml_scan.h"
#include "persistent-data/error.h"
#include "persistent-data/worker.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_SIZE (512 * 1024)

struct xml_read {
	struct markup markup;
	const struct report *report;
	struct document document;
	uint64_t nr_scanned; /* lines that the scanner has taken */
	bool opening;	     /* expat is being given what stands in for these */
	bool in_leaf;	     /* an element that takes no others is open */
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
	int (*end)(struct document *document); /* NULL: it takes no other elements */
	struct {
		const char *name;
		bool is_text; /* and may be absent; all others are numbers */
	} attributes[MAX_ATTRIBUTES];
};

static int refuse(struct xml_read *xml, const char *problem, const char *about)
{
	return markup_refuse(&xml->markup, problem, about);
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

static int parse_attributes(struct xml_read *xml, const struct element *element,
			    const XML_Char **attributes, struct values *values)
{
	memset(values, 0, sizeof(*values));
	for (; attributes[0]; attributes += 2) {
		int i = find_attribute(element, attributes[0]);
		uint64_t number;

		if (i < 0)
			return refuse(xml, "unknown attribute", attributes[0]);
		values->text[i] = attributes[1];
		if (element->attributes[i].is_text)
			continue;
		if (!markup_number(attributes[1], UINT32_MAX, &number))
			return refuse(xml, "not a number from 0 to 4294967295", attributes[0]);
		values->number[i] = (uint32_t)number;
	}
	for (int i = 0; i < MAX_ATTRIBUTES && element->attributes[i].name; i++)
		if (!values->text[i] && !element->attributes[i].is_text)
			return refuse(xml, "attribute missing", element->attributes[i].name);
	return PD_OK;
}

/* What the document said to an element: its problem is told once, with the place. */
static void conclude(struct xml_read *xml, int r)
{
	markup_conclude(&xml->markup, r, xml->document.problem);
}

/* expat's events. They can come in after one of them has stopped the parser: xml->markup.error tells. */

static void XMLCALL on_start(void *user_data, const XML_Char *name, const XML_Char **attributes)
{
	struct xml_read *xml = user_data;
	const struct element *element = find_element(name);
	struct values values;

	if (xml->markup.error || xml->opening)
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
	const struct element *element = xml->in_leaf ? NULL : find_element(name);

	xml->in_leaf = false;
	if (!xml->markup.error && !xml->opening && element)
		conclude(xml, element->end(&xml->document));
}

static bool is_white(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void XMLCALL on_text(void *user_data, const XML_Char *text, int length)
{
	struct xml_read *xml = user_data;

	for (int i = 0; i < length; i++) {
		if (!is_white(text[i])) {
			refuse(xml, "text where there should be none", NULL);
			return;
		}
	}
}

/* Opens expat, and brings it to where the scanner stopped: into the same elements. */
static int open_markup(struct xml_read *xml)
{
	static const char *const openings[] = {
		[PLACE_BEFORE] = "",
		[PLACE_SUPERBLOCK] = "<superblock>",
		[PLACE_WRITESET] = "<superblock><writeset>",
		[PLACE_ERA_ARRAY] = "<superblock><era_array>",
		[PLACE_AFTER] = "<superblock/>",
	};
	const char *opening = openings[xml->document.place];
	int r = markup_open(&xml->markup, xml->report, on_start, on_end);

	if (r)
		return r;
	XML_SetCharacterDataHandler(xml->markup.parser, on_text);
	xml->markup.nr_lines_before = xml->nr_scanned;
	xml->markup.stand_in = strlen(opening);
	xml->opening = true;
	r = markup_feed(&xml->markup, opening, strlen(opening));
	xml->opening = false;
	return r;
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
	(void)worker_start(ahead->worker, fill_room, ahead);
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

/* The text that was read ahead is given to expat while what comes behind it is read. */
static int feed_rest(struct xml_read *xml, struct ahead *ahead, struct room *room)
{
	int r = PD_OK;

	while (!r && room->size) {
		int behind;

		ahead->next = 1 - ahead->next;
		begin_ahead(ahead);
		r = markup_feed(&xml->markup, room->text, room->size);
		behind = finish_ahead(ahead, &room);
		r = r ? r : behind;
	}
	return r ? r : markup_end(&xml->markup);
}

static int read_document(struct xml_read *xml, struct ahead *ahead)
{
	struct window window = {ahead->rooms[1].text, 0};
	struct room *room;
	int r = scan(xml, ahead, &window);
	/* Whatever came of the scan: nothing is to be going on any longer. */
	int behind = finish_ahead(ahead, &room);

	if (!r)
		r = open_markup(xml);
	if (!r)
		r = markup_feed(&xml->markup, window.text, window.size);
	if (!r)
		r = behind ? behind : feed_rest(xml, ahead, room);
	return r ? r : document_end(&xml->document);
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
	markup_close(&xml->markup);
	free(xml);
	return r;
}
