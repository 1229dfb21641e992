/* SPDX-License-Identifier: MIT */
/* Prints the findings of a check as JSON. */
#include "tools/findings_json.h"

#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void put(const struct findings_json *json,
						      const char *format, ...)
{
	va_list args;

	if (!json->file)
		return;
	va_start(args, format);
	vfprintf(json->file, format, args);
	va_end(args);
}

static void put_string(const struct findings_json *json, const char *name, const char *text)
{
	put(json, "%s\"", name);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			put(json, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			put(json, "\\u%04x", c);
		else
			put(json, "%c", c);
	}
	put(json, "\"");
}

static void put_number(const struct findings_json *json, const char *name, uint64_t value)
{
	put(json, "%s%llu", name, (unsigned long long)value);
}

static void put_bool(const struct findings_json *json, const char *name, bool value)
{
	put(json, "%s%s", name, value ? "true" : "false");
}

static void next_element(struct findings_json *json)
{
	put(json, "%s", json->separator);
	json->separator = ",\n    ";
}

void findings_json_begin(struct findings_json *json, FILE *file, bool snapshot)
{
	memset(json, 0, sizeof(*json));
	json->file = file;
	json->separator = "\n    ";
	put(json, "{\n  \"version\": 1,\n  \"source\": \"%s\",\n  \"findings\": [",
	    snapshot ? "snapshot" : "offline");
}

static void put_affected(const struct findings_json *json, const struct finding *finding)
{
	static const char *const names[] = {
		[AFFECTS_DATA_BLOCKS] = "data_blocks",
		[AFFECTS_ERAS] = "eras",
		[AFFECTS_METADATA_BLOCKS] = "affected_metadata_blocks",
	};

	if (finding->affected == AFFECTS_NOTHING || finding->damage.begin >= finding->damage.end)
		return;
	put(json, ", \"%s\": {", names[finding->affected]);
	put_number(json, "\"begin\": ", finding->damage.begin);
	put_number(json, ", \"end\": ", finding->damage.end);
	put(json, "}");
}

void findings_json_finding(void *context, const struct finding *finding)
{
	struct findings_json *json = context;
	char text[FINDING_TEXT_MAX];

	finding_text(finding, text);
	next_element(json);
	put(json, "{\"severity\": \"%s\"",
	    finding->severity == SEVERITY_FATAL ? "fatal" : "non-fatal");
	put_string(json, ", \"structure\": ", structure_name(finding->structure));
	put_bool(json, ", \"snapshot\": ", finding->snapshot);
	if (finding->structure == STRUCTURE_WRITESET ||
	    finding->structure == STRUCTURE_CURRENT_WRITESET)
		put_number(json, ", \"era\": ", finding->era);
	put_number(json, ", \"metadata_blocks\": {\"begin\": ", finding->block_begin);
	put_number(json, ", \"end\": ", finding->block_end);
	put_number(json, ", \"count\": ", finding->nr_blocks);
	put(json, "}");
	if (finding->damage.parent)
		put_number(json, ", \"named_by\": ", finding->damage.parent);
	put_string(json, ", \"what\": ", finding->damage.what);
	if (finding->damage.has_numbers) {
		put_number(json, ", \"found\": ", finding->damage.found);
		put_number(json, ", \"expected\": ", finding->damage.expected);
	}
	put_affected(json, finding);
	put_string(json, ", \"message\": ", text);
	put(json, "}");
}

static void begin_more(struct findings_json *json)
{
	if (json->in_more)
		return;
	json->in_more = true;
	put(json, "\n  ],\n  \"more\": [");
	json->separator = "\n    ";
}

void findings_json_more(void *context, const struct fold_kind *kind, uint64_t nr_more)
{
	struct findings_json *json = context;

	begin_more(json);
	next_element(json);
	put_string(json, "{\"structure\": ", structure_name(kind->structure));
	put_bool(json, ", \"snapshot\": ", kind->snapshot);
	put_string(json, ", \"what\": ", kind->what);
	put_number(json, ", \"count\": ", nr_more);
	put(json, "}");
}

void findings_json_message(void *context, const char *text)
{
	struct findings_json *json = context;

	if (json->nr_messages == FINDINGS_JSON_MAX_MESSAGES)
		return;
	snprintf(json->messages[json->nr_messages++], REPORT_MAX, "%s", text);
}

void findings_json_end(struct findings_json *json, const struct fold *fold, bool sound)
{
	begin_more(json);
	put(json, "\n  ],\n  \"messages\": [");
	json->separator = "\n    ";
	for (unsigned i = 0; i < json->nr_messages; i++) {
		next_element(json);
		put_string(json, "", json->messages[i]);
	}
	put_number(json, "\n  ],\n  \"fatal\": ", fold->nr_fatal);
	put_number(json, ",\n  \"non_fatal\": ", fold->nr_non_fatal);
	put_bool(json, ",\n  \"sound\": ", sound);
	put(json, "\n}\n");
}
