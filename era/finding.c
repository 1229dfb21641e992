/* SPDX-License-Identifier: MIT */
/* Findings in words. */
#include "era/finding.h"

#include <stdarg.h>
#include <stdio.h>

struct line {
	char *text;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->used, FINDING_TEXT_MAX - line->used, format, args);
	va_end(args);
	if (n > 0)
		line->used += (size_t)n;
	if (line->used >= FINDING_TEXT_MAX)
		line->used = FINDING_TEXT_MAX - 1;
}

/* "data block 5", or "data blocks 5-9": both ends included, for people. */
static void add_range(struct line *line, const char *of, uint64_t begin, uint64_t end)
{
	if (end - begin == 1)
		add(line, "%s %llu", of, (unsigned long long)begin);
	else
		add(line, "%ss %llu-%llu", of, (unsigned long long)begin,
		    (unsigned long long)end - 1);
}

const char *structure_name(enum structure structure)
{
	static const char *const names[] = {
		[STRUCTURE_SUPERBLOCK] = "superblock",
		[STRUCTURE_WRITESET_TREE] = "writeset tree",
		[STRUCTURE_WRITESET] = "writeset",
		[STRUCTURE_CURRENT_WRITESET] = "current writeset",
		[STRUCTURE_ERA_ARRAY] = "era array",
		[STRUCTURE_SPACE_MAP] = "space map",
		[STRUCTURE_REFERENCE_COUNTS] = "reference counts",
	};

	return names[structure];
}

static void add_structure(struct line *line, const struct finding *finding)
{
	if (finding->snapshot)
		add(line, "metadata snapshot: ");
	add(line, "%s", structure_name(finding->structure));
	if (finding->structure == STRUCTURE_WRITESET ||
	    finding->structure == STRUCTURE_CURRENT_WRITESET)
		add(line, " of era %u", finding->era);
	add(line, ": ");
}

static void add_blocks(struct line *line, const struct finding *finding)
{
	if (finding->block_end - finding->block_begin == finding->nr_blocks)
		add_range(line, "metadata block", finding->block_begin, finding->block_end);
	else
		add(line, "%llu of the metadata blocks %llu-%llu",
		    (unsigned long long)finding->nr_blocks,
		    (unsigned long long)finding->block_begin,
		    (unsigned long long)finding->block_end - 1);
	if (finding->damage.parent)
		add(line, ", named by block %llu", (unsigned long long)finding->damage.parent);
}

static void add_what(struct line *line, const struct damage *damage)
{
	add(line, ": %s", damage->what);
	if (damage->has_numbers)
		add(line, " (%llu, expected %llu)", (unsigned long long)damage->found,
		    (unsigned long long)damage->expected);
}

static void add_affected(struct line *line, const struct finding *finding)
{
	static const char *const of[] = {
		[AFFECTS_DATA_BLOCKS] = "data block",
		[AFFECTS_ERAS] = "era",
		[AFFECTS_METADATA_BLOCKS] = "metadata block",
	};

	if (finding->affected == AFFECTS_NOTHING || finding->damage.begin >= finding->damage.end)
		return;
	add(line, "; affects ");
	add_range(line, of[finding->affected], finding->damage.begin, finding->damage.end);
}

struct finding finding_make(enum structure structure, const struct damage *damage,
			    enum affected affected)
{
	return (struct finding){.structure = structure,
				.block_begin = damage->block,
				.block_end = damage->block + 1,
				.nr_blocks = 1,
				.affected = affected,
				.damage = *damage};
}

void finding_text(const struct finding *finding, char text[FINDING_TEXT_MAX])
{
	struct line line = {text, 0};

	add_structure(&line, finding);
	add_blocks(&line, finding);
	add_what(&line, &finding->damage);
	add_affected(&line, finding);
}
