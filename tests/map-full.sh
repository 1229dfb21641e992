#!/bin/bash
# SPDX-License-Identifier: MIT
# Metadata for which there is no room, or a file system without any, and disks that fail: the write fails
# and says why, the rest goes on, and nothing is lost.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

# Full: the write fails and says why, the rest goes on.

truncate -s 256K meta
truncate -s 300G origin
check 'too small for that origin' not_served 'no era can be begun' meta origin

rm meta origin
truncate -s 512K meta
truncate -s 4G origin
check 'served with little room' serve
check 'a write' client 'h.pwrite(b"a", 0)'
check 'a snapshot that is held, so that digestion makes no room' \
	era_map message control take_metadata_snap
fill()
{
	for ((i = 0; i < 100; i++)); do
		client "h.pwrite(b'b', $i * 650 * 65536)" || return 1
		era_map message control checkpoint || return 1
	done
}
check 'full' fails_with 'not enough space' fill
check 'the status shows it' sh -c 'era_map status "$1" | grep -q " no_space$"' - control
check 'the snapshot is there' era_check --metadata-snapshot meta
check 'it is dropped for room' era_map message control drop_metadata_snap
check 'an era can be begun again' era_map message control checkpoint
check 'all is well again' sh -c 'era_map status "$1" | grep -q " -$"' - control
check 'a write again' client 'h.pwrite(b"c", 65536 * 60000)'
stop KILL
check 'sound all the same' era_check meta
check 'and nothing lost' sh -c 'era_invalidate --written-since 1 "$1" | grep -q "block=\"0\"" &&
	era_invalidate --written-since 1 "$1" | grep -q "block=\"60000\""' - meta

# So full that no era can be begun while the snapshot is held that nobody can drop: metadata are made
# anew, larger and without it.

check 'served once more' serve
check 'a snapshot is taken again' era_map message control take_metadata_snap
check 'full again' fails_with 'not enough space' fill
stop KILL
cp meta full
end_of_room() { for ((i = 0; i < 30; i++)); do serve || return 0; stop KILL; done >said; return 1; }
check 'no era can be begun in the end' end_of_room
stop
check 'nothing lost yet' sh -c 'era_dump --logical "$1" | tail -n +2 >"$3" &&
	era_dump --logical "$2" | tail -n +2 | cmp - "$3"' - full meta eras
truncate -s 2M larger
check 'a larger device' sh -c 'era_dump "$1" | era_restore -q -i - -o "$2"' - meta larger
mv larger meta
check 'is served' serve
stop TERM
check 'with all that was recorded' sh -c 'era_dump --logical "$1" | tail -n +2 | cmp - "$2"' \
	- meta eras

# A sparse file of metadata, on a file system that is full.

check_full_file_system()
{
	meta=mounted/meta
	truncate -s 4M "$meta"
	truncate -s 4G "$origin"
	check 'served on a small file system' serve
	check 'a snapshot that is held' era_map message control take_metadata_snap
	# A checkpoint or a write, whichever comes to it first.
	check 'full' fails_with 'input/output error\|No space left' fill
	check 'the status shows it' sh -c 'era_map status "$1" | grep -q " error$"' - control
	mount -o remount,size=8m mounted
	check 'room is made' era_map message control checkpoint
	check 'a write' client 'h.pwrite(b"f", 65536 * 65535)'
	check 'all is well again' sh -c '! era_map status "$1" | grep -q error' - control
	stop KILL
	check 'sound' era_check "$meta"
	check 'the first and the last write are there' sh -c 'era_invalidate --written-since 1 "$1" |
		grep -c "block=\"\(0\|65535\)\"" | grep -qx 2' - "$meta"
}

mkdir mounted
rm origin
if mount -t tmpfs -o size=400k none mounted 2>out; then
	check_full_file_system
	umount mounted
else
	skips "a full file system: $(head -n 1 out)"
fi

# Disks that fail, by whatever error: each write and each flush in turn. EOPNOTSUPP is one that nbdkit
# takes for something else.

ask_for_everything='
failed = 0
for method, *arguments in (("pwrite", b"x" * 512, 0, nbd.CMD_FLAG_FUA), ("zero", 512, 65536),
                           ("trim", 512, 65536, nbd.CMD_FLAG_FUA), ("flush",)):
    try:
        getattr(h, method)(*arguments)
    except nbd.Error as error:
        assert error.errno == "EIO", error
        failed += 1
h.pread(1, 0)
print(failed)'

serve_failing()	# KIND NTH ERRNO
{
	local serve_command=(env LD_PRELOAD="$root/build/tests/faults.so" ERA_FAULT_KIND="$1" ERA_FAULT_NTH="$2"
		ERA_FAULT_ERRNO="$3" era_map serve)

	serve
}

fails_once()	# KIND ERRNO: at a request of the client, if not before
{
	local nth failed=0

	for nth in {1..12}; do
		serve_failing "$1" "$nth" "$2" >out || continue
		client "$ask_for_everything" >out 2>said || { cat said err; return 1; }
		failed=$((failed + $(cat out)))
		stop TERM
		era_check meta >out || { cat out; return 1; }
	done
	[ $failed -gt 0 ]
}

meta=meta origin=origin
rm -f meta origin
make_files
if [ -z "${ERA_SANITIZED:-}" ]; then
	check 'the Nth write fails with EIO' fails_once write 5
	check 'the Nth write fails with EOPNOTSUPP' fails_once write 95
	check 'the Nth flush fails with EIO' fails_once flush 5
	check 'the Nth flush fails with EOPNOTSUPP' fails_once flush 95
else
	skips 'failing disks: a sanitizer has to be preloaded first'
fi

sum_up
