#!/bin/bash
# SPDX-License-Identifier: MIT
# The commands against those of thin-provisioning-tools 0.9.0, on metadata that a kernel wrote and on
# some that was made to be awkward. What 0.9.0 is known to do wrong is listed in `known`; there it must
# give exactly the wrong answer that it is listed for, and anywhere else the right one. So neither a
# new difference nor an entry that is out of date goes unseen. ERA_PEER: where the other commands are.
set -u
cd "$(dirname "$0")/.." || exit 1

peer=${ERA_PEER:-/usr/sbin}
bin=$PWD/build/bin
for command in era_check era_dump era_restore era_invalidate; do
	if ! [ -x "$peer/$command" ]; then
		echo "the $command of thin-provisioning-tools is not there"
		exit 77
	fi
done
if [ "$("$peer/era_check" --version)" != 0.9.0 ]; then
	echo "thin-provisioning-tools is $("$peer/era_check" --version), not 0.9.0"
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
had='|'

# Image, operation, and what 0.9.0 does wrong there; wrong_answer() knows what comes of it.
known=$(cat <<'END'
crash dump leaves the current writeset out
crash logical leaves the current writeset out
crash invalidate leaves the current writeset out
crash-snap dump leaves the current writeset out
crash-snap logical leaves the current writeset out
crash-snap invalidate leaves the current writeset out
crash-snap invalidate-snapshot reads the live trees
crash-undigested dump leaves the current writeset out
crash-undigested logical leaves the current writeset out
crash-undigested invalidate leaves the current writeset out
many-writesets logical leaves the current writeset out
many-writesets invalidate leaves the current writeset out
resize-grow dump leaves the current writeset out
resize-grow logical leaves the current writeset out
resize-grow invalidate leaves the current writeset out
snap-live dump leaves the current writeset out
snap-live logical leaves the current writeset out
snap-live invalidate leaves the current writeset out
snap-live invalidate-snapshot reads the live trees
snapdrop-2-with dump leaves the current writeset out
snapdrop-2-with logical leaves the current writeset out
snapdrop-2-with invalidate leaves the current writeset out
snapdrop-2-with invalidate-snapshot reads the live trees
fresh check calls metadata broken that was never resumed
fresh dump calls metadata broken that was never resumed
fresh logical calls metadata broken that was never resumed
again logical takes the oldest era of a block
shrunk invalidate lists blocks past the end
damaged-map check ignores the space map
damaged-writeset check ignores the current writeset
damaged-node check aborts on a damaged node
END
)
# 0.9.0 takes minutes for these, and its dumps are of gigabytes.
too_slow='many-writesets dump|many-writesets restore|crash-undigested restore'

# --- images ---

unpack() # FIXTURE
{
	if [ -f "tests/fixtures/$1/meta.img.xz" ]; then
		xz -dc "tests/fixtures/$1/meta.img.xz" >"$work/$1"
	else
		gzip -dc "tests/fixtures/$1/meta.img.gz" >"$work/$1"
	fi
}

restore_to() # IMAGE BYTES: from standard input
{
	rm -f "$work/$1"
	truncate -s "$2" "$work/$1"
	"$bin/era_restore" -q -i - -o "$work/$1"
}

field() # IMAGE OFFSET: of the superblock, eight bytes
{
	od -A n -t u8 -j "$2" -N 8 "$work/$1" | tr -d ' '
}

current_era() # IMAGE
{
	"$bin/era_dump" --compact "$work/$1" | sed -n '1s/.*current_era="\([0-9]*\)".*/\1/p;1q'
}

# The same metadata without its current writeset, if it has one.
without_current() # IMAGE RESULT
{
	local drop='$q'

	[ "$(field "$1" 192)" = 0 ] || drop="/<writeset era=\"$(current_era "$1")\"/,/<\/writeset>/d"
	"$bin/era_dump" --compact "$work/$1" | sed "$drop" |
		restore_to "$2" "$(stat -c %s "$work/$1")"
}

# --- what is compared ---

run_check() # DIRECTORY IMAGE: exit statuses alone, for what is printed differs by design
{
	# The shell would tell of one that aborts.
	{ "$1/era_check" -q "$work/$2"; } >/dev/null 2>&1
	echo $?
}

run_dump() # DIRECTORY IMAGE OPTION...
{
	"$1/era_dump" "${@:3}" "$work/$2" 2>/dev/null || echo "exit status $?"
}

