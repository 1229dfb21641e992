#!/bin/bash
# SPDX-License-Identifier: MIT
# The guides' commands, word for word, as far as they need no target: on files that stand for devices.
# Commands that belong to others (lvcreate, systemctl, journalctl, dmsetup status) only say what they were
# called with. Backups and caches are tests/kernel/check-guides' and check-cache's; and every block of
# every guide has to be in one of these three.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/checks.sh

top=$PWD
PATH=$PWD/build/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/vg" "$work/backup"
for command in lvcreate systemctl journalctl dmsetup cache_dump; do
	printf '#!/bin/sh\necho "%s $*" | tee -a %s/called\n' $command "$work" > "$work/bin/$command"
done
chmod +x "$work"/bin/*
PATH=$work/bin:$PATH
cd "$work" || exit 1

# GUIDE NAME: with files instead of devices
block()
{
	local guide=$top/doc/$1

	[ "$1" != README.md ] || guide=$top/README.md
	"$top/tests/doc-blocks" "$guide" "$2" | sed "/systemd-escape/!s|/tmp/|$work/|g; /systemd-escape/!s|/dev/vg/|$work/vg/|g; s|/dev/mapper/|$work/vg/|g; s|/backup/|$work/backup/|g"
}

# GUIDE NAME: runs it; out has what it printed
run()
{
	block "$@" > script && (set -e -o pipefail; . ./script) > out 2>&1
}

image() # FIXTURE FILE
{
	gzip -dc "$top/tests/fixtures/$1/meta.img.gz" > "$2"
}

# metadata-size.md
check "size" run metadata-size.md size
check "what it prints is in the guide" diff <(sed 's/^/    /' out) \
	<(sed -n '/^    era_metadata_size - /,/^$/p' "$top/doc/metadata-size.md" | sed '/^$/d')
image snap-live vg/meta
check "create" run metadata-size.md create
check "lvcreate's size is what is needed" grep -q "^lvcreate -n meta -L [0-9.]*k vg$" called
check "what is wiped is not sound" not era_check -q vg/meta
check "sizes" run metadata-size.md sizes
check "are five, and fall" sh -c 'test $(wc -l < out) -eq 5 && sort -c -g -r out'
check "look" run metadata-size.md look
image snap-live vg/meta
truncate -s 16M vg/larger
check "move" run metadata-size.md move
check "says the same" cmp <(era_dump --logical vg/meta) <(era_dump --logical vg/larger)

# damaged-metadata.md
check "sound" run damaged-metadata.md check
# A wrong hint of how many blocks are free, with the checksum put right; and a spoilt block of eras.
cat > spoil.py <<'END'
import struct, sys
how, path = sys.argv[1:]
image = bytearray(open(path, "rb").read())
def number(offset):
    return struct.unpack_from("<Q", image, offset)[0]
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc
if how == "hint":
    index = number(60) * 4096
    image[index + 24] ^= 1
    struct.pack_into("<I", image, index, crc32c(image[index + 4:index + 4096]) ^ 160478)
else:
    block = number(number(208) * 4096 + 32 + 252 * 8)
    image[block * 4096 + 100] ^= 1
open(path, "wb").write(image)
END
python3 spoil.py hint vg/meta
check "a wrong hint is found" not run damaged-metadata.md check
check "and is not fatal" run damaged-metadata.md non-fatal
image snap-live vg/meta
python3 spoil.py eras vg/meta
check "damage is found" not run damaged-metadata.md check
truncate -s 8M vg/repaired
cp vg/meta before
check "repair" run damaged-metadata.md repair
check "the damaged one stays as it was" cmp vg/meta before
check "look" run damaged-metadata.md look
check "use" run damaged-metadata.md use
check "is sound" era_check -q vg/meta
image snap-live lost.img
dd if=/dev/zero of=lost.img bs=4096 count=1 conv=notrunc status=none
check "superblock" run damaged-metadata.md superblock
image snap-live sound
blocks() # ERA FILE: one a line
{
	era_invalidate --written-since "$1" --format ranges "$2" |
		awk '{ for (at = $1; at < $1 + $2; at += 65536) printf "%d\n", at }' | sort
}
for since in 1 5 8; do
	check "since era $since there are blocks" test "$(blocks $since sound | wc -l)" -gt 0
	check "and none is left out" test -z "$(comm -23 <(blocks $since sound) <(blocks $since vg/repaired))"
done
check "anew" run damaged-metadata.md anew
check "is unformatted" not era_check -q vg/meta

# backup-vm.md, the part that needs no machine
if command -v nbdkit >/dev/null && command -v nbdinfo >/dev/null; then
	image snap-live vg/meta
	truncate -s 512M vg/vol
	era_invalidate --written-since 7 --format extentlist --device-size 512M -o extents vg/meta
	check "nbd" run backup-vm.md nbd
	check "shows what changed" grep -qE '^ *2621440 +65536 +0' out
else
	skips "nbdkit and nbdinfo are not installed"
fi

# check-at-boot.md
unit=era-check@dev-vg-meta.service
if command -v systemd-escape >/dev/null; then
	check "escape" run check-at-boot.md escape
	check "is the unit's name" test "$(cat out)" = $unit
else
	skips "systemd-escape is not installed"
fi
check "enable" run check-at-boot.md enable
check "journal" run check-at-boot.md journal
check "again" run check-at-boot.md again
if command -v systemd-analyze >/dev/null; then
	mkdir units
	sed "s|@SBINDIR@|$top/build/bin|" "$top/systemd/era-check@.service.in" > units/era-check@.service
	awk '/^```ini/ { inside = 1; next } /^```/ { inside = 0 } inside' "$top/doc/check-at-boot.md" |
		sed "s|/usr/sbin/dmsetup|$work/bin/dmsetup|" > units/era-vol.service
	for u in $unit era-vol.service; do
		SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/${u/@*/@dev-vg-meta.service}" \
			> verified 2>&1
		check "systemd takes $u: $(head -n 2 verified)" test ! -s verified
	done
	sed 's/^ExecStart=.*/ExecStart=nowhere/' units/era-check@.service > units/era-bad@.service
	SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/era-bad@x.service" > verified 2>&1
	check "and would not take just anything" test -s verified
