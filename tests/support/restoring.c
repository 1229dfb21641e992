/* SPDX-License-Identifier: MIT */
/* The files of tests that run era_restore on documents. */
#include "tests/support/restoring.h"
#include "tests/support/image.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define FILLER 0xa5

void restoring_write(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	cr_assert(file && fwrite(bytes, 1, size, file) == size && !fclose(file), "%s", path);
}

void restoring_write_large(const char *path, const char *begin, const char *piece, const char *end)
{
	FILE *file = fopen(path, "wb");
	size_t size = strlen(piece);

	cr_assert(file);
	fputs(begin, file);
	for (size_t i = 0; i < 100 * MIB / size; i++)
		fwrite(piece, 1, size, file);
	fputs(end, file);
	cr_assert_eq(fclose(file), 0);
}

void restoring_fill(const struct restoring *files)
{
	static uint8_t filler[RESTORING_BLOCKS * IMAGE_BLOCK];

	memset(filler, FILLER, sizeof(filler));
	restoring_write(files->output, filler, sizeof(filler));
}

bool restoring_untouched(const struct restoring *files)
{
	struct image image;
	bool same = image_load(&image, files->output) && image.nr_blocks == RESTORING_BLOCKS;

	for (size_t i = 0; same && i < RESTORING_BLOCKS * IMAGE_BLOCK; i++)
		same = image.bytes[i] == FILLER;
	image_free(&image);
	return same;
}

void restoring_set_up(struct restoring *files)
{
	strcpy(files->directory, "/tmp/era-restoring-XXXXXX");
	cr_assert(mkdtemp(files->directory));
	snprintf(files->xml, sizeof(files->xml), "%s/in.xml", files->directory);
	snprintf(files->output, sizeof(files->output), "%s/out.img", files->directory);
	restoring_fill(files);
}

void restoring_tear_down(struct restoring *files)
{
	unlink(files->xml);
	unlink(files->output);
	rmdir(files->directory);
}

struct outcome restoring_run(const char *input, const char *output)
{
	return BOUNDED_RUN("era_restore", "-i", input, "-o", output);
}