# 0.9.0 has spaces round the second equals sign.
run_invalidate() # DIRECTORY IMAGE OPTION...
{
	local since

	for since in $eras; do
		"$1/era_invalidate" "${@:3}" --written-since "$since" "$work/$2" 2>/dev/null ||
			echo "exit status $?"
	done | sed 's/ end = / end=/'
}

run() # DIRECTORY IMAGE OPERATION
{
	case $3 in
	check) run_check "$1" "$2" ;;
	dump) run_dump "$1" "$2" ;;
	logical) run_dump "$1" "$2" --logical ;;
	invalidate) run_invalidate "$1" "$2" ;;
	invalidate-snapshot) run_invalidate "$1" "$2" --metadata-snapshot ;;
	esac
}

wrong_answer() # IMAGE OPERATION ERROR: what 0.9.0 makes of it
{
	case $3 in
	'leaves the current writeset out') run "$bin" seen "$2" ;;
	'reads the live trees') run "$bin" seen invalidate ;;
	'calls metadata broken that was never resumed')
		[ "$2" = check ] && echo 1 && return
		run "$bin" "$1" "$2" | head -n 2
		echo 'exit status 1'
		;;
	'takes the oldest era of a block')
		run "$bin" "$1" "$2" | sed 's/block="2" era="7"/block="2" era="5"/'
		;;
	'lists blocks past the end')
		"$bin/era_dump" "$work/$1" | sed 's/nr_blocks="10"/nr_blocks="16"/' |
			restore_to longer 1M
		run "$bin" longer "$2"
		;;
	ignores*) echo 0 ;;
	aborts*) echo 134 ;;
	esac
}

# --- verdicts ---

tell() # passed|failed TEXT
{
	echo "$2"
	[ "$1" = failed ] && failed=$((failed + 1)) || passed=$((passed + 1))
}

compare() # IMAGE OPERATION
{
	local why

	if [[ "|$too_slow|" == *"|$1 $2|"* ]]; then
		echo "$1: $2: left out, 0.9.0 takes minutes"
		return
	fi
	why=$(sed -n "s/^$1 $2 //p" <<<"$known")
	had+="$1 $2|"
	run "$bin" "$1" "$2" >"$work/ours"
	run "$peer" "$1" "$2" >"$work/theirs"
	if [ -z "$why" ]; then
		cmp -s "$work/ours" "$work/theirs" && passed=$((passed + 1)) && return
		tell failed "$1: $2: the two differ"
	elif cmp -s "$work/ours" "$work/theirs"; then
		tell failed "$1: $2: both agree, though 0.9.0 is listed for this: $why"
	elif wrong_answer "$1" "$2" "$why" | cmp -s - "$work/theirs"; then
		tell passed "$1: $2: 0.9.0 $why, as known"
	else
		tell failed "$1: $2: 0.9.0 $why, as known, but that does not explain its answer"
	fi
}

# What one dumps and either restores, both dump again as it was, and both find sound.
compare_restores() # IMAGE
{
	local restorer reader size

	[[ "|$too_slow|" != *"|$1 restore|"* ]] ||
		{ echo "$1: restore: left out, 0.9.0 takes minutes"; return; }
	size=$(stat -c %s "$work/$1")
	"$bin/era_dump" "$work/$1" >"$work/ours" || tell failed "$1: restore: no dump"
	for restorer in "$bin" "$peer"; do
		rm -f "$work/restored"
		truncate -s "$size" "$work/restored"
		"$restorer/era_restore" -i "$work/ours" -o "$work/restored" >/dev/null 2>&1 ||
			tell failed "$1: restore: $restorer does not"
		for reader in "$bin" "$peer"; do
			if ! "$reader/era_dump" "$work/restored" | cmp -s - "$work/ours"; then
				tell failed "$1: restore: $reader dumps what $restorer restored differently"
			elif ! "$reader/era_check" "$work/restored" >"$work/said" 2>&1; then
				tell failed "$1: restore: $reader minds what $restorer restored: $(head -n 1 "$work/said")"
			else
				passed=$((passed + 1))
			fi
		done
	done
}

