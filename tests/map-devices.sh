#!/bin/bash
# SPDX-License-Identifier: MIT
# The same on block devices: loop devices, with sectors of 512 and of 4096 bytes. And a server in the
# background.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

on_devices()	# SECTOR_SIZE
{
	rm -f meta.img origin.img
	attach meta.img 8M -b "$1" || return 1
	meta=$loop
	attach origin.img 100M -b "$1" || return 1
	origin=$loop
}

in_use() { du -k origin.img | cut -f1; }

# What is on the device, past the page cache.
stored()	# BYTE
{
	dd if="$origin" bs=4096 count=1 skip=$(($1 / 4096)) iflag=direct 2>/dev/null | head -c 3
}

check_devices()
{
	local many

	check 'served' serve
	check 'their sizes' is '0 204800 era 8 10/2048 1 -' era_map status control
	check 'a write, flushed, is on the device' client 'h.pwrite(b"abc", 65536 * 3)
h.flush()'
	check '- there' is abc stored $((65536 * 3))
	check 'a write through (FUA)' client 'h.pwrite(b"def", 65536 * 5 - 1, nbd.CMD_FLAG_FUA)'
	check '- there' is ef stored $((65536 * 5))
	check 'one that takes 20 MiB' client 'h.pwrite(b"x" * (20 << 20), 65536 * 100)
h.flush()'
	check '- takes them' test "$(in_use)" -gt 20000
	check 'checkpoint' era_map message control checkpoint
	check 'trim' client 'h.trim(20 << 20, 65536 * 100)
h.flush()
assert h.pread(20 << 20, 65536 * 100) == bytes(20 << 20)'
	check '- reaches the device' test "$(in_use)" -lt 1000
	check 'zeroes, with a hole or without' client 'h.pwrite(b"x" * 262144, 65536 * 700)
h.zero(131072, 65536 * 700)
h.zero(131072, 65536 * 702, nbd.CMD_FLAG_NO_HOLE)
try:
    h.zero(131072, 65536 * 702, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)
    assert False, "the kernel writes them: that is not fast"
except nbd.Error as error:
    assert error.errno == "ENOTSUP", error
assert h.pread(262144, 65536 * 700) == bytes(262144)'
	check 'zeroes and trims of no whole sectors' client 'h.pwrite(b"x" * 262144, 65536 * 800)
h.zero(100000, 65536 * 800 + 77)
h.trim(100, 65536 * 803 + 1)
assert h.pread(262144, 65536 * 800)[:100078] == b"x" * 77 + bytes(100000) + b"x"'
	many='<rangebegin="100"end="420"/><rangebegin="700"end="704"/><rangebegin="800"end="804"/>'
	check 'all are recorded' is "<blocks>$many</blocks>" sh -c 'era_map snapshot "$1" -- \
		era_invalidate --metadata-snapshot --written-since 2 "$2" | tr -d "\n "' - control "$meta"
	check 'the live device is not checked without a snapshot' fails_with 'metadata-snapshot' era_check "$meta"
	check 'nor written to' fails_with 'busy\|in use' era_restore -i /dev/null -o "$meta"
	check 'its snapshot is sound' era_map snapshot control -- era_check --metadata-snapshot "$meta"
	check 'it can be dumped' era_map snapshot control -- era_dump --metadata-snapshot -o out "$meta"
	check 'what is not flushed yet is copied as well' client 'h.pwrite(b"y" * 100000, 65536 * 800 + 9)'
	check 'copied' sh -c 'era_map snapshot "$1" -- \
		era_copy -q --metadata-snapshot --written-since 0 "$2" "$3" | era_apply -q "$4"' \
		- control "$meta" "$origin" copy
	check 'the copy is the origin' cmp copy "$origin"
	rm -f copy copy.era
	check 'a second server is refused' not_served 'in use' "$meta" origin2
	check 'for the origin as well' not_served 'in use' meta "$origin"
	stop KILL
	check 'sound after a kill' era_check "$meta"
	check 'nothing lost by it' is "<blocks><rangebegin=\"3\"end=\"6\"/>$many</blocks>" changed 1
	check 'one device for both' not_served 'in use' "$origin" "$origin"
}

# The origin's loop is told of the file's new size, as a logical volume is by lvextend.
check_growth()
{
	truncate -s 200M origin.img
	losetup -c "$origin"
	check 'grown' serve
	now=$(era_map status control | cut -d' ' -f6)
	check 'its size' is '0 409600 era' sh -c 'era_map status "$1" | cut -d" " -f1-3' - control
	check 'a write at the end' client 'h.pwrite(b"end", (200 << 20) - 3)'
	stop TERM
	check 'recorded' is '<blocks><blockblock="3199"/></blocks>' changed "$now"
	truncate -s 1M origin.img
	losetup -c "$origin"
	check 'shrunk' serve
	stop TERM
	check 'sound' era_check "$meta"
	check 'what is cut off is gone' is '<blocks><rangebegin="3"end="6"/></blocks>' changed 1
}

# nbdkit on its own goes into the background: it has to come to its end there, also after it has read
# so much at the start that threads helped.
check_background()
{
	local pid

	truncate -s 20G origin.img
	losetup -c "$origin"
	for ((i = 0; i < 2; i++)); do
		rm -f nbd pid
		check 'in the background' timeout 60 "${serve_command[@]:0:${#serve_command[@]}-2}" nbdkit \
			--unix nbd --pidfile pid "$plugin" metadata="$meta" origin="$origin" block-size=8
		check 'a write' client 'h.pwrite(b"x", 0)'
		pid=$(cat pid)
		kill "$pid"
		check 'comes to its end' timeout 20 tail -f --pid="$pid" /dev/null
		kill -KILL "$pid" 2>/dev/null
		check 'sound' era_check "$meta"
	done
}

truncate -s 1M meta origin2
for sector_size in 512 4096; do
	if on_devices $sector_size; then
		check_devices
		check_growth
	else
		skips "devices of $sector_size byte sectors: $(head -n 1 out)"
	fi
	detach
done
if on_devices 512 && losetup -d "${loops[0]}" && loops=("${loops[1]}") && attach meta.img 256M; then
	meta=$loop
	check_background
else
	skips "devices in the background: $(head -n 1 out)"
fi
detach

sum_up
