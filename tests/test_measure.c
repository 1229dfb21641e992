/* SPDX-License-Identifier: MIT */
/* The room that metadata takes, against what is really written. */
#include "era/measure.h"
#include "era/superblock.h"
#include "era/write.h"
#include "persistent-data/error.h"
#include "tests/support/device.h"
#include "tests/support/stream_log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
	uint32_t nr_blocks;
	unsigned nr_writesets;
	uint32_t nr_bits;
};

static char *make_xml(const struct shape *shape)
{
	char *xml = malloc(200 + 100 * (size_t)shape->nr_writesets);
	char *p = xml;

	cr_assert_not_null(xml);
	p += sprintf(p, "<superblock block_size='8' nr_blocks='%u' current_era='1000'>",
		     shape->nr_blocks);
	for (unsigned i = 0; i < shape->nr_writesets; i++)
		p += sprintf(p, "<writeset era='%u' nr_bits='%u'/>", i + 1, shape->nr_bits);
	strcpy(p, "<era_array/></superblock>");
	return xml;
}

static int write_xml(struct device *device, const char *xml)
{
	struct sink *sink;
	int r;

	cr_assert_eq(metadata_write_open(device->io, &sink), PD_OK);
	r = play_xml(sink, xml);
	metadata_write_close(sink);
	return r;
}

/* It is written to a device of just that size, and does not fit one that is smaller. */
static void expect_measure(const struct shape *shape, uint64_t extra)
{
	char *xml = make_xml(shape);
	struct measure measure;
	struct device device;
	struct superblock sb;
	struct damage damage;
	uint64_t size;

	measure_init(&measure);
	cr_assert_eq(play_xml(&measure.sink, xml), PD_OK);
	size = measure_device(&measure) + extra;
	device_open(&device, size);
	cr_assert_eq(write_xml(&device, xml), PD_OK, "%u blocks, %u writesets of %u",
		     shape->nr_blocks, shape->nr_writesets, shape->nr_bits);
	cr_assert(superblock_decode(device.memory, 0, size, false, &sb, &damage), "%s",
		  damage.what);
	cr_expect_eq(sb.space_map.nr_allocated, measure_total(&measure, size));
	cr_expect_eq(sb.space_map.nr_blocks, size);
	device_close(&device);
	if (!extra) {
		device_open(&device, size - 1);
		memset(device.memory, 0xff, METADATA_BLOCK_SIZE);
		cr_expect_eq(write_xml(&device, xml), PD_ERR_NO_SPACE);
		cr_expect(!device.memory[0] && !memcmp(device.memory, device.memory + 1,
						       METADATA_BLOCK_SIZE - 1),
			  "the superblock stays wiped");
		device_close(&device);
	}
	free(xml);
}

Test(measure, is_what_is_written)
{
	static const struct shape shapes[] = {
		{0, 0, 0},	    {1, 0, 0},
		{1018, 1, 0},	    {1019, 1, 1},
		{100, 1, 32576},    {100, 2, 32577},
		{252 * 1018, 0, 0}, {252 * 1018 + 1, 0, 0},
		{100, 201, 100},    {100, 202, 100},
		{100, 10, 3000000}, {3000000, 3, 3000000},
		{100, 999, 1},	    {16000000, 1, 10000000},
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		expect_measure(&shapes[i], 0);
		expect_measure(&shapes[i], 1);
		expect_measure(&shapes[i], 16320);
	}
}

/* Without reading a bit of it: the writesets alone are more than any device can hold. */
Test(measure, more_than_the_format_allows)
{
	static const struct shape shape = {2147483647, 40, 2147483647};
	char *xml = make_xml(&shape);
	struct measure measure;

	measure_init(&measure);
	cr_expect_eq(play_xml(&measure.sink, xml), PD_ERR_NO_SPACE);
	free(xml);
}
