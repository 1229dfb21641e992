/* SPDX-License-Identifier: MIT */
/* Classes of age, and how people say what is in them. */
#include "era/age_classes.h"

#include <stdio.h>

/*
 * Where each class ends, counted in eras from the newest: each takes so many times more than the newer
 * one, as many times as are needed for all of them to have a class.
 */
static void find_ends(uint64_t nr, uint64_t ends[AGE_CLASSES])
{
	double factor = 1;

	do {
		double size = 1, sum = 0;

		for (unsigned i = 0; i < AGE_CLASSES; i++) {
			sum += size;
			size *= factor;
			ends[i] = (uint64_t)sum;
		}
		factor += 1.0 / 64;
	} while (ends[AGE_CLASSES - 1] < nr);
}

static void add(struct age_class *class, const struct age *age, uint32_t last_era)
{
	if (!class->nr_blocks)
		class->last = age->era;
	class->first = age->era;
	class->nr_blocks += age->nr_blocks;
	class->with_last |= age->era == last_era;
}

void age_classes_make(struct age_classes *classes, const struct ages *ages)
{
	uint64_t ends[AGE_CLASSES], nr = 0, met = 0;

	*classes = (struct age_classes){.nr = 0};
	for (uint64_t i = 0; i < ages->nr; i++)
		nr += ages->list[i].era && ages->list[i].nr_blocks;
	find_ends(nr, ends);
	for (uint64_t i = 0; i < ages->nr; i++) {
		const struct age *age = &ages->list[i];
		unsigned class = classes->nr ? classes->nr - 1 : 0;

		if (!age->nr_blocks)
			continue;
		if (!age->era)
			class = AGE_NEVER;
		else if (met++ == ends[class])
			class ++;
		add(&classes->classes[class], age, ages->last_era);
		if (age->era)
			classes->nr = class + 1;
	}
}

unsigned age_classes_of(const struct age_classes *classes, uint32_t era)
{
	unsigned i = 0;

	if (!era)
		return AGE_NEVER;
	while (i + 1 < classes->nr && era < classes->classes[i].first)
		i++;
	return i;
}

const char *size_text(char text[SIZE_TEXT], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;
	double value = (double)bytes;

	while (value >= 1023.95 && unit < 6) {
		value /= 1024;
		unit++;
	}
	snprintf(text, SIZE_TEXT,
		 value < 1024 && value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value,
		 units[unit]);
	return text;
}

const char *share_text(char text[SHARE_TEXT], uint64_t part, uint64_t whole)
{
	double percent = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part && percent < 0.1)
		return "<0.1 %";
	if (part < whole && percent > 99.9)
		return ">99.9 %";
	snprintf(text, SHARE_TEXT, "%.1f %%", percent);
	return text;
}

const char *class_text(char text[CLASS_TEXT], const struct age_class *class)
{
	if (!class->last)
		return "never written";
	if (class->first == class->last)
		snprintf(text, CLASS_TEXT, "era %u", class->first);
	else
		snprintf(text, CLASS_TEXT, "eras %u-%u", class->first, class->last);
	return text;
}
