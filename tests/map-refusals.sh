#!/bin/bash
# SPDX-License-Identifier: MIT
# What era_map refuses to serve, and what it says then; the last era that there can be.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

# What cannot be served.

make_files
truncate -s 8192 tiny
check 'served at first' serve
stop
check 'another block size' not_served '128 sectors, not 64' meta origin 64
check 'no such origin' not_served 'No such file' meta none
check 'no such metadata' not_served 'No such file' none origin
check 'a directory' not_served 'directory' "$work" origin
check 'one file for both' not_served 'in use' origin origin
echo precious >precious
check 'a file where the socket is to be' fails_with 'in use' \
	"${serve_command[@]}" meta origin 128 --socket precious
check 'a file where the control socket is to be' fails_with 'in use' \
	"${serve_command[@]}" meta origin 128 --socket nbd2 --control precious
check 'and it is still there' is precious cat precious
check 'no block size' fails_with 'BLOCK_SIZE' "${serve_command[@]}" meta origin
check 'an odd block size' fails_with 'multiple of 8' "${serve_command[@]}" meta origin 12
check 'a block size is decimal, whatever it begins with' not_served 'not 136' meta origin 0136
check 'two ways to serve' fails_with 'neither' \
	"${serve_command[@]}" meta origin 128 --socket nbd2 --port 1
check 'options of another verb' fails_with 'serve only' era_map status --port 1 control
check 'no verb' fails_with 'is meant' era_map
check 'an unknown verb' fails_with 'is meant' era_map frobnicate
check 'metadata too small' not_served 'not enough space' tiny origin
cp meta damaged
printf 'x' | dd of=damaged bs=1 seek=300 conv=notrunc 2>/dev/null
cp damaged before
check 'damaged metadata' not_served 'superblock' damaged origin
check 'and left as they are' cmp damaged before

# The last era that there can be: it goes on, and nothing begins anew from 0.

last=4294967295
rm meta origin
truncate -s 1M meta
truncate -s 10M origin
echo "<superblock block_size=\"128\" nr_blocks=\"160\" current_era=\"$((last - 2))\"><era_array/></superblock>" |
	era_restore -i - -o meta
check 'served in the last era but one' serve
check 'the last era begins' era_map message control checkpoint
check 'no other does' fails_with 'no era is left' era_map message control checkpoint
check 'nor by a snapshot' fails_with 'no era is left' era_map message control take_metadata_snap
check 'the metadata are well' sh -c 'era_map status "$1" | grep -q " $2 -$"' - control $last
check 'a write in it' client 'h.pwrite(b"l", 65536 * 9)'
stop TERM
check 'sound in the last era' era_check meta
check 'the write is known' is '<blocks><blockblock="9"/></blocks>' changed $last
check 'they are not served again' not_served 'no era is left' meta origin
check 'and are left as they are' is '<blocks><blockblock="9"/></blocks>' changed $last

sum_up
