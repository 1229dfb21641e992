#!/bin/bash
# SPDX-License-Identifier: MIT
# era_ls on metadata that a kernel wrote: against era_invalidate, era by era; what a parser of JSON and one
# of XML say; colours where they are wanted, and only there.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/checks.sh

for tool in jq xmllint script; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
PATH=$PWD/build/bin:$PATH
fixtures=$PWD/tests/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

changed() # ERA OPTION...: blocks
{
	era_invalidate --written-since "$@" --json meta | jq '[.extents[].length] | add // 0'
}

for name in snap-live bs24 crash empty hello resize-grow; do
	gzip -dc "$fixtures/$name/meta.img.gz" > meta
	era_ls --json meta > json
	check "$name: the sums are right" jq -e '([.eras[].blocks] | add) == .nr_blocks
		and .eras[-1].since_blocks == .nr_blocks and .eras[-1].since_bytes == .device_size
		and .eras[0].era == .current_era' json
	for era in $(jq '.eras[].era' json); do
		check "$name: since era $era" test "$(jq ".eras[] | select(.era == $era) | .since_bytes" json)" = \
			"$(changed "$era")"
	done
	check "$name: the table has the same rows" cmp <(era_ls meta | awk 'NR > 4 { print $1, $2, $5 }') \
		<(jq -r '.eras[] | "\(.era) \(.blocks) \(.since_blocks)"' json)
	era_ls --svg picture.svg meta
	check "$name: the picture is XML" xmllint --noout picture.svg
	if command -v rsvg-convert >/dev/null; then
		check "$name: and can be drawn" rsvg-convert -o picture.png picture.svg
	fi
done

gzip -dc "$fixtures/snap-live/meta.img.gz" > meta
check "the snapshot is older" test "$(era_ls --json --metadata-snapshot meta | jq -c '[.current_era, .source]')" = \
	'[5,"snapshot"]'
check "a short last block" jq -e '.eras[-1].since_bytes == 536870912 - 512 and .device_size == 536870400' \
	<(era_ls --json --device-size 536870400 meta)
refused "another device" "which is not the number" era_ls --device-size 1G meta
refused "no size" "not a size" era_ls --device-size x meta
refused "two at once" "only one of" era_ls --map --json meta
refused "nothing" "no metadata device" era_ls
refused "over itself" "is the input itself" era_ls --svg meta meta
check "to stdout" cmp <(era_ls --svg - meta) <(era_ls --svg s.svg meta && cat s.svg)

# A terminal: 100 columns wide.
on_terminal() { TERM=xterm script -qec "stty cols 100; $1" /dev/null </dev/null; }
has_colour() { grep -q $'\033\\[48;5;' "$@"; }
on_terminal 'era_ls --map meta' > map
check "colours on a terminal" has_colour map
on_terminal 'NO_COLOR=1 era_ls --map meta' > plain
check "none with NO_COLOR" not has_colour plain
on_terminal 'NO_COLOR= era_ls --map meta' > map
check "an empty one does not count" has_colour map
on_terminal 'TERM=dumb era_ls --map meta' > dumb
check "none on a dumb terminal" not has_colour dumb
era_ls --map meta > file
check "none in a file" not has_colour file
check "as wide as the terminal" test "$(tr -d '\r' < plain | awk '/MiB [.#@]/ && length($0) > n { n = length($0) } END { print n }')" -gt 90
check "and no wider" test "$(tr -d '\r' < plain | awk 'length($0) > n { n = length($0) } END { print n }')" -le 100
check "COLUMNS is for what is no terminal" \
	test "$(COLUMNS=60 era_ls --map meta | awk 'NR > 2 && length($0) > n && /\.\.\./ { n = length($0) } END { print n }')" -le 60
sum_up
