#!/bin/bash
# SPDX-License-Identifier: MIT
# Lets every read, write, flush, close and other system call, and every allocation of every command fail
# in turn, until a run passes untouched; and lets reads and writes be short, and be interrupted. A command that fails says so and
# exits with 1, and what it should have replaced is as it was, or no metadata at all. One that does not
# fail, all the same, has done all its work.
set -u
cd "$(dirname "$0")/.." || exit 1

# The sanitizers' own allocator cannot be let fail in this way.
if [ -n "${ERA_SANITIZED:-}" ]; then
	echo 'the commands are built with sanitizers, which nothing can be preloaded before'
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
preload=$PWD/build/tests/faults.so
runs=0 failures=0

gzip -dc tests/fixtures/crash/meta.img.gz > "$work/sound"
cp "$work/sound" "$work/damaged"
# A block of the era array, and one of a writeset.
for block in 71 134; do
	printf 'spoilt' | dd of="$work/damaged" bs=1 seek=$((block * 4096 + 100)) conv=notrunc status=none
done
build/bin/era_dump --compact "$work/sound" > "$work/xml"
# What is going to be written over: another metadata, on as small a device as will do.
gzip -dc tests/fixtures/clean-digested/meta.img.gz > "$work/other"
truncate -s 256K "$work/old"
build/bin/era_repair -i "$work/other" -o "$work/old" || exit 1

fail()
{
	failures=$((failures + 1))
	echo "$*"
	sed 's/^/    /' "$work/err"
}

# Runs a command with its output on a copy of the old one.
run() # KIND NTH ERRNO COMMAND ARGUMENT...
{
	cp "$work/old" "$work/out"
	rm -f "$work/hit"
	ERA_FAULT_KIND=$1 ERA_FAULT_NTH=$2 ERA_FAULT_ERRNO=$3 ERA_FAULT_HIT=$work/hit \
		LD_PRELOAD=$preload "build/bin/$4" "${@:5}" \
		< "$work/xml" > "$work/stdout" 2> "$work/err"
	status=$?
	runs=$((runs + 1))
}

# What a run that nothing was done to leaves.
is_done()
{
	cmp -s "$work/stdout" "$work/expected-stdout" && cmp -s "$work/out" "$work/expected-out" && return
	# What could not be read was salvaged around.
	[ "$1" = era_repair ] && build/bin/era_check -q "$work/out"
}

# All of the new is there if only the last flush, behind the superblock, fails.
is_intact()
{
	cmp -s "$work/out" "$work/old" || cmp -s "$work/out" "$work/expected-out" ||
		! build/bin/era_check -q --super-block-only "$work/out"
}

judge() # WHAT COMMAND
{
	if [ $status -eq 0 ]; then
		is_done "$2" || fail "$1: succeeds, with another output"
	elif [ $status -ne 1 ]; then
		fail "$1: exit status $status"
	elif ! grep -q "^$2: " "$work/err" &&
	     ! grep -A 1 '"messages": \[' "$work/stdout" | grep -q '^    "'; then
		fail "$1: fails without a word"
	elif ! is_intact; then
		fail "$1: fails, and leaves something new behind"
	fi
}

untouched() # COMMAND ARGUMENT...
{
	run none 0 0 "$@"
	[ $status -eq 0 ] || fail "$*: fails untouched"
	cp "$work/stdout" "$work/expected-stdout"
	cp "$work/out" "$work/expected-out"
}

try_failures() # COMMAND ARGUMENT...
{
	local kind error n

	untouched "$@"
	while read -r kind error; do
		# There are so many in libxml2 alone, of which each 7th must do.
		for ((n = 1; n < 5000; n += n < 200 ? 1 : 7)); do
			run "$kind" $n "$error" "$@"
			judge "$*: $kind $n fails with errno $error" "$1"
			[ -e "$work/hit" ] || break
		done
	done <<-END
		read 5
		write 28
		write 5
		flush 5
		close 28
		call 5
		allocation 12
	END
}

try() # COMMAND ARGUMENT...
{
	local kind

	untouched "$@"
	for kind in short interrupted; do
		run $kind 0 0 "$@"
		[ $status -eq 0 ] && is_done "$1" || fail "$*: $kind reads and writes"
	done
	try_failures "$@"
}

try era_check "$work/sound"
try era_check --json "$work/sound"
try era_dump "$work/sound"
try era_dump --logical -o "$work/out" "$work/sound"
try era_dump --repair --compact "$work/damaged"
try era_invalidate --written-since 2 "$work/sound"
try era_invalidate --written-since 2 -o "$work/out" "$work/sound"
try era_restore -i "$work/xml" -o "$work/out"
try era_restore -i - -o "$work/out"
try era_repair -v -i "$work/sound" -o "$work/out"
try era_repair -i "$work/damaged" -o "$work/out"

