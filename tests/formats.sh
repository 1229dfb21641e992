#!/bin/bash
# SPDX-License-Identifier: MIT
# era_invalidate's formats, as those see them who read them: nbdkit's extentlist filter, a parser and a
# validator of JSON, a shell that runs dmsetup. On a device whose last block is short.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/checks.sh

for tool in nbdkit nbdinfo jq python3; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
python3 -c 'import jsonschema' 2>/dev/null || { echo "python3-jsonschema is not installed"; exit 77; }
PATH=$PWD/build/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
schema=$PWD/era/changed.schema.json
cd "$work" || exit 1

valid() # FILE
{
	python3 - "$schema" "$1" <<'END'
import json, sys, jsonschema
schema, document = (json.load(open(path)) for path in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.Draft7Validator(schema).validate(document)
END
}

# 1001 blocks of 12 KiB, the last of 1536 bytes; the first and the last changed in era 3.
size=$((1000 * 12288 + 1536))
marked()
{
	local block
	for block; do
		echo "<bit block=\"$block\" value=\"true\"/>"
	done
}
cat > meta.xml <<END
<superblock block_size="24" nr_blocks="1001" current_era="3">
<writeset era="3" nr_bits="1001">$(marked 0 1 2 500 1000)</writeset>
<era_array><era block="7" era="2"/></era_array>
</superblock>
END
truncate -s 1M meta
era_restore -q -i meta.xml -o meta || exit 1
truncate -s $size disk

since() # ERA OPTION...
{
	era_invalidate --written-since "$@" meta
}

# What is put out through links lands where they lead, be there something already or not.
mkdir there
ln -s there/ranges direct
ln -s direct chain
ln -s missing/ranges astray
for time in first second; do
	since 3 --format ranges -o chain
	check "through links, the $time time" test -L chain -a -L direct -a -s there/ranges
	rm there/ranges
	[ $time = second ] || : > there/ranges
done
check 'a link into no directory is an error' sh -c \
	'! era_invalidate --written-since 3 -o astray meta 2> said && grep -q "cannot be written" said && test -L astray'

# An era that has not begun: nothing changed since, and nobody can have noted it. The next one may be.
says_of_era() # ERA
{
	since "$1" 2> said > listed && grep -q "era $1 has not begun, the current era is 3" said &&
		! grep -q block= listed
}
check 'an era that has not begun' says_of_era 5
check 'the last of all eras' says_of_era 4294967295
check 'the next era' not says_of_era 4
check 'the current era' not says_of_era 3

# The same extents in each format.
printf '%s\n' '0 36864' '6144000 12288' '12288000 1536' > expected
since 3 --format ranges --device-size $size > ranges
check ranges cmp expected ranges
since 3 --format extentlist --device-size $size > extents
check extentlist cmp expected extents
since 3 --json --device-size $size > json
check "json is valid" valid json
check "json has the same extents" cmp expected <(jq -r '.extents[] | "\(.offset) \(.length)"' json)
check "json has the numbers" jq -e '.version == 1 and .source == "offline" and .block_size == 12288
	and .nr_blocks == 1001 and .device_size == '$size' and .since == 3 and .current_era == 3' json
check "--json is --format json" cmp json <(since 3 --format json --device-size $size)
since 4 --json > empty.json
check "json without extents is valid" valid empty.json
check "it has none" jq -e '.extents == [] and (has("device_size") | not)' empty.json
sed 's/"offset": 0/"offset": 1/' json > spoilt.json
check "the validator sees what is wrong" not valid spoilt.json
sed 's/"since"/"until"/' json > spoilt.json
check "also a name" not valid spoilt.json

# What a client of nbdkit is told.
map() # LIST
{
	nbdkit -U - -r --filter=extentlist file disk extentlist="$1" \
		--run 'nbdinfo --map "$uri"' | awk '{ print $1, $2, $3 }'
}
map extents > map
cat > expected.map <<END
0 36864 0
36864 6107136 3
6144000 12288 0
6156288 6131712 3
12288000 1536 0
END
check "nbdkit's map" cmp expected.map map
since 4 --format extentlist --device-size $size > none
check "nothing changed" test "$(map none)" = "0 $size 3"
since 0 --format extentlist --device-size $size > all
check "everything changed" test "$(map all)" = "0 $size 0"

# Sizes, and their suffixes.
for suffix in '' b; do
	check "size $size$suffix" cmp expected <(since 3 --format ranges --device-size $size$suffix)
done
check "sectors" cmp expected <(since 3 --format ranges --device-size $((size / 512))s)
check "KiB" since 3 --format ranges --device-size 12001k
check "kibibytes in full" since 3 --format ranges --device-size 12001KiB
for bad in 12288000 $((size + 12288)) 0 16E '' x -1 ' 1' 1kb 1iB 1z 99999999999999999999 8E; do
	check "size '$bad' is refused" not since 3 --format ranges --device-size "$bad"
done

# A cache: what it prints is run.
cat > cache.xml <<'END'
<superblock uuid="" block_size="64" nr_cache_blocks="64" policy="smq" hint_width="4">
  <mappings>
    <mapping cache_block="0" origin_block="0" dirty="false"/>
    <mapping cache_block="1" origin_block="1" dirty="false"/>
    <mapping cache_block="2" origin_block="2" dirty="false"/>
    <mapping cache_block="9" origin_block="187" dirty="false"/>
    <mapping cache_block="10" origin_block="188" dirty="false"/>
  </mappings>
  <hints>
  </hints>
</superblock>
END
mkdir bin
printf '#!/bin/sh\nprintf "%%s|" "$@" >> %s/called\necho >> %s/called\n' "$work" "$work" > bin/dmsetup
chmod +x bin/dmsetup
cache() { since 3 --format dmsetup --cache-metadata "$@"; }
cache cache.xml --cache-name 'a\x20b' | PATH=$work/bin:$PATH sh
check "dmsetup is called" test "$(cat called)" = 'message|a\x20b|0|invalidate_cblocks|0-2|9|'
check "stdin" cmp <(cache - --cache-name c < cache.xml) <(cache cache.xml --cache-name c)
sed '/block="10"/s/false/true/' cache.xml > dirty.xml
check "dirty" not cache dirty.xml --cache-name c
cache dirty.xml --cache-name c 2> said
check "dirty is said" grep -q 'dirty.xml: 1 mappings are dirty, the first that of cache block 10' said
check "nothing printed" test -z "$(cache dirty.xml --cache-name c 2>/dev/null)"
check "metadata for a cache" not cache meta.xml --cache-name c
check "no cache" not cache missing.xml --cache-name c
check "a bad name" not cache cache.xml --cache-name "a'b"
check "no name" not cache cache.xml
check "no file" not since 3 --format dmsetup --cache-name c
check "a cache for xml" not since 3 --cache-metadata cache.xml --cache-name c
check "a size for xml" not since 3 --device-size $size
check "a size for dmsetup" not cache cache.xml --cache-name c --device-size $size
check "no such format" not since 3 --format yaml

sum_up
