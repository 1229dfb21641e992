/* SPDX-License-Identifier: MIT */
/* The sink that writes XML, as thin-provisioning-tools 0.9.0 lays it out, byte for byte. */
#ifndef ERA_XML_WRITE_H
#define ERA_XML_WRITE_H

#include "era/stream.h"
#include "era/text.h"
#include "persistent-data/report.h"

#include <stdbool.h>

/*
 * compact: writesets as runs of marked bits, rather than a line for each bit. PD_ERR_NO_MEMORY. The
 * sink's functions return what the output returned; besides, begin() refuses a uuid with bytes that
 * XML cannot carry, and reports that: PD_ERR_UNSUPPORTED.
 */
int xml_write_open(const struct text_output *output, bool compact, const struct report *report,
		   struct sink **result);
void xml_write_close(struct sink *sink);

#endif