# libxml2 reads and allocates for itself: it takes an interruption for a failure, and allocates so often
# that the document has to be small.
try_failures era_restore -i tests/fuzz/small.xml --validate

# Without a superblock.
cp "$work/sound" "$work/headless"
dd if=/dev/zero of="$work/headless" bs=4096 count=1 conv=notrunc status=none
nr_blocks=$(sed -n '1s/.* nr_blocks="\([0-9]*\)".*/\1/p' "$work/xml")
block_size=$(sed -n '1s/.* block_size="\([0-9]*\)".*/\1/p' "$work/xml")
try era_repair -i "$work/headless" -o "$work/out" --nr-blocks "$nr_blocks" --block-size "$block_size"
# Of several states it cannot be told which is the latest.
gzip -dc tests/fixtures/clean-undigested/meta.img.gz > "$work/several-states"
build/tests/apply "$work/several-states" fill 0 0 fill 532 255
try era_repair -i "$work/several-states" -o "$work/out" --nr-blocks 8192 --block-size 128
grep -q 'which is the latest cannot be told' "$work/err" || fail 'not several states'

bytes=$((nr_blocks * block_size * 512))
truncate -s $bytes "$work/origin"
{
	echo '<superblock block_size="64" nr_cache_blocks="9"><mappings>'
	echo '<mapping cache_block="3" origin_block="7" dirty="false"/></mappings></superblock>'
} > "$work/cache"
try era_invalidate --written-since 2 --json "$work/sound"
try era_invalidate --written-since 2 --format ranges --device-size $bytes "$work/sound"
try era_invalidate --written-since 2 --format extentlist -o "$work/out" "$work/sound"
for output in - "$work/out"; do
	try era_invalidate --written-since 0 --format dmsetup --cache-metadata "$work/cache" --cache-name c \
		-o "$output" "$work/sound"
done
try era_copy --written-since 2 "$work/sound" "$work/origin"
try era_copy --written-since 0 -o "$work/out" "$work/sound" "$work/origin"
try era_ls "$work/sound"
try era_ls --json "$work/sound"
try era_ls --map "$work/sound"
try era_ls --svg "$work/out" "$work/sound"
try era_metadata_size --nr-blocks 1000
try era_metadata_size --device-size 1T --snapshot --writesets 9 -u k -n

# The metadata snapshot of a target that is live for all they know.
gzip -dc tests/fixtures/crash-snap/meta.img.gz > "$work/held"
for command in era_check era_dump "era_invalidate --written-since 2" era_ls; do
	# shellcheck disable=SC2086 # a command and its options
	try $command --metadata-snapshot "$work/held"
done
try era_copy --written-since 2 --metadata-snapshot -o "$work/out" "$work/held" "$work/origin"

# What era_apply leaves when it fails is made good by doing it again.
try_again()
{
	local kind error n

	while read -r kind error; do
		for ((n = 1; n < 1000; n++)); do
			run "$kind" $n "$error" era_apply -i "$work/stream" "$work/out"
			[ $status -eq 0 ] || grep -q '^era_apply: ' "$work/err" ||
				fail "era_apply: $kind $n fails without a word"
			[ $status -ne 0 ] || cmp -s "$work/small" "$work/out" ||
				fail "era_apply: $kind $n succeeds, with another output"
			build/bin/era_apply -i "$work/stream" "$work/out" 2> "$work/err" &&
				cmp -s "$work/small" "$work/out" && grep -q '^era ' "$work/out.era" ||
				fail "era_apply: not made good after $kind $n"
			[ -e "$work/hit" ] || break
		done
	done <<-END
		short 0
		interrupted 0
		read 5
		write 28
		flush 5
		close 28
		call 5
		allocation 12
	END
}
echo '<superblock block_size="8" nr_blocks="20" current_era="3"><era_array/></superblock>' > "$work/small.xml"
truncate -s 128K "$work/small.meta"
build/bin/era_restore -q -i "$work/small.xml" -o "$work/small.meta"
{ head -c 30000 /dev/urandom; head -c 20000 /dev/zero; head -c 31000 /dev/urandom; } > "$work/small"
build/bin/era_copy --written-since 0 -o "$work/stream" "$work/small.meta" "$work/small" || exit 1
try_again

echo "faults: $runs runs"
[ $failures -eq 0 ]
