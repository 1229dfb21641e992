#!/bin/bash
# SPDX-License-Identifier: MIT
# The runtime's tests with many threads once more, built with -fsanitize=thread.
set -u
cd "$(dirname "$0")/.." || exit 1

: "${CC:=cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags='-std=gnu11 -O1 -g -Itests/support/plain -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -pthread
	-fsanitize=thread -fno-sanitize-recover=all'

echo 'int main(void) { return 0; }' >"$work/empty.c"
if ! "$CC" -fsanitize=thread -o "$work/empty" "$work/empty.c" 2>"$work/out" || ! "$work/empty"; then
	echo "programs of $CC -fsanitize=thread do not run here"
	exit 77
fi
# shellcheck disable=SC2086 # flags are words
"$CC" $flags -DPLAIN_MAIN -c -o "$work/test_map.o" tests/test_map.c &&
	"$CC" $flags -o "$work/map" "$work/test_map.o" \
		tests/support/{eras,failing_io,io_log,power_cuts}.c persistent-data/*.c era/*.c -lexpat ||
	exit 1
"$work/map"
