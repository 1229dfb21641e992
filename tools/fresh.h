/* SPDX-License-Identifier: MIT */
/* What the commands that write fresh metadata say about it. */
#ifndef TOOLS_FRESH_H
#define TOOLS_FRESH_H

#include "era/measure.h"
#include "tools/cli.h"

/* r: of the source that was measured. false: it failed; a message has been printed if it was the size. */
bool fresh_measured(const struct cli *cli, int r);

/* Whether what was measured fits the device; else a message has been printed. */
bool fresh_fits(const struct cli *cli, const struct measure *measure, const struct block_io *io);

/* r: of the source that was written. false: it failed; a message has been printed if it was the output. */
bool fresh_written(const struct cli *cli, int r);

#endif
