#!/bin/bash
# SPDX-License-Identifier: MIT
# era_copy and era_apply: what they refuse, and what is left behind then. With loop devices, where these
# can be had, of a size that is no multiple of 4 KiB.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/checks.sh

PATH=$PWD/build/bin:$PATH
work=$(mktemp -d)
loops=()
trap 'for loop in "${loops[@]}"; do losetup -d "$loop"; done; rm -rf "$work"' EXIT
cd "$work" || exit 1

state() { cat "$1.era" 2>/dev/null; }

# 100 blocks of 20 KiB, the last of 1536 bytes; era 5 wrote the blocks 3, 4 and 99.
size=$((99 * 20480 + 1536))
cat > meta.xml <<'END'
<superblock block_size="40" nr_blocks="100" current_era="5">
<writeset era="5" nr_bits="100"><marked block_begin="3" len="2"/><bit block="99" value="true"/></writeset>
<era_array/>
</superblock>
END
truncate -s 256K meta
era_restore -q -i meta.xml -o meta || exit 1
head -c $size /dev/urandom > origin
truncate -s $size zeroes

era_copy --written-since 0 meta origin -o whole
era_copy --written-since 5 meta origin -o part
check "the increment has three blocks" test "$(stat -c %s part)" = $((12 + 10 + 10 + 9 + 2 * 17 + 40960 + 1536 + 1))

# A copy of the whole.
check "into nothing" era_apply -i whole new
check "is the origin" cmp origin new
check "its state" test "$(state new)" = "$(printf 'era_apply 1\nera 6\nsize %s' $size)"
head -c 5000000 /dev/urandom > longer
check "over a longer file" era_apply -i whole longer
check "is the origin, too" cmp origin longer
check "stdin, stdout" sh -c 'era_copy --written-since 0 meta origin | era_apply piped'
check "is the origin once more" cmp origin piped
check "of zeroes" sh -c 'era_copy --written-since 0 meta zeroes | era_apply holes'
check "they are zeroes" cmp zeroes holes
check "as holes" test "$(stat -c %b holes)" -le 8
check "zeroes over data" sh -c 'era_copy --written-since 0 meta zeroes -o - | era_apply -i - piped'
check "are zeroes, too" cmp zeroes piped

# Increments.
cp zeroes target
refused "no state" "starts from era 5, but nothing tells" era_apply -i part target
check "untouched" cmp zeroes target
check "no state made" test ! -e target.era
refused "a wrong --from" "but the target is as of era 4" era_apply --from 4 -i part target
check "--from" era_apply --from 5 -i part target
for n in 0 61440 102400 $((size - 1)); do
	check "byte $n is zero unless it was copied" test "$(cmp -n 1 -i $n origin target >/dev/null && echo same)" = \
		"$([ $n != 61440 ] && [ $n != $((size - 1)) ] || echo same)"
done
check "again" era_apply -i part target
refused "--from with a state" "--from is not for it" era_apply --from 6 -i part target
sed 's/era-5/era-7/; s/era-6/era-9/' part > later
refused "a gap" "leads from era 7 to era 9, but the target is as of era 6" era_apply -i later target
sed 's/era-5/era-3/; s/era-6/era-4/' part > earlier
refused "an old one" "leads from era 3 to era 4" era_apply -i earlier target
head -c 20000 part > short
cp target before
refused "cut" "without an end marker" era_apply -i short target
check "untouched by it" cmp target before
check "state, too" grep -q '^era 6$' target.era
refused "cut in a pipe" "was written in part" sh -c 'cat short | era_apply target'
check "that is known" grep -q '^applying 5 6$' target.era
refused "another one then" "another stream, from era 5 to era 6, was applied in part" era_apply -i later target
check "the same then" era_apply -i part target
check "all is well again" grep -q '^era 6$' target.era
sh -c 'cat short | era_apply -q target' 2>said
check "-q is silent" test ! -s said
check "or the whole" era_apply -i whole target
check "which is the origin" cmp origin target
truncate -s +1 target
refused "a size that does not fit" "has $((size + 1)) bytes" era_apply -i part target
check "the whole makes it fit" era_apply -i whole target
sed "s/^size .*/size 9/" target.era > t; cp t target.era
refused "a device that was resized" "of one of 9: a copy of the whole" era_apply -i part target
echo x > target.era
refused "a state that is none" "does not tell which era" era_apply -i whole target
cp part self
refused "into itself" "is the stream itself" era_apply -i self --from 5 self
check "itself is still there" cmp part self
refused "a directory" "a directory" era_apply -i part --from 5 .
refused "nothing" "cannot be opened" era_apply -i part --from 5 nothing
refused "no stream" "not a stream" era_apply -i meta nothing
check "nothing was made" test ! -e nothing
refused "no input" "missing: cannot be opened" era_apply -i missing nothing
refused "no target" "no target" era_apply -i part
refused "--from nothing" "not an era" era_apply -i part --from 0 target
refused "no room" "cannot be" sh -c 'trap "" XFSZ; ulimit -f 100; era_apply -i whole small'

