/* SPDX-License-Identifier: MIT */
/* Reads truth files. */
#include "tests/support/truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t *allocate(uint32_t nr)
{
	uint32_t *eras = calloc(nr ? nr : 1, sizeof(*eras));

	if (!eras)
		abort();
	return eras;
}

/* What is past the end when a device shrinks is lost for good. */
static void resize(struct truth_eras *now, uint32_t nr_blocks)
{
	uint32_t *eras = allocate(nr_blocks);
	uint32_t nr = nr_blocks < now->nr_blocks ? nr_blocks : now->nr_blocks;

	if (nr)
		memcpy(eras, now->eras, nr * sizeof(*eras));
	free(now->eras);
	now->eras = eras;
	now->nr_blocks = nr_blocks;
}

static bool mark(struct truth_eras *now, uint32_t era, uint32_t begin, uint32_t end)
{
	if (begin >= end || end > now->nr_blocks)
		return false;
	for (uint32_t i = begin; i < end; i++)
		now->eras[i] = era;
	return true;
}

/* The snapshot is of what was above its line; its era begins with it. */
static void take_snapshot(struct truth *truth, uint32_t era)
{
	free(truth->snap.eras);
	truth->snap = (struct truth_eras){.current_era = era};
	truth->snap.eras = allocate(truth->now.nr_blocks);
	truth->snap.nr_blocks = truth->now.nr_blocks;
	if (truth->now.nr_blocks)
		memcpy(truth->snap.eras, truth->now.eras,
		       truth->now.nr_blocks * sizeof(*truth->now.eras));
}

static void take_note(struct truth *truth, const char *line)
{
	const char *created = strstr(line, " nr_blocks=");
	unsigned long long nr_bytes;
	uint32_t nr_blocks;

	/* It may be created again after a removal, with another size. */
	if (!strncmp(line, "N create ", 9) && created &&
	    sscanf(created, " nr_blocks=%u", &nr_blocks) == 1)
		resize(&truth->now, nr_blocks);
	else if (sscanf(line, "N resized to %u blocks", &nr_blocks) == 1)
		resize(&truth->now, nr_blocks);
	else if (sscanf(line, "N metadata_bytes=%llu", &nr_bytes) == 1)
		truth->nr_bytes = nr_bytes;
}

static bool take_line(struct truth *truth, const char *line)
{
	uint32_t era, begin, end;
	unsigned long long block;

	if (!strncmp(line, "N ", 2)) {
		take_note(truth, line);
		return true;
	}
	if (sscanf(line, "E %u ", &era) == 1) {
		truth->now.current_era = era;
		return true;
	}
	if (sscanf(line, "W %u %u", &era, &begin) == 2)
		return mark(&truth->now, era, begin, begin + 1);
	if (sscanf(line, "R %u %u %u", &era, &begin, &end) == 3)
		return mark(&truth->now, era, begin, end);
	if (sscanf(line, "D %u %u %u", &era, &begin, &end) == 3)
		return mark(&truth->now, era, begin, begin + 1);
	if (sscanf(line, "SNAP %u %llu", &era, &block) == 2) {
		take_snapshot(truth, era);
		truth->snap_block = block;
		return true;
	}
	/* Every fixture is of the last time that an image was taken: nothing comes after it. */
	return !strncmp(line, "COPY ", 5) || !strncmp(line, "LIVE ", 5) ||
	       !strncmp(line, "CLEAN ", 6) || !strncmp(line, "CRASH ", 6);
}

bool truth_load(struct truth *truth, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];
	bool good = true;

	*truth = (struct truth){.nr_bytes = 0};
	if (!file)
		return false;
	while (good && fgets(line, sizeof(line), file))
		good = take_line(truth, line);
	fclose(file);
	return good && truth->now.eras;
}

void truth_free(struct truth *truth)
{
	free(truth->now.eras);
	free(truth->snap.eras);
	*truth = (struct truth){.nr_bytes = 0};
}
