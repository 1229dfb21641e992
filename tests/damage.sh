#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tests/damage.sh [--remake] [NAME...]
#
# The corpus of damage: for each tests/damage/NAME/recipe, what era_check says of the damaged metadata,
# what era_repair says and makes of them, and what era_check says of that, must be just what stands in
# tests/damage/NAME/expected. --remake writes that anew, to be looked at.
#
# A recipe names a fixture and how many blocks of it are used, and then either a field (block, offset,
# bytes), which takes all kinds of values, with the checksum as it was and put right; or cases, in the
# words of tests/damage/apply.c. With `hints` (data blocks, and sectors in one) era_repair is run once
# more if it fails.
#
# expected has the cases with the same outcome together. `less` is how many data blocks count as written
# earlier than they were: none, unless nobody can tell that there is damage. `more` is how many count as
# written later.
set -u
cd "$(dirname "$0")/.." || exit 1

root=$PWD
all_work=$(mktemp -d)
trap 'rm -rf "$all_work"' EXIT
remake=
values='zero ones first middle last plus minus random'
[ "${1:-}" = --remake ] && remake=1 && shift

prepare() # FIXTURE BLOCKS
{
	sound=$work/$1-$2
	[ -e "$sound" ] && return
	gzip -dc "$root/tests/fixtures/$1/meta.img.gz" > "$work/whole"
	"$root/build/tests/crop" "$2" < "$work/whole" > "$sound"
}

tell() # COMMAND ARGUMENT...
{
	"$root/build/bin/$1" "${@:2}" > out 2>&1
	status=$?
	echo "$1: $status"
	sed -e 's/^era_[a-z]*: //' -e 's/^/    /' out
}

outcome()
{
	tell era_check image
	rm -f repaired
	truncate -s 8M repaired
	tell era_repair -i image -o repaired
	# shellcheck disable=SC2086 # two numbers
	[ $status -eq 0 ] || [ -z "$hints" ] ||
		tell era_repair -i image -o repaired --nr-blocks ${hints% *} --block-size ${hints#* }
	[ $status -eq 0 ] || return
	tell era_check repaired
	"$root/build/tests/compare" "$sound" repaired
}

try() # TITLE WORD...
{
	cp "$sound" image
	"$root/build/tests/apply" image "${@:2}" || exit 1
	cmp -s "$sound" image && return
	printf '%s\t%s\n' "$1" "$(outcome | tr '\n' '\1')" >> outcomes
}

run_recipe()
{
	local word rest value

	hints=
	: > outcomes
	while read -r word rest; do
		# shellcheck disable=SC2086 # words
		case $word in
		fixture) prepare $rest ;;
		hints) hints=$rest ;;
		case) try "${rest%%: *}" ${rest#*: } ;;
		field)
			for value in $values; do
				[[ $value == [mpo]* ]] || try "$value" set $rest $value
				try "$value, sealed" set $rest $value seal ${rest%% *}
			done
			;;
		esac
	done
	# The cases with the same outcome together, in the order of the first of them.
	awk -F '\t' '
		!($2 in titles) { order[++nr] = $2; titles[$2] = $1; next }
		{ titles[$2] = titles[$2] "; " $1 }
		END { for (i = 1; i <= nr; i++) printf "== %s\n%s\n", titles[order[i]], order[i] }
	' outcomes | tr '\1' '\n'
}

names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(cd tests/damage && ls -d -- */)

# Every second of them, from the first or the second on.
run_half() # FIRST
{
	local i name passed=0 failed=0

	work=$all_work/$1
	mkdir -p "$work/here" && cd "$work/here" || exit 1
	for ((i = $1; i < ${#names[@]}; i += 2)); do
		name=${names[i]%/}
		# With sanitizers all is slow: a part must do then.
		[ -n "${ERA_SANITIZED:-}" ] && [ $((i % 8)) -gt 1 ] && continue
		run_recipe < "$root/tests/damage/$name/recipe" > result
		if [ -n "$remake" ]; then
			cp result "$root/tests/damage/$name/expected"
		elif diff "$root/tests/damage/$name/expected" result > difference; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			echo "tests/damage/$name:"
			head -n 40 difference
		fi
	done
	echo "$passed $failed" > "$work/sum"
}

run_half 0 &
run_half 1 &
wait
passed=0 failed=0
for half in 0 1; do
	read -r good bad < "$all_work/$half/sum" || exit 1
	passed=$((passed + good)) failed=$((failed + bad))
done
[ -n "$remake" ] || echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