# era_copy.
check "an era that has not begun" sh -c \
	'era_copy --written-since 4294967295 meta origin -o /dev/null 2>&1 | grep -q "has not begun"'
refused "an origin of another size" "tracks 100 blocks of 20480 bytes" era_copy --written-since 0 meta meta.xml
truncate -s $((100 * 20480 + 1)) wrong
refused "one byte too many" "tracks 100 blocks" era_copy --written-since 0 meta wrong
truncate -s $((99 * 20480)) wrong
refused "a block too few" "tracks 100 blocks" era_copy --written-since 0 meta wrong
refused "an era to come" "is before era 7" era_copy --written-since 7 meta origin
check "the era that comes" era_copy --written-since 6 meta origin
refused "--next too late" "--next 7 is too late" era_copy --written-since 5 --next 7 meta origin
refused "--next too early" "is before era 5" era_copy --written-since 5 --next 4 meta origin
check "--next" era_copy --written-since 4 --next 5 meta origin -o next
check "is in the stream" grep -q 'era-5' next
refused "no snapshot" "no metadata snapshot is held" era_copy --written-since 4 --metadata-snapshot meta origin
refused "the metadata as output" "is the output itself" era_copy --written-since 4 meta origin -o meta
refused "the origin as output" "is the input itself" era_copy --written-since 4 meta origin -o origin
refused "the metadata as origin" "is the origin itself" era_copy --written-since 4 meta meta
refused "one operand" "no origin was given" era_copy --written-since 4 meta
refused "three operands" "too many: more" era_copy --written-since 4 meta origin more
refused "no era" "--written-since is missing" era_copy meta origin
refused "a full disk" "No space left" sh -c 'era_copy --written-since 0 meta origin > /dev/full'
echo old > out
(trap '' XFSZ; ulimit -f 100; era_copy --written-since 0 meta origin -o out 2>/dev/null)
check "a failed copy leaves the old file" test "$(cat out)" = old
check "and nothing else" test -z "$(find . -name ".era*")"
if command -v script >/dev/null; then
	script -qec 'era_copy --written-since 0 meta origin' said >/dev/null </dev/null
	check "no stream to a terminal" grep -q 'not for a terminal' said
fi
sed 's/current_era="5"/current_era="4294967295"/' meta.xml > last.xml
truncate -s 256K last
era_restore -q -i last.xml -o last
refused "after the last era" "no era follows" era_copy --written-since 5 last origin

le64() # NUMBER
{
	local i

	for ((i = 0; i < 64; i += 8)); do
		printf "\\x$(printf %02x $(($1 >> i & 255)))"
	done
}

# Devices.
loop() # FILE
{
	loop=$(losetup -f --show "$1" 2>/dev/null) && loops+=("$loop")
}
cp zeroes copy
if loop origin && from=$loop && loop copy && to=$loop; then
	check "from a device" era_copy --written-since 0 meta "$from" -o from-device
	check "it is the same stream" cmp whole from-device
	refused "a device without --state" "--state has to say" era_apply -i whole "$to"
	check "to a device" era_apply -i whole --state copy-state "$to"
	check "it is the origin" cmp origin copy
	check "an increment" era_apply -i part --state copy-state "$to"
	era_copy --written-since 0 meta zeroes -o none
	check "zeroes to a device" era_apply -i none --state copy-state "$to"
	check "they are there" cmp zeroes copy
	# A stream that is not made of whole sectors: bytes 1 to 5 and the last three.
	{
		printf 'rbd diff v1\nf\5\0\0\0era-6t\5\0\0\0era-7s'
		le64 $size
		printf 'w\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0hello'
		printf w
		le64 $((size - 3))
		printf '\3\0\0\0\0\0\0\0end'
		printf e
	} > odd
	check "odd bytes" era_apply -i odd --state copy-state "$to"
	check "are there" test "$(tr -d '\0' < copy)" = helloend
	exec 9< "$to"
	if command -v python3 >/dev/null; then
		python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL); print("open", flush=True); time.sleep(5)' "$to" > opened &
		busy=$!
		until [ -s opened ]; do sleep 0.05; done
		refused "a busy device" "in use" era_apply -i odd --state copy-state "$to"
		kill $busy
		wait $busy 2>/dev/null
	fi
	exec 9<&-
else
	skips "loop devices cannot be had"
fi

sum_up
