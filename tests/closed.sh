#!/bin/bash
# SPDX-License-Identifier: MIT
# Commands whose standard files are closed: what is opened then must not get what was meant for those.
set -u
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# usage: expect STATUS NAME: of what was run, which must have left the device as it was
expect()
{
	if [ "$status" = "$1" ] && cmp -s "$device.before" "$device"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$2: exit status $status, or the device was changed"
	fi
}

xml='<superblock block_size="8" nr_blocks="9000" current_era="1"><era_array/></superblock>'
echo "$xml" >"$work/xml"
device=$work/device
truncate -s 1M "$device"
build/bin/era_restore -i "$work/xml" -o "$device" || exit 1
cp "$device" "$device.before"

# A message about what does not fit, with the device where stderr was.
device=$work/small
head -c 16384 "$work/device" >"$device"
cp "$device" "$device.before"
build/bin/era_restore -i - -o "$device" <"$work/xml" 2>&-
status=$?
expect 1 'era_restore without stderr'
device=$work/device

# Everything closed: the input is where stdin was, the device where stdout was.
build/bin/era_restore -i "$work/xml" -o "$device" <&- >&- 2>&-
status=$?
expect 0 'era_restore without any'
build/bin/era_restore -i - -o "$device" <&- 2>/dev/null
status=$?
expect 1 'era_restore from a stdin that is closed'
build/bin/era_check "$device" >&- 2>/dev/null
status=$?
expect 1 'era_check without stdout'
build/bin/era_dump "$device" >&- 2>&-
status=$?
expect 1 'era_dump without stdout'
build/bin/era_dump -o "$work/dump" "$device" <&- >&- 2>&-
status=$?
expect 0 'era_dump to a file, without any'
build/bin/era_dump "$device" | cmp -s - "$work/dump"
status=$?
expect 0 'what it wrote'
build/bin/era_invalidate --written-since 0 "$device" <&- >&- 2>/dev/null
status=$?
expect 1 'era_invalidate without stdout'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
