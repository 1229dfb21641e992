#!/bin/bash
# SPDX-License-Identifier: MIT
# The schema and era_restore's reader must agree on every document that breaks no rule between its
# numbers: both take it, or both refuse it. And the schema takes every dump of the fixtures.
set -u
cd "$(dirname "$0")/.." || exit 1

command -v xmllint >/dev/null || { echo "xmllint is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
truncate -s 1M "$work/device"
passed=0 failed=0

schema_takes() { xmllint --stream --noout --relaxng era/era.rng "$1" >/dev/null 2>&1; }
reader_takes() { build/bin/era_restore -q -i "$1" -o "$work/device" >/dev/null 2>&1; }
validated()    { build/bin/era_restore -q -i "$1" --validate >/dev/null 2>&1; }

# usage: expect {yes|no} FILE NAME: whether all of them take it
expect()
{
	local command answer bad=

	for command in schema_takes reader_takes validated; do
		answer=no
		! $command "$2" || answer=yes
		[ $answer = "$1" ] || bad+=" $command: $answer"
	done
	if [ -z "$bad" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "should be $1, but$bad: $3"
	fi
}

try() # {yes|no} XML
{
	printf '%s\n' "$2" > "$work/xml"
	expect "$1" "$work/xml" "$2"
}

# Documents around one part that is under test.
top()      { try "$1" "<superblock $2><era_array/></superblock>"; }
inside()   { try "$1" "<superblock block_size=\"8\" nr_blocks=\"9\" current_era=\"9\">$2</superblock>"; }
writeset() { inside "$1" "<writeset era=\"1\" nr_bits=\"9\">$2</writeset><era_array/>"; }
eras()     { inside "$1" "<era_array>$2</era_array>"; }

# Attributes of the superblock.
rest='block_size="8" nr_blocks="9" current_era="9"'
top yes "$rest"
top yes "uuid=\"\" $rest"
top yes "uuid=\"0123456789abcdef\" $rest"
top no "uuid=\"0123456789abcdefg\" $rest"
top no "$rest version=\"1\""
top no "$rest xmlns=\"urn:x\""
top no 'nr_blocks="9" current_era="9"'
top no 'block_size="8" current_era="9"'
top no 'block_size="8" nr_blocks="9"'
for size in 8 08 16 24 96 104 128 136 192 200 1000 2048 2097152 4294967288; do
	top yes "block_size=\"$size\" nr_blocks=\"9\" current_era=\"9\""
done
for size in 0 00 1 4 7 9 12 20 100 108 196 1004 2047 4294967295 4294967296 4294967304 '' ' 8' '8 ' +8 -8 8.0 0x8; do
	top no "block_size=\"$size\" nr_blocks=\"9\" current_era=\"9\""
done

# Numbers: decimal digits within their limits.
for number in 2147483648 4294967296 18446744073709551617 '' ' 1' '1 ' +1 -1 1e3 0x1 1.0 '&#9;1' '１'; do
	top no "block_size=\"8\" nr_blocks=\"$number\" current_era=\"9\""
	inside no "<writeset era=\"1\" nr_bits=\"$number\"/><era_array/>"
	writeset no "<bit block=\"$number\" value=\"true\"/>"
	writeset no "<marked block_begin=\"$number\" len=\"1\"/>"
	writeset no "<marked block_begin=\"0\" len=\"$number\"/>"
	eras no "<era block=\"$number\" era=\"1\"/>"
done
for number in 4294967296 '' ' 1' '1 ' +1 -1; do
	top no "block_size=\"8\" nr_blocks=\"9\" current_era=\"$number\""
	inside no "<writeset era=\"$number\" nr_bits=\"1\"/><era_array/>"
	eras no "<era block=\"1\" era=\"$number\"/>"
done
top yes 'block_size="8" nr_blocks="9" current_era="4294967295"'
top yes 'block_size="8" nr_blocks="0009" current_era="0"'
eras yes '<era block="&#49;" era="09"/>'

# Elements: which, where, in which order.
inside no ''
inside yes '<!-- none --> <era_array> </era_array>'
inside yes '<writeset era="1" nr_bits="0"/><writeset nr_bits="9" era="2"/><era_array/>'
inside no '<era_array/><era_array/>'
inside no '<era_array/><writeset era="1" nr_bits="0"/>'
inside no '<writeset era="1"/><era_array/>'
inside no '<writeset nr_bits="1"/><era_array/>'
inside no '<writeset era="1" nr_bits="1" x=""/><era_array/>'
inside no '<era_array x=""/>'
inside no '<other/><era_array/>'
inside no 'text<era_array/>'
inside no '<era_array/><bit block="1" value="true"/>'
inside no '<era block="1" era="1"/><era_array/>'
inside no '<superblock/><era_array/>'
writeset yes '<bit block="1" value="true"/><bit value="false" block="2"></bit><marked len="2" block_begin="3"> </marked>'
writeset no '<bit block="1"/>'
writeset no '<bit value="true"/>'
writeset no '<bit block="1" value="True"/>'
writeset no '<bit block="1" value=" true"/>'
writeset no '<bit block="1" value="1"/>'
writeset no '<bit block="1" value="true" x=""/>'
writeset no '<bit block="1" value="true">text</bit>'
writeset no '<bit block="1" value="true"><bit block="2" value="true"/></bit>'
writeset no '<marked block_begin="1" len="2"><bit block="5" value="true"/></marked>'
writeset no '<marked block_begin="1"/>'
writeset no '<marked len="1"/>'
writeset no '<marked block_begin="1" len="0"/>'
writeset no '<era block="1" era="1"/>'
writeset no '<writeset era="2" nr_bits="1"/>'
writeset no 'text'
eras yes '<era era="1" block="1"/><era block="3" era="0"/>'
eras no '<era block="1"/>'
eras no '<era era="1"/>'
eras no '<era block="1" era="1" x=""/>'
eras no '<era block="1" era="1"><era block="2" era="1"/></era>'
eras no '<bit block="1" value="true"/>'
eras no 'text'
try no '<era_array/>'
try no '<blocks></blocks>'
try yes "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- x --><superblock $rest><era_array/></superblock><!-- y -->"

# What era_dump prints. The two largest fixtures, with dumps of up to 43 GB, say nothing new here.
truncate -s 16M "$work/device"
for image in tests/fixtures/*/meta.img.?z; do
	name=$(basename "$(dirname "$image")")
	case $name in
	many-writesets | crash-undigested) continue ;;
	esac
	gzip -dc "$image" > "$work/image"
	for how in '' --compact --logical '--logical --compact'; do
		# shellcheck disable=SC2086 # options are words
		build/bin/era_dump $how -o "$work/xml" "$work/image" || : > "$work/xml"
		expect yes "$work/xml" "era_dump $how of $name"
	done
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
