#!/bin/bash
# SPDX-License-Identifier: MIT
# era_restore as a command: where its input comes from, and where it keeps what that says until all of
# it is known to be good. What it makes of documents is tested by test_bad_xml.c and others.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/build/bin:$PATH
fixture=$PWD/tests/fixtures/clean-undigested/meta.img.gz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$OLDPWD/tests/support/checks.sh"

gzip -dc "$fixture" >meta
era_dump meta >xml
truncate -r meta out
truncate -r meta expected
era_restore -q -i xml -o expected || exit 1
# No line as era_dump lays it out.
sed "s/^ *//; s/=\"\([^\"]*\)\"/='\1'/g" xml >other

# usage: makes NAME COMMAND...: exit status 0, and the metadata expected
makes()
{
	local name=$1

	shift
	rm -f out
	truncate -r meta out
	check "$name" "$@"
	check "$name: the same metadata" cmp expected out
}

makes 'from a file' era_restore -q -i xml -o out
makes 'from a file, of another layout' era_restore -q -i other -o out
makes 'from a pipe' bash -c 'cat xml | era_restore -q -i - -o out'
makes 'from a named pipe' bash -c 'mkfifo pipe; cat other >pipe & era_restore -q -i pipe -o out'
makes 'no temporary file: the input is read twice' env TMPDIR=/nonexistent era_restore -q -i xml -o out
makes 'the same, of another layout' env TMPDIR=/nonexistent era_restore -q -i other -o out
refused 'no temporary file for a pipe' 'standard input: no temporary file can be made: No such file' \
	env TMPDIR=/nonexistent bash -c 'cat xml | era_restore -i - -o out'
check 'a pipe can be validated' bash -c 'cat xml | era_restore -i - --validate'

mkdir full
if mount -t tmpfs -o size=4k,mode=700 none full 2>log; then
	makes 'no room: the input is read twice' env TMPDIR=full era_restore -q -i xml -o out
	cp out before
	refused 'no room for what a pipe says' 'standard input: cannot be kept in a temporary file: No space' \
		env TMPDIR=full bash -c 'cat xml | era_restore -i - -o out'
	check 'and nothing is written' cmp before out
	umount full
else
	skips "a full file system cannot be mounted: $(cat log)"
fi

# Room for the metadata, or for what is kept of the XML, but not for both.
size=$(($(stat -c %b expected) * 512))
if mount -t tmpfs -o size=$((size * 5 / 4)),mode=700 none full 2>log; then
	truncate -r meta full/out
	check 'the output needs the room' env TMPDIR=full era_restore -q -i xml -o full/out
	check 'the output needs the room: the same metadata' cmp expected full/out
	truncate -s 0 full/out
	truncate -r meta full/out
	refused 'the output needs the room, and a pipe cannot be read again' 'full/out: cannot be written: No space' \
		env TMPDIR=full bash -c 'cat xml | era_restore -i - -o full/out'
	umount full
fi

# Bad ends: nothing is written, and nothing of the files is left.
cp out before
head -c 3000 xml >short
mkdir temporary
refused 'half a document' 'line' env TMPDIR=temporary era_restore -i short -o out
refused 'half a document, from a pipe' 'line' env TMPDIR=temporary bash -c 'cat short | era_restore -i - -o out'
check 'nothing is written then' cmp before out
check 'nothing is left behind' rmdir temporary
refused 'the input itself' 'is the input itself' era_restore -i xml -o xml
sum_up
