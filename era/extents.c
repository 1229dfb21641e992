/* SPDX-License-Identifier: MIT */
/* Runs of changed blocks as extents in bytes. */
#include "era/extents.h"
#include "persistent-data/error.h"

static int refuse_size(const struct extents *extents, const struct report *report)
{
	return report_error(
		report, PD_ERR_USAGE,
		"tracks %u blocks of %llu bytes, which is not the number of blocks of a "
		"device of %llu bytes",
		extents->changed->info.nr_blocks, (unsigned long long)extents->block_size,
		(unsigned long long)extents->device_size);
}

int extents_init(struct extents *extents, const struct changed *changed, uint64_t device_size,
		 const struct report *report)
{
	uint64_t block_size = (uint64_t)changed->info.data_block_size * SECTOR_SIZE;
	uint64_t whole;
	bool overflow = __builtin_mul_overflow(changed->info.nr_blocks, block_size, &whole);

	*extents = (struct extents){changed, block_size, device_size, whole};
	if (device_size != DEVICE_SIZE_UNKNOWN) {
		if (device_size / block_size + !!(device_size % block_size) !=
		    changed->info.nr_blocks)
			return refuse_size(extents, report);
		extents->end = device_size;
		overflow = false;
	}
	if (overflow || extents->end > INT64_MAX)
		return report_error(report, PD_ERR_UNSUPPORTED,
				    "tracks a device of more than 2^63 bytes");
	return PD_OK;
}

bool extents_next(const struct extents *extents, uint64_t *begin, uint64_t *end)
{
	uint64_t block = *end / extents->block_size + !!(*end % extents->block_size);
	uint32_t first, last = (uint32_t)block;

	if (!changed_next(extents->changed, &first, &last))
		return false;
	*begin = first * extents->block_size;
	*end = last == extents->changed->info.nr_blocks ? extents->end : last * extents->block_size;
	return true;
}

uint64_t extents_total(const struct extents *extents)
{
	uint64_t begin, end = 0, total = 0;

	while (extents_next(extents, &begin, &end))
		total += end - begin;
	return total;
}
