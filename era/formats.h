/* SPDX-License-Identifier: MIT */
/* The shapes in which a set of changed blocks is printed. */
#ifndef ERA_FORMATS_H
#define ERA_FORMATS_H

#include "era/changed.h"
#include "era/text.h"

/* XML as thin-provisioning-tools prints it. What the output returned, or PD_ERR_NO_MEMORY. */
int format_xml(const struct changed *changed, const struct text_output *output);

#endif