else
	skips "systemd-analyze is not installed"
fi
# What the unit runs, on a sound and on a damaged device.
exec_start=$(sed -n 's/^ExecStart=//p' "$top/systemd/era-check@.service.in" | sed "s|@SBINDIR@|$top/build/bin|")
image snap-live vg/meta
check "the unit passes what is sound" ${exec_start/\%f/vg/meta}
check "and not what is damaged" not ${exec_start/\%f/before}

# README.md
image snap-live vg/meta
truncate -s 512M vg/data
head -c 1000000 /dev/urandom | dd of=vg/data bs=64K seek=40 conv=notrunc iflag=fullblock status=none
check "whole" run README.md whole
check "is the origin" cmp vg/data backup/vol.img
printf changed | dd of=vg/data bs=64K seek=500 conv=notrunc status=none
check "nothing since" run README.md increment
check "is known to have nothing" not cmp -s vg/data backup/vol.img
era_copy --written-since 8 vg/meta vg/data | era_apply --from 8 --state other backup/vol.img
check "since the crash" cmp vg/data backup/vol.img
{
	echo '<superblock uuid="" block_size="128" nr_cache_blocks="11" policy="smq" hint_width="4"><mappings>'
	for mapping in 0:50 1:7 2:301 5:310 6:309 9:500 10:30; do
		echo "<mapping cache_block=\"${mapping%:*}\" origin_block=\"${mapping#*:}\" dirty=\"false\"/>"
	done
	echo '</mappings></superblock>'
} > cache.xml
export next=7
check "forget" run README.md forget
check "what it prints is in README.md" grep -qxF "    $(cat forget)" "$top/README.md"
check "and is run" grep -qxF "$(cat forget)" called

# README.md: a virtual machine's disk, served by era_map, written to by an NBD client. Few file systems have
# reflinks.
if [ -z "${ERA_SANITIZED:-}" ] && command -v nbdsh >/dev/null &&
	[ -e "$top/build/lib/nbdkit/plugins/nbdkit-era-plugin.so" ]; then
	client() # PYTHON
	{
		PATH=/usr/bin:$PATH timeout 60 nbdsh -u "nbd+unix:///?socket=$work/vm.nbd" -c "$1"
	}
	run_map() # NAME
	{
		block README.md "$1" | sed 's/--reflink=always/--reflink=auto/' > script &&
			(set -e -o pipefail; . ./script; echo "$next" > next) > out 2>&1
	}
	head -c $((300 * 65536 + 512)) /dev/urandom > vm.img
	block README.md serve > script
	. ./script
	server=$!
	trap 'kill $server; wait $server 2>/dev/null; rm -rf "$work"' EXIT
	for ((i = 0; i < 200; i++)); do
		[ ! -S vm.nbd ] || [ ! -S vm.ctl ] || break
		sleep 0.05
	done
	for n in 1 2 3; do
		check "write $n" client "h.pwrite(b'$n' * 200000, $n * 3000000); h.pwrite(b'$n' * 512, 300 * 65536)"
		check "freeze $n" run_map freeze
		next=$(cat next)
		cp vm.img expected
		check "write on $n" client "h.pwrite(bytes(70000), $n * 1000)"
		check "copy $n" run_map copy
		check "it is the disk as it was frozen, $n" cmp expected backup/vm.img
	done
else
	skips "era_map's plugin is not built, or cannot be run here"
fi

# Every block is run by one of the scripts.
for guide in "$top"/README.md "$top"/doc/*.md; do
	name=${guide##*/}
	for b in $(sed -n 's/^```sh *//p' "$guide"); do
		check "$name: block $b is run" grep -qE "($name|doc-blocks\" \"\\\$guide\").* $b( |\$|\))|run(_map)? $name $b|run_map $b|block $name $b" \
			"$top/tests/guides.sh" "$top/tests/kernel/check-guides" "$top/tests/kernel/check-cache"
	done
	check "$name: every block has a name" not grep -qE '^```sh *$' "$guide"
done
sum_up
