#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark works, at a size at which its times mean nothing.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build/bench/bench -n 100000 -r 1 -d "$work" -j "$work/json" > "$work/table"
jq -e '(.rows | length > 20) and all(.rows[]; .seconds > 0 and .peak_rss > 0 and (.failed | not))' \
	"$work/json" > /dev/null
for image in r64 s64 u64; do
	build/bin/era_check -q "$work/$image"
done
# Moving the blocks about changes nothing of what they say.
cmp <(build/bin/era_dump "$work/r64") <(build/bin/era_dump "$work/s64")
