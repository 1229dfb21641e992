/* SPDX-License-Identifier: MIT */
/* Validates XML against the schema, streaming, through libxml2. */
#include "tools/schema.h"

#include <libgen.h>
#include <libxml/relaxng.h>
#include <libxml/xmlreader.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the directory of the commands, both where they are built and where they are installed. */
#define SCHEMA "../share/era/era.rng"

static bool find_schema(char path[PATH_MAX])
{
	char self[PATH_MAX - sizeof(SCHEMA) - 1];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	snprintf(path, PATH_MAX, "%s/%s", dirname(self), SCHEMA);
	return true;
}

/* libxml2's messages end with a newline, and can be several for one mistake: one is enough. */
struct complaint {
	const struct cli *cli;
	bool made;
};

static void complain(void *context, xmlErrorPtr error)
{
	struct complaint *complaint = context;
	int length = error->message ? (int)strcspn(error->message, "\n") : 0;

	if (complaint->made)
		return;
	complaint->made = true;
	cli_fail(complaint->cli, "line %d: not valid by the schema: %.*s", error->line, length,
		 length ? error->message : "");
}

static bool read_all(struct complaint *complaint, xmlTextReaderPtr reader)
{
	int r;

	do
		r = xmlTextReaderRead(reader);
	while (r == 1 && !complaint->made);
	if (r == 0 && xmlTextReaderIsValid(reader) == 1)
		return true;
	if (!complaint->made)
		cli_fail(complaint->cli, "not valid by the schema");
	return false;
}

static bool validate(const struct cli *cli, xmlRelaxNGPtr schema, int fd)
{
	struct complaint complaint = {cli, false};
	xmlTextReaderPtr reader = xmlReaderForFd(fd, NULL, NULL, XML_PARSE_NONET);
	bool valid = false;

	if (!reader) {
		cli_fail(cli, "cannot be read");
		return false;
	}
	xmlTextReaderSetStructuredErrorHandler(reader, (xmlStructuredErrorFunc)complain,
					       &complaint);
	if (!xmlTextReaderRelaxNGSetSchema(reader, schema))
		valid = read_all(&complaint, reader);
	xmlFreeTextReader(reader);
	return valid;
}

/* That the schema cannot be read is told once, and not in libxml2's words. */
static void swallow(void *context, xmlErrorPtr error)
{
	(void)context;
	(void)error;
}

static xmlRelaxNGPtr read_schema(const char *path)
{
	xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewParserCtxt(path);
	xmlRelaxNGPtr schema = parser ? xmlRelaxNGParse(parser) : NULL;

	xmlRelaxNGFreeParserCtxt(parser);
	return schema;
}

/*
 * libxml2 (2.9.14) crashes where memory runs out while it reads a schema, or goes on without what it
 * had no memory for. So it never learns of it. Its allocators are given no context: whom to tell has to
 * be kept here.
 */
static const struct cli *user;

static void *checked(void *memory)
{
	if (memory)
		return memory;
	cli_fail(user, "out of memory");
	exit(EXIT_FAILURE);
}

static void *allocate(size_t size)
{
	return checked(malloc(size ? size : 1));
}

static void *reallocate(void *memory, size_t size)
{
	return checked(realloc(memory, size ? size : 1));
}

static char *duplicate(const char *text)
{
	return checked(strdup(text));
}

bool schema_validate(const struct cli *cli, int fd)
{
	char path[PATH_MAX] = SCHEMA;
	xmlRelaxNGPtr schema;
	bool valid = false;

	user = cli;
	xmlMemSetup(free, allocate, reallocate, duplicate);
	/* The files are opened by way of the library's own handler, not the parser's. */
	xmlSetStructuredErrorFunc(NULL, (xmlStructuredErrorFunc)swallow);
	schema = find_schema(path) ? read_schema(path) : NULL;
	if (schema)
		valid = validate(cli, schema, fd);
	else
		cli_fail(cli, "the schema %s cannot be read", path);
	xmlRelaxNGFree(schema);
	xmlCleanupParser();
	return valid;
}
