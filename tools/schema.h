/* SPDX-License-Identifier: MIT */
/* Validates XML against the RELAX NG schema that is installed with the tools. */
#ifndef TOOLS_SCHEMA_H
#define TOOLS_SCHEMA_H

#include "tools/cli.h"

/* fd: read from its position on, to its end. false: a message says what does not fit, and where. */
bool schema_validate(const struct cli *cli, int fd);

#endif
