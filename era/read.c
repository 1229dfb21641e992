/* SPDX-License-Identifier: MIT */
/* Reads sound metadata into a sink. */
#include "era/read.h"
#include "era/check.h"
#include "persistent-data/error.h"

/*
 * A wrong reference count casts doubt on the trees, also where it does no harm by itself: a block in
 * use that nothing refers to may be a writeset that got lost.
 */
static bool casts_doubt(const struct finding *finding)
{
	return finding->severity == SEVERITY_FATAL ||
	       finding->structure == STRUCTURE_REFERENCE_COUNTS;
}

static int stop_at_damage(void *context, const struct finding *finding)
{
	const struct report *report = context;
	char text[FINDING_TEXT_MAX];

	if (!casts_doubt(finding))
		return PD_OK;
	finding_text(finding, text);
	return report_error(report, finding->damage.error, "%s", text);
}

int metadata_read(struct metadata *metadata, struct sink *sink, const struct report *report)
{
	struct check_visitor visitor = {sink, (void *)(uintptr_t)report, stop_at_damage};
	int r = metadata_check(metadata, &visitor, report);

	if (r == PD_ERR_NO_MEMORY)
		report_message(report, "out of memory");
	return r || !sink ? r : sink->ops->end(sink);
}
