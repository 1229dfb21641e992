#!/bin/bash
# SPDX-License-Identifier: MIT
# era_repair and era_dump --repair as commands: options, what is refused and left alone, and what is
# said. What is salvaged is the business of tests/test_salvage.c and tests/damage.sh.
set -u
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$PWD/build/bin
passed=0 failed=0

gzip -dc tests/fixtures/crash/meta.img.gz > "$work/sound"
gzip -dc tests/fixtures/clean-digested/meta.img.gz > "$work/old"
build/tests/crop 2048 < "$work/sound" > "$work/damaged"
build/tests/apply "$work/damaged" fill 71 255
cp "$work/sound" "$work/lost"
build/tests/apply "$work/lost" fill 0 0
truncate -s 40K "$work/small"
cd "$work" || exit 1

# usage: expect NAME STATUS PHRASE COMMAND ARGUMENT...; an empty phrase: nothing may be said
expect()
{
	local name=$1 expected=$2 phrase=$3 status said

	cp old out
	"$bin/$4" "${@:5}" > stdout 2> stderr
	status=$?
	said=$(cat stderr)
	if [ $status -eq "$expected" ] && [[ $said == *"$phrase"* && ( -n $phrase || -z $said ) ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$name: exit status $status: $said"
	fi
}

same() # NAME FILE FILE
{
	if cmp -s "$2" "$3"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$1: not the same"
	fi
}

# What there is to be done.
expect 'sound metadata' 0 '' era_repair -i sound -o out
same 'sound metadata come out as they are' <("$bin/era_dump" sound) <("$bin/era_dump" out)
expect 'verbose' 0 'written: 8192 data blocks of 128 sectors, 1 writesets, current era 4' \
	era_repair -v -i sound -o out
expect 'a lost block of the era array' 0 'affects data blocks 0-1017' era_repair -i damaged -o out
expect 'its share of the device' 0 '1018 of 8192 data blocks (12.43 %)' era_repair -i damaged -o out
expect 'quiet' 0 '' era_repair -q -i damaged -o out
cp out fixed
expect 'the result is sound' 0 '' era_check -q fixed
expect 'long options' 0 '' era_repair --quiet --input damaged --output out
expect 'the same as XML' 0 'affects data blocks 0-1017' era_dump --repair -o xml damaged
cp old fixed
"$bin/era_repair" -q -i damaged -o fixed
same 'era_repair and era_dump --repair agree' xml <("$bin/era_dump" fixed)
expect 'folded' 0 'affects data blocks 0-1017' era_dump -r --logical damaged
same 'folded they agree as well' stdout <("$bin/era_dump" --logical fixed)
expect 'sound metadata as XML' 0 '' era_dump --repair sound
same 'sound metadata are dumped as ever' stdout <("$bin/era_dump" sound)

# The superblock is lost.
expect 'no superblock' 1 '--nr-blocks and --block-size' era_repair -i lost -o out
same 'no superblock: the output is as it was' old out
expect 'half of what must be known' 1 'must be given' era_repair -i lost -o out --nr-blocks 8192
expect 'no superblock, but hints' 0 'which agree with each other' \
	era_repair -i lost -o out --nr-blocks 8192 --block-size 128
expect 'its era may have left no trace' 0 'what told it may be lost: taken for 1677722' \
	era_repair -i lost -o out --nr-blocks 8192 --block-size 128
"$bin/era_repair" -q -i lost -o out --nr-blocks 8192 --block-size 128 --current-era 4
same 'all comes back' <("$bin/era_dump" sound) <("$bin/era_dump" out)
expect 'a block size that cannot be' 1 'not a multiple of 8' \
	era_repair -i lost -o out --nr-blocks 8192 --block-size 100
expect 'hints that the superblock contradicts' 1 'the number of data blocks is 8192, not 8191' \
	era_repair -i sound -o out --nr-blocks 8191
expect 'hints that it confirms' 0 '' era_repair -i sound -o out --nr-blocks 8192 --block-size 128
expect 'no number' 1 'not a number above 0' era_repair -i lost -o out --nr-blocks 0
expect 'an era that had begun' 0 'current era 4, but era 9 had begun' \
	era_repair -i sound -o out --current-era 9
"$bin/era_invalidate" --format ranges --written-since 9 out > since
echo "0 $((8192 * 128 * 512))" > all
same 'all blocks count as of an era that the superblock does not know' since all
expect 'an era that had begun, verbosely' 0 'current era 9' \
	era_repair -v -i lost -o out --nr-blocks 8192 --block-size 128 --current-era 9
expect 'an era before the current one' 0 '' era_repair -i sound -o out --current-era 1
expect 'no era' 1 'not a number above 0' era_repair -i sound -o out --current-era 0
"$bin/era_repair" -q -i lost -o out --nr-blocks 8192 --block-size 128
expect 'era_dump has no hints' 1 'must be given' era_dump --repair lost

# Never in place, nor where it does not fit.
cp damaged before
ln -s damaged symlink
ln damaged hardlink
for name in damaged ./damaged symlink hardlink; do
	expect "in place: $name" 1 'is the input itself' era_repair -i damaged -o $name
done
same 'the input is as it was' damaged before
expect 'too small' 1 'too small: 17 metadata blocks are needed, it has 10' era_repair -i sound -o small
same 'too small: untouched' small <(head -c 40960 /dev/zero)
expect 'no output there' 1 'No such file' era_repair -i sound -o nowhere
expect 'a directory' 1 'a directory' era_repair -i sound -o .
expect 'a directory' 1 'a directory' era_repair -i . -o out

# What is no metadata.
: > empty
expect 'empty' 1 'shorter than one metadata block' era_repair -i empty -o out
truncate -s 64K zeroes
expect 'not formatted' 1 'not formatted' era_repair -i zeroes -o out
same 'nothing was written' old out
expect 'nothing at all, with hints' 0 'nothing is found that agrees' \
	era_repair -i zeroes -o out --nr-blocks 10 --block-size 8

# Usage.
expect 'no input' 1 'no input was given' era_repair -o out
expect 'no output' 1 'no output was given' era_repair -i sound
expect 'an operand' 1 'not understood' era_repair -i sound -o out more
expect 'an unknown option' 1 'unrecognized option' era_repair --in-place
expect 'a snapshot' 1 'not for the snapshot' era_dump --repair --metadata-snapshot sound
expect 'help' 0 '' era_repair --help
expect 'version' 0 '' era_repair -V

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
