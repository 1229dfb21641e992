/* SPDX-License-Identifier: MIT */
/* Ages as a table, and as JSON. */
#include "era/ages_format.h"
#include "era/age_classes.h"
#include "era/extents.h"

/* Bytes last written in an era, and in it or later. */
static uint64_t bytes_in(const struct ages *ages, const struct age *age)
{
	return ages_bytes(ages, age->nr_blocks, age->nr_blocks && age->era == ages->last_era);
}

static uint64_t bytes_since(const struct ages *ages, const struct age *age)
{
	return ages_bytes(ages, age->since_blocks, age->since_blocks && age->era <= ages->last_era);
}

static uint64_t block_bytes(const struct ages *ages)
{
	return (uint64_t)ages->info.data_block_size * SECTOR_SIZE;
}

static void put_row(struct text *text, const struct ages *ages, const struct age *age)
{
	char size[SIZE_TEXT], since[SIZE_TEXT];

	text_print(text, "%10u  %10u  %10s   %10llu  %10s%s\n", age->era, age->nr_blocks,
		   size_text(size, bytes_in(ages, age)), (unsigned long long)age->since_blocks,
		   size_text(since, bytes_since(ages, age)), age->era ? "" : "   (never written)");
}

int ages_format_table(const struct ages *ages, const struct text_output *output)
{
	char size[SIZE_TEXT], block[SIZE_TEXT];
	struct text text;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_print(&text, "%u block%s of %s, %s in all, in era %u\n\n", ages->info.nr_blocks,
		   ages->info.nr_blocks == 1 ? "" : "s", size_text(block, block_bytes(ages)),
		   size_text(size, ages->end), ages->info.current_era);
	text_print(&text,
		   "            last written in it          an increment since it\n"
		   "%10s  %10s  %10s   %10s  %10s\n",
		   "era", "blocks", "size", "blocks", "size");
	for (uint64_t i = 0; i < ages->nr && !text_error(&text); i++)
		put_row(&text, ages, &ages->list[i]);
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}

static void put_object(struct text *text, const struct ages *ages, const struct age *age)
{
	text_print(text,
		   "%s\n    {\"era\": %u, \"blocks\": %u, \"bytes\": %llu, \"since_blocks\": %llu, "
		   "\"since_bytes\": %llu}",
		   age == ages->list ? "" : ",", age->era, age->nr_blocks,
		   (unsigned long long)bytes_in(ages, age), (unsigned long long)age->since_blocks,
		   (unsigned long long)bytes_since(ages, age));
}

int ages_format_json(const struct ages *ages, bool snapshot, const struct text_output *output)
{
	struct text text;
	int r = text_init(&text, output);

	if (r)
		return r;
	text_print(&text,
		   "{\n  \"version\": 1,\n  \"source\": \"%s\",\n  \"block_size\": %llu,\n"
		   "  \"nr_blocks\": %u,\n  \"device_size\": %llu,\n  \"current_era\": %u,\n"
		   "  \"eras\": [",
		   snapshot ? "snapshot" : "offline", (unsigned long long)block_bytes(ages),
		   ages->info.nr_blocks, (unsigned long long)ages->end, ages->info.current_era);
	for (uint64_t i = 0; i < ages->nr && !text_error(&text); i++)
		put_object(&text, ages, &ages->list[i]);
	text_print(&text, "\n  ]\n}\n");
	r = text_flush(&text);
	text_destroy(&text);
	return r;
}
