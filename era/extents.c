/* SPDX-License-Identifier: MIT */
/* Runs of changed blocks as extents in bytes. */
#include "era/extents.h"
#include "persistent-data/error.h"

static uint64_t block_bytes(const struct stream_info *info)
{
	return (uint64_t)info->data_block_size * SECTOR_SIZE;
}

static bool has_as_many_blocks(const struct stream_info *info, uint64_t device_size)
{
	uint64_t size = block_bytes(info);

	return device_size / size + !!(device_size % size) == info->nr_blocks;
}

int device_end(const struct stream_info *info, uint64_t device_size, uint64_t *end,
	       const struct report *report)
{
	bool overflow = __builtin_mul_overflow(info->nr_blocks, block_bytes(info), end);

	if (device_size != DEVICE_SIZE_UNKNOWN) {
		if (!has_as_many_blocks(info, device_size))
			return report_error(
				report, PD_ERR_USAGE,
				"tracks %u blocks of %llu bytes, which is not the number "
				"of blocks of a device of %llu bytes",
				info->nr_blocks, (unsigned long long)block_bytes(info),
				(unsigned long long)device_size);
		*end = device_size;
		overflow = false;
	}
	if (overflow || *end > INT64_MAX)
		return report_error(report, PD_ERR_UNSUPPORTED,
				    "tracks a device of more than 2^63 bytes");
	return PD_OK;
}

int extents_init(struct extents *extents, const struct changed *changed, uint64_t device_size,
		 const struct report *report)
{
	*extents = (struct extents){changed, block_bytes(&changed->info), device_size, 0};
	return device_end(&changed->info, device_size, &extents->end, report);
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
