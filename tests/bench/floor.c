/* SPDX-License-Identifier: MIT */
/*
 * Plain single-threaded loops that do what a command cannot do without, and nothing else: what the
 * commands are measured against.
 *
 * usage: floor read FILE                     reads runs of 1 MiB, checksums each metadata block
 *        floor copy FILE FILE                the same, and writes it all to the second, and flushes
 *        floor lines ERAS BITS RUNS [FILE]   prints so many lines of each kind; reads FILE before
 *        floor expat FILE                    parses XML with handlers that do nothing
 *        floor drain                         reads standard input to its end
 */
#include "persistent-data/block_io.h"
#include "persistent-data/checksum.h"

#include <expat.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN (1024 * 1024)
#define ROOM 64 /* bytes, more than any line takes */

static uint8_t buffer[RUN + ROOM] __attribute__((aligned(METADATA_BLOCK_SIZE)));

static int fail(const char *what)
{
	perror(what);
	return EXIT_FAILURE;
}

/* to: where all is written, too; -1: nowhere. */
static int read_to(const char *path, int to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t all = 0;
	off_t at = 0;
	ssize_t n;

	if (fd < 0)
		return fail(path);
	for (; (n = pread(fd, buffer, RUN, at)) > 0; at += n) {
		for (ssize_t i = 0; i + METADATA_BLOCK_SIZE <= n; i += METADATA_BLOCK_SIZE)
			all |= crc32c(0xffffffff, buffer + i + 4, METADATA_BLOCK_SIZE - 4);
		if (to >= 0 && pwrite(to, buffer, (size_t)n, at) != n)
			return fail("writing");
	}
	close(fd);
	return n < 0 ? fail(path) : !all;
}

static int read_file(const char *path)
{
	return read_to(path, -1);
}

static int copy_file(const char *from, const char *path)
{
	int to = open(path, O_WRONLY | O_CLOEXEC);
	int status = to < 0 ? fail(path) : read_to(from, to);

	if (!status && (fdatasync(to) || close(to)))
		status = fail(path);
	return status;
}

/*
 * Lines: each kind is a text whose number counts up, and something put behind it. The last digit
 * changes in the line that was made: the next copy of the text would have to wait if it did there.
 */

static char digits[10000][4];

static void make_digits(void)
{
	for (unsigned i = 0; i < 10000; i++)
		for (unsigned j = 0, rest = i; j < 4; j++, rest /= 10)
			digits[i][3 - j] = (char)('0' + rest % 10);
}

static char *put(char *to, const char *text, size_t length)
{
	memcpy(to, text, length);
	return to + length;
}

/* A number of at most four digits. */
static char *put_number(char *to, unsigned number)
{
	unsigned skip = (number < 1000) + (number < 100) + (number < 10);

	memcpy(to, digits[number] + skip, 4);
	return to + 4 - skip;
}

struct line {
	char text[ROOM];
	unsigned length, last; /* of the text; of its number, the last digit's place, ... */
	char digit;	       /* ... and what that is now */
};

static void begin_line(struct line *line, const char *before, const char *number,
		       const char *behind)
{
	line->length = (unsigned)snprintf(line->text, ROOM, "%s%s%s", before, number, behind);
	line->last = line->length - (unsigned)strlen(behind) - 1;
	line->digit = '0';
}

static void carry(struct line *line)
{
	unsigned i = line->last;

	line->digit = line->text[i] = '0';
	while (line->text[--i] == '9')
		line->text[i] = '0';
	line->text[i]++;
}

static inline char *put_line(char *to, struct line *line)
{
	memcpy(to, line->text, 48);
	to[line->last] = line->digit;
	to += line->length;
	if (line->digit++ == '9')
		carry(line);
	return to;
}

static char *flush(char *p)
{
	size_t size = (size_t)(p - (char *)buffer);

	if (size < RUN / 4)
		return p;
	if (write(STDOUT_FILENO, buffer, size) != (ssize_t)size)
		exit(fail("standard output"));
	return (char *)buffer;
}

static char *put_eras(char *p, unsigned long n)
{
	struct line line;
	uint32_t random = 1;

	begin_line(&line, "    <era block=\"", "10000000", "\" era=\"");
	for (; n; n--) {
		p = put_line(flush(p), &line);
		random = random * 1664525 + 1013904223;
		p = put(put_number(p, random >> 22), "\"/>\n", 4);
	}
	return p;
}

static char *put_bits(char *p, unsigned long n)
{
	struct line line;
	uint32_t random = 1;

	begin_line(&line, "    <bit block=\"", "10000000", "\" value=\"");
	for (; n; n--) {
		unsigned marked;

		p = put_line(flush(p), &line);
		random = random * 1664525 + 1013904223;
		marked = random >> 28 == 0;
		p = put(p, marked ? "true\"/>\n\0" : "false\"/>\n", 9) - marked;
	}
	return p;
}

static char *put_runs(char *p, unsigned long n)
{
	struct line line;
	unsigned end = 1;

	begin_line(&line, "  <range begin=\"", "10000000", "\" end=\"1000");
	for (; n; n--, end = (end + 4) % 10000) {
		p = put_line(flush(p), &line);
		p = put(put(p, digits[end], 4), "\"/>\n", 4);
	}
	return p;
}

static int print_lines(char **argv)
{
	char *p = (char *)buffer;

	if (argv[3] && read_file(argv[3]))
		return EXIT_FAILURE;
	make_digits();
	p = put_eras(p, strtoul(argv[0], NULL, 10));
	p = put_bits(p, strtoul(argv[1], NULL, 10));
	p = put_runs(p, strtoul(argv[2], NULL, 10));
	return write(STDOUT_FILENO, buffer, (size_t)(p - (char *)buffer)) < 0;
}

static void XMLCALL start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	(void)context;
	(void)name;
	(void)attributes;
}

static void XMLCALL end(void *context, const XML_Char *name)
{
	(void)context;
	(void)name;
}

static int parse(const char *path)
{
	XML_Parser parser = XML_ParserCreate(NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n = -1;

	XML_SetElementHandler(parser, start, end);
	while (fd >= 0 && n) {
		n = (int)read(fd, buffer, RUN);
		if (n < 0 || XML_Parse(parser, (char *)buffer, n, n == 0) != XML_STATUS_OK)
			return fail(path);
	}
	XML_ParserFree(parser);
	return fd < 0 ? fail(path) : EXIT_SUCCESS;
}

static int drain(void)
{
	ssize_t n;

	while ((n = read(STDIN_FILENO, buffer, RUN)) > 0)
		;
	return n < 0 ? fail("standard input") : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "read"))
		return read_file(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "copy"))
		return copy_file(argv[2], argv[3]);
	if ((argc == 5 || argc == 6) && !strcmp(argv[1], "lines"))
		return print_lines(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "expat"))
		return parse(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "drain"))
		return drain();
	fprintf(stderr,
		"usage: %s {read FILE | copy FILE FILE | lines ERAS BITS RUNS [FILE] | expat FILE "
		"| drain}\n",
		argv[0]);
	return EXIT_FAILURE;
}
