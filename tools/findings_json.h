/* SPDX-License-Identifier: MIT */
/*
 * The findings of a check as one JSON object:
 *
 *	{ "version": 1, "source": "offline" or "snapshot",
 *	  "findings": [ { "severity": "fatal" or "non-fatal", "structure", "snapshot", "era",
 *	                  "metadata_blocks": {"begin", "end", "count"}, "named_by", "what",
 *	                  "found", "expected", "message", and what is affected: "data_blocks", "eras"
 *	                  or "affected_metadata_blocks": {"begin", "end"} } ],
 *	  "more": [ {"structure", "snapshot", "what", "count"} ], "messages": [ ],
 *	  "fatal", "non_fatal", "sound" }
 *
 * Ranges are half-open. "more" counts findings beyond the first of a kind that are listed singly.
 */
#ifndef TOOLS_FINDINGS_JSON_H
#define TOOLS_FINDINGS_JSON_H

#include "era/fold.h"
#include "persistent-data/report.h"

#include <stdio.h>

#define FINDINGS_JSON_MAX_MESSAGES 8

struct findings_json {
	FILE *file;	       /* NULL: nothing is printed */
	const char *separator; /* before the next element of the list at hand */
	bool in_more;
	unsigned nr_messages;
	char messages[FINDINGS_JSON_MAX_MESSAGES][REPORT_MAX]; /* come last, after the findings */
};

void findings_json_begin(struct findings_json *json, FILE *file, bool snapshot);
void findings_json_end(struct findings_json *json, const struct fold *fold, bool sound);

/* For struct fold and struct report; context: the findings_json. */
void findings_json_finding(void *context, const struct finding *finding);
void findings_json_more(void *context, const struct fold_kind *kind, uint64_t nr_more);
void findings_json_message(void *context, const char *text);

#endif