compare_all() # IMAGE
{
	local last operation

	last=$(current_era "$1")
	eras=$(seq -s ' ' 0 $((last + 1)))
	[ "$last" -lt 20 ] || eras="0 1 $((last / 2)) $((last - 1)) $last $((last + 1))"
	without_current "$1" seen
	for operation in check dump logical invalidate; do
		compare "$1" $operation
	done
	[ "$(field "$1" 216)" = 0 ] || compare "$1" invalidate-snapshot
	# 0.9.0 cannot dump this.
	[ "$1" = fresh ] || compare_restores "$1"
}

# --- all of it ---

for directory in tests/fixtures/*/; do
	name=$(basename "$directory")
	unpack "$name"
	compare_all "$name"
	[ "$name" = crash ] || rm "$work/$name"
done

# Block 2 was written in two eras whose writesets are both left.
restore_to again 1M <<'END'
<superblock uuid="" block_size="8" nr_blocks="10" current_era="9">
  <writeset era="5" nr_bits="10"><marked block_begin="1" len="2"/></writeset>
  <writeset era="7" nr_bits="10"><marked block_begin="2" len="3"/></writeset>
  <era_array><era block="1" era="6"/><era block="4" era="3"/><era block="6" era="6"/></era_array>
</superblock>
END
compare_all again

# Bits for blocks that are gone. (That era 0 means all blocks plays no part here.)
restore_to shrunk 1M <<'END'
<superblock uuid="" block_size="8" nr_blocks="10" current_era="9">
  <writeset era="5" nr_bits="16"><marked block_begin="8" len="3"/><marked block_begin="12" len="2"/></writeset>
  <era_array><era block="1" era="6"/></era_array>
</superblock>
END
eras='1 5 6'
compare shrunk invalidate
compare shrunk logical
compare_restores shrunk

# Random metadata, the same every time, in devices of all sizes.
random_xml() # SEED
{
	awk -v seed="$1" '
	function below(n) { return int(rand() * n) }
	BEGIN {
		srand(seed)
		nr_blocks = below(seed % 3 ? 3000 : 40000)
		current = 2 + below(40)
		printf "<superblock block_size=\"%d\" nr_blocks=\"%d\" current_era=\"%d\">",
			8 * (1 + below(100)), nr_blocks, current
		taken = 0
		for (era = 1 + below(3); era <= current; era += 1 + below(12)) {
			printf "<writeset era=\"%d\" nr_bits=\"%d\">", era, nr_blocks
			# A block is in one writeset only: see the error with --logical.
			for (; taken < nr_blocks && below(30); taken += 1 + below(50))
				printf "<bit block=\"%d\" value=\"true\"/>", taken
			print "</writeset>"
		}
		print "<era_array>"
		for (block = below(9); block < nr_blocks; block += 1 + below(20))
			printf "<era block=\"%d\" era=\"%d\"/>\n", block, below(current + 1)
		print "</era_array></superblock>"
	}'
}

for seed in {1..12}; do
	if random_xml "$seed" | restore_to "random-$seed" 2M; then
		compare_all "random-$seed"
	else
		tell failed "random-$seed: not restored"
	fi
	rm "$work/random-$seed"
done

# Damage, and the exit status of era_check. Of the superblock: the space map's root, the current
# writeset's, the era array's.
spoil() # NAME BLOCK: a copy of the crash fixture with that block overwritten
{
	cp "$work/crash" "$work/$1"
	printf 'spoilt' | dd of="$work/$1" bs=1 seek=$(($2 * 4096 + 100)) conv=notrunc status=none
	compare "$1" check
	rm "$work/$1"
}

spoil damaged-map "$(field crash 60)"
spoil damaged-writeset "$(field crash 192)"
spoil damaged-node "$(field crash 208)"

# One superblock in front of the trees of another, whose array is shorter, or longer.
for nr in 100 110; do
	restore_to array-$nr 64K <<<"<superblock block_size='8' nr_blocks='$nr' current_era='1'><era_array/></superblock>"
done
cp "$work/array-110" "$work/short-array"
dd if="$work/array-100" of="$work/short-array" bs=4096 skip=1 seek=1 conv=notrunc status=none
compare short-array check
cp "$work/array-100" "$work/long-array"
dd if="$work/array-110" of="$work/long-array" bs=4096 skip=1 seek=1 conv=notrunc status=none
compare long-array check

# What is listed must have had its turn.
while read -r image operation why; do
	[[ "$had" == *"|$image $operation|"* ]] ||
		tell failed "$image: $operation: never compared, though listed: $why"
done <<<"$known"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
