/* SPDX-License-Identifier: MIT */
/* Reads space maps of any time. */
#include "era/counts.h"
#include "persistent-data/le.h"

/* Of the next bitmap. Returns how many of all its counts, also those behind the device's end, are not 0. */
static unsigned read_bitmap(struct counts *counts, struct scan *scan, uint64_t number,
			    uint8_t *bitmap)
{
	uint64_t first = (uint64_t)counts->nr_bitmaps * SPACE_MAP_BITMAP_COUNTS;
	enum kind kind = number < scan->nr_blocks ? scan->kinds[number] : KIND_UNREADABLE;
	unsigned nr_used = 0;

	counts->bitmaps[counts->nr_bitmaps++] = number;
	counts->changed |= kind > KIND_ZEROES && kind != KIND_BITMAP;
	if (kind != KIND_BITMAP || !scan_look(scan, number, bitmap)) {
		counts->whole = false;
		return 0;
	}
	for (unsigned i = 0; i < SPACE_MAP_BITMAP_COUNTS; i++) {
		unsigned count = space_map_inline_count(bitmap + BITMAP_COUNTS, i);

		nr_used += count > 0;
		if (first + i >= scan->nr_blocks)
			continue;
		counts->of[first + i] = (uint8_t)count;
		counts->nr_allocated += count > 0;
	}
	return nr_used;
}

void counts_read(struct counts *counts, struct scan *scan, uint64_t number, uint8_t *buffer)
{
	uint8_t *bitmap = buffer + METADATA_BLOCK_SIZE;

	*counts = (struct counts){.of = counts->of, .whole = true};
	if (scan->kinds[number] == KIND_BITMAP) {
		read_bitmap(counts, scan, number, bitmap);
		return;
	}
	if (!scan_look(scan, number, buffer)) {
		counts->whole = false;
		return;
	}
	for (unsigned i = 0; i < SPACE_MAP_MAX_BITMAPS; i++) {
		const uint8_t *entry = buffer + INDEX_ENTRIES + (size_t)i * INDEX_ENTRY_SIZE;
		unsigned nr_used;

		if (!get_le64(entry))
			break;
		nr_used = read_bitmap(counts, scan, get_le64(entry), bitmap);
		counts->nr_covered =
			(uint64_t)i * SPACE_MAP_BITMAP_COUNTS + nr_used + get_le32(entry + 8);
	}
}
