#!/bin/bash
# SPDX-License-Identifier: MIT
# era_map and its nbdkit plugin, as a user sees them: serve, write over NBD, message, status, snapshot,
# kill, serve again. What a client wrote must be what era_invalidate lists. On files, then on block
# devices.
set -u
cd "$(dirname "$0")/.." || exit 1

for tool in nbdkit nbdsh nbdinfo; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
[ -e build/lib/nbdkit/plugins/nbdkit-era-plugin.so ] || { echo "the plugin is not built"; exit 77; }

PATH=$PWD/build/bin:$PATH
work=$(mktemp -d)
meta=$work/meta origin=$work/origin
passed=0 failed=0 skipped=0
server=
# nbdkit itself is not built with the sanitizer that the plugin needs, and leaks what it likes. Having
# printed an error of the system's it does not come to its end then, with none of our plugins either.
if [ -n "${ERA_SANITIZED:-}" ]; then
	preload=$("${CC:-cc}" -print-file-name=libasan.so)
	ubsan=$("${CC:-cc}" -print-file-name=libubsan.so)
	export ASAN_OPTIONS=detect_leaks=0
fi
serve_command=(env ${preload:+"LD_PRELOAD=$preload $ubsan"} era_map serve)

stop()	# [SIGNAL]
{
	[ -n "$server" ] || return 0
	kill "-${1:-TERM}" "$server" 2>/dev/null
	[ -z "${ERA_SANITIZED:-}" ] || timeout -s KILL 10 tail -f --pid="$server" /dev/null ||
		kill -KILL "$server"
	wait "$server" 2>/dev/null
	server=
}
loops=()
detach()
{
	for loop in "${loops[@]}"; do
		blockdev --setrw "$loop"
		losetup -d "$loop"
	done
	loops=()
}
trap 'stop KILL; umount "$work/mounted" 2>/dev/null; detach; rm -rf "$work"' EXIT

ok()	# NAME COMMAND...
{
	local name=$1

	shift
	if "$@" >"$work/out" 2>&1; then
		passed=$((passed + 1))
	else
		echo "FAIL: $name"
		head -n 20 "$work/out"
		failed=$((failed + 1))
	fi
}

limited()	# COMMAND...
{
	if [ "$(type -t "$1")" = function ]; then
		"$@"
	else
		timeout -k 1 20 "$@"
	fi
}

fails()	# PATTERN COMMAND...: it must fail, and say so
{
	local pattern=$1

	shift
	! limited "$@" >"$work/said" 2>&1 && grep -q -- "$pattern" "$work/said" || {
		cat "$work/said"
		return 1
	}
}

serve()
{
	"${serve_command[@]}" "$meta" "$origin" 128 \
		--socket "$work/nbd" --control "$work/control" 2>"$work/err" &
	server=$!
	for ((i = 0; i < 200; i++)); do
		nbdinfo --size "nbd+unix:///?socket=$work/nbd" >"$work/out" 2>&1 && return 0
		kill -0 $server 2>/dev/null || break
		sleep 0.05
	done
	cat "$work/err"
	return 1
}

client()	# PYTHON: h is connected
{
	PATH=/usr/bin:$PATH timeout 60 nbdsh -u "nbd+unix:///?socket=$work/nbd" -c "$1"
}

is()	# EXPECTED COMMAND...
{
	local expected=$1 found

	shift
	found=$("$@") || return 1
	[ "$found" = "$expected" ] || { echo "'$found', not '$expected'"; return 1; }
}

changed()	# ERA [OPTION...]: the blocks in a line
{
	era_invalidate --written-since "$@" "$meta" | tr -d '\n' | sed 's/ //g'
}

truncate -s 4M "$work/meta"
truncate -s 100M "$work/origin"

# Serving, and what is recorded.

ok 'serve' serve
ok 'the control socket is for its owner only' is 600 stat -c %a "$work/control"
ok 'status' is '0 204800 era 8 10/1024 1 -' era_map status "$work/control"
ok 'a write and a read' client '
h.pwrite(b"x" * 1000, 65536 * 3 - 500)
assert h.pread(1000, 65536 * 3 - 500) == b"x" * 1000
h.flush()'
ok 'checkpoint' era_map message "$work/control" checkpoint
ok 'zero, trim, FUA' client '
h.zero(65536 * 20, 65536 * 100)
h.trim(65536 * 7, 65536 * 200)
h.pwrite(b"y" * 512, 65536 * 300, nbd.CMD_FLAG_FUA)
assert h.pread(65536, 65536 * 100) == bytes(65536)'
ok 'messages in capitals, as the kernel takes them' era_map message "$work/control" CHECKPOINT
extents() { nbdinfo --map "nbd+unix:///?socket=$work/nbd" | awk '{ print $1, $4 }' | tail -n 1; }
ok 'extents of the origin' is '19664896 hole,zero' extents
ok 'a metadata file that is in use is refused' \
	fails 'in use' era_check "$work/meta"
ok 'a metadata file that is in use is not written to' \
	fails 'in use' era_restore -i /dev/null -o "$work/meta"
ok 'a second server is refused' fails 'in use' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/nbd2"
truncate -s 100M "$work/origin2"
truncate -s 8192 "$work/tiny"
truncate -s 1M "$work/meta2"
ok 'a second server with another origin is refused' fails 'perhaps by another server' \
	"${serve_command[@]}" "$work/meta" "$work/origin2" 128 --socket "$work/nbd2"

# What a server has as a file, another has not as a loop device, nor the other way round.
loops_are_refused()
{
	local loop

	loop=$(losetup -f --show "$work/meta") && loops+=("$loop") || return 1
	fails 'in use' "${serve_command[@]}" "$loop" "$work/origin2" 128 --socket "$work/nbd2" || return 1
	losetup -d "$loop" && loops=()
	loop=$(losetup -f --show "$work/origin") && loops+=("$loop") || return 1
	fails 'in use' "${serve_command[@]}" "$work/meta2" "$loop" 128 --socket "$work/nbd2" || return 1
	losetup -d "$loop" && loops=()
}

# Of one file, part 1 is from 1 to 5 MiB, part 2 from 5 to 7 MiB.
refuses_part()	# OFFSET SIZE_LIMIT
{
	local loop

	loop=$(losetup -f --show -o "$1" --sizelimit "$2" "$work/parts") && loops+=("$loop") || return 1
	fails 'in use' "${serve_command[@]}" "$work/meta2" "$loop" 128 --socket "$work/nbd2" || return 1
	losetup -d "$loop" && unset 'loops[-1]'
}
refuses_loop_of()	# FILE_OR_DEVICE
{
	local loop

	loop=$(losetup -f --show "$1") && loops+=("$loop") || return 1
	fails 'in use' "${serve_command[@]}" "$work/meta2" "$loop" 128 --socket "$work/nbd2" || return 1
	losetup -d "$loop" && unset 'loops[-1]'
}
check_parts()
{
	local meta origin

	truncate -s 9M "$work/parts"
	meta=$(losetup -f --show -o 1M --sizelimit 4M "$work/parts") && loops+=("$meta")
	origin=$(losetup -f --show -o 5M --sizelimit 2M "$work/parts") && loops+=("$origin")
	ok 'two parts of a file' serve
	ok '- the same part' refuses_part 1M 4M
	ok '- one that begins before it' refuses_part 512K 1M
	ok '- one that ends in it' refuses_part 6M 0
	ok '- one that begins where the file does' refuses_part 0 512K
	ok '- the file' fails 'in use' \
		"${serve_command[@]}" "$work/meta2" "$work/parts" 128 --socket "$work/nbd2"
	ok '- a loop device of the file' refuses_loop_of "$work/parts"
	ok '- a loop device of one of them' refuses_loop_of "$origin"
	ok '- a command that writes' fails 'in use' era_restore -i /dev/null -o "$work/parts"
	stop TERM
	ok 'they are free again' refuses_nothing_of "$origin"
	check_partitions
	losetup -d "$meta" "$origin" && loops=()
}
refuses_nothing_of()	# ORIGIN
{
	local meta=$work/meta2 origin=$1

	serve || return 1
	stop TERM
	rm "$work/meta2" && truncate -s 1M "$work/meta2"
}
# The first one is part 2 from above.
check_partitions()
{
	local loop

	loop=$(losetup -f --show "$work/parts") && loops+=("$loop")
	if addpart "$loop" 1 10240 4096 2>"$work/out" && [ -b "${loop}p1" ]; then
		ok 'a partition' refuses_nothing_of "${loop}p1"
		ok 'served with what is a partition as well' serve
		ok '- the partition' fails 'in use' \
			"${serve_command[@]}" "$work/meta2" "${loop}p1" 128 --socket "$work/nbd2"
		stop TERM
		delpart "$loop" 1
	else
		echo "skipped: partitions: $(head -n 1 "$work/out")"
		skipped=$((skipped + 1))
	fi
	losetup -d "$loop"
	unset 'loops[-1]'
}
ln "$work/meta" "$work/hard" && ln -s meta "$work/symbolic"
for name in hard symbolic; do
	ok "the metadata by a $name link" fails 'in use' \
		"${serve_command[@]}" "$work/$name" "$work/origin2" 128 --socket "$work/nbd2"
done
rm "$work/hard" "$work/symbolic"
if losetup -f >"$work/out" 2>&1; then
	ok 'the file that is served, by a loop device' loops_are_refused
	stop TERM
	check_parts
	ok 'served again after these' serve
else
	echo 'loop devices: cannot be had, skipped'
	skipped=$((skipped + 1))
fi

# Snapshots.

ok 'take' era_map message "$work/control" take_metadata_snap
ok 'take twice' fails 'held already' era_map message "$work/control" take_metadata_snap
ok 'the snapshot lists what was written' \
	is '<blocks><rangebegin="100"end="120"/><rangebegin="200"end="207"/><blockblock="300"/></blocks>' \
	changed 2 --metadata-snapshot
ok 'the snapshot is sound' era_check --metadata-snapshot "$work/meta"
ok 'drop' era_map message "$work/control" drop_metadata_snap
ok 'drop twice' fails 'no metadata snapshot' era_map message "$work/control" drop_metadata_snap
ok 'snapshot around a command' is '<blocks><rangebegin="2"end="4"/>' era_map snapshot "$work/control" -- \
	sh -c 'era_invalidate --metadata-snapshot --written-since 1 "$1" | tr -d "\n " | cut -c1-32' - "$work/meta"
ok 'it is dropped then' fails 'no metadata snapshot' \
	era_map message "$work/control" drop_metadata_snap
status_of() { "$@"; echo $?; }
ok 'the status is the command'"'"'s' is 7 status_of era_map snapshot "$work/control" -- sh -c 'exit 7'
ok 'a command killed' is 137 status_of era_map snapshot "$work/control" -- sh -c 'kill -9 $$'
ok 'a command that is not there' fails 'no-such-command' \
	era_map snapshot "$work/control" -- no-such-command
ok 'the command knows the era that began' era_map snapshot "$work/control" -- sh -c \
	'[ "$ERA_MAP_ERA" = "$(era_map status "$1" | cut -d" " -f6)" ]' - "$work/control"
killed()
{
	era_map snapshot "$work/control" -- sleep 3 &
	local pid=$!
	for ((i = 0; i < 100; i++)); do
		[ "$(era_map status "$work/control" | cut -d' ' -f7)" = - ] || break
		sleep 0.05
	done
	[ "$i" -lt 100 ] || return 1
	kill "-$1" $pid
	wait $pid 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		[ "$(era_map status "$work/control" | cut -d' ' -f7)" != - ] || return 0
		sleep 0.05
	done
	return 1
}
ok 'era_map terminated: dropped' killed TERM
ok 'era_map killed: dropped' killed KILL
ok 'an unknown message' fails 'unknown message' era_map message "$work/control" frobnicate

# Ends: in order, and not.

if [ -z "${ERA_SANITIZED:-}" ]; then
ok 'a client that asks for nothing is no obstacle' client '
import os, signal, time
h.pwrite(b"q", 65536 * 2)
server = '$server'
os.kill(server, signal.SIGTERM)
for i in range(200):
    try:
        if open(f"/proc/{server}/stat").read().split()[2] == "Z": break
    except FileNotFoundError: break
    time.sleep(0.1)
else: assert False, "it waits for us"'
wait "$server"
ok 'an end in order' test $? -eq 0
ok 'served again after that' serve
fi
now=$(era_map status "$work/control" | cut -d' ' -f6)
ok 'one more write' client 'h.pwrite(b"z", 65536 * 400)'
stop TERM
ok 'sound after an end in order' era_check "$work/meta"
ok 'its last era is there' is '<blocks><blockblock="400"/></blocks>' changed "$now"
ok 'the socket has gone' test ! -e "$work/control"
ok 'served again' serve
ok 'in the next era' is $((now + 1)) sh -c 'era_map status "$1" | cut -d" " -f6' - "$work/control"
ok 'a write' client 'h.pwrite(b"z", 65536 * 401)'
stop KILL
ok 'sound after a kill' era_check "$work/meta"
ok 'nothing lost by a kill' is '<blocks><rangebegin="400"end="402"/></blocks>' changed "$now"
ok 'nobody there' fails 'nobody serves' era_map status "$work/control"
ok 'both sockets are left' test -S "$work/nbd" -a -S "$work/control"
ok 'dead sockets are replaced' serve
ok 'one that is alive is not' fails 'in use' \
	"${serve_command[@]}" "$work/meta2" "$work/origin2" 128 --socket "$work/nbd"
ok 'its server is still there' client 'h.pread(1, 0)'
ok 'a client that talks nonsense is no harm' sh -c '
	printf "nonsense\nstatus\n" | timeout 5 python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b\"nonsense\\nstatus\\n\")
t = b\"\"
while t.count(b\"\\n\") < 2: t += s.recv(100)
assert t.startswith(b\"error\") and b\"ok 0 204800\" in t
s.sendall(b\"x\" * 10000)
" "$1"' - "$work/control"
ok 'parallel clients' client '
import threading
def work(k):
    n = nbd.NBD()
    n.connect_uri("nbd+unix:///?socket='"$work"'/nbd")
    for i in range(100):
        n.pwrite(bytes([k]) * 4096, (k * 100 + i) * 65536)
    n.shutdown()
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]'
stop TERM
ok 'sound again' era_check "$work/meta"
ok 'all of the parallel writes' is '<blocks><rangebegin="0"end="800"/></blocks>' changed $((now + 2))

# So few descriptors that clients use them up: whoever comes too late is turned away, or waits, and the
# server rests meanwhile. A sanitizer needs some of its own.

crowded() { PATH=/usr/bin:$PATH timeout 60 python3 tests/support/few_descriptors.py "$server" "$work" "$1"; }
if [ -z "${ERA_SANITIZED:-}" ]; then
serve_with() { local serve_command=(prlimit --nofile="$1" "${serve_command[@]}"); serve; }
ok 'served with few descriptors at first' serve_with 40:4096
ok 'it takes more' crowded all
stop TERM
ok 'served with few descriptors' serve_with 40:40
ok 'too many clients are turned away' crowded turned-away
ok 'whoever has a message waits' crowded waits
ok 'an end in the midst of them' crowded ends
stop TERM
ok 'sound after that' era_check "$work/meta"
fi

# What cannot be served.

ok 'another block size' fails '128 sectors, not 64' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 64 --socket "$work/nbd2"
ok 'no such origin' fails 'No such file' \
	"${serve_command[@]}" "$work/meta" "$work/none" 128 --socket "$work/nbd2"
ok 'no such metadata' fails 'No such file' \
	"${serve_command[@]}" "$work/none" "$work/origin" 128 --socket "$work/nbd2"
ok 'a directory' fails 'directory' "${serve_command[@]}" "$work" "$work/origin" 128 --socket "$work/nbd2"
ok 'one file for both' fails 'in use' \
	"${serve_command[@]}" "$work/origin" "$work/origin" 128 --socket "$work/nbd2"
echo precious >"$work/precious"
ok 'a file where the socket is to be' fails 'in use' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/precious"
ok 'a file where the control socket is to be' fails 'in use' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/nbd2" --control "$work/precious"
ok 'and it is still there' is precious cat "$work/precious"
ok 'no block size' fails 'BLOCK_SIZE' "${serve_command[@]}" "$work/meta" "$work/origin"
ok 'an odd block size' fails 'multiple of 8' "${serve_command[@]}" "$work/meta" "$work/origin" 12
ok 'a block size is decimal, whatever it begins with' fails 'not 136' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 0136 --socket "$work/nbd2"
ok 'two ways to serve' fails 'neither' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/nbd2" --port 1
ok 'options of another verb' fails 'serve only' era_map status --port 1 "$work/control"
ok 'no verb' fails 'is meant' era_map
ok 'an unknown verb' fails 'is meant' era_map frobnicate
ok 'metadata too small' fails 'not enough space' \
	"${serve_command[@]}" "$work/tiny" "$work/origin" 128 --socket "$work/nbd2"
cp "$work/meta" "$work/damaged"
printf 'x' | dd of="$work/damaged" bs=1 seek=300 conv=notrunc 2>/dev/null
cp "$work/damaged" "$work/before"
ok 'damaged metadata' fails 'superblock' \
	"${serve_command[@]}" "$work/damaged" "$work/origin" 128 --socket "$work/nbd2"
ok 'and left as they are' cmp "$work/damaged" "$work/before"

# The last era that there can be: it goes on, and nothing begins anew from 0.

last=4294967295
mkdir "$work/other"
mv "$work/meta" "$work/origin" "$work/other"
truncate -s 1M "$work/meta"
truncate -s 10M "$work/origin"
echo "<superblock block_size=\"128\" nr_blocks=\"160\" current_era=\"$((last - 2))\"><era_array/></superblock>" |
	era_restore -i - -o "$work/meta"
ok 'served in the last era but one' serve
ok 'the last era begins' era_map message "$work/control" checkpoint
ok 'no other does' fails 'no era is left' era_map message "$work/control" checkpoint
ok 'nor by a snapshot' fails 'no era is left' era_map message "$work/control" take_metadata_snap
ok 'the metadata are well' sh -c 'era_map status "$1" | grep -q " $2 -$"' - "$work/control" $last
ok 'a write in it' client 'h.pwrite(b"l", 65536 * 9)'
stop TERM
ok 'sound in the last era' era_check "$work/meta"
ok 'the write is known' is '<blocks><blockblock="9"/></blocks>' changed $last
ok 'they are not served again' fails 'no era is left' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/nbd2"
ok 'and are left as they are' is '<blocks><blockblock="9"/></blocks>' changed $last
mv "$work/other/meta" "$work/other/origin" "$work"

# Full: the write fails and says why, the rest goes on.

truncate -s 256K "$work/small"
truncate -s 300G "$work/large"
mv "$work/meta" "$work/meta-before"
mv "$work/origin" "$work/origin-before"
mv "$work/small" "$work/meta"
mv "$work/large" "$work/origin"
ok 'too small for that origin' fails 'no era can be begun' \
	"${serve_command[@]}" "$work/meta" "$work/origin" 128 --socket "$work/nbd2"

rm "$work/meta" "$work/origin"
truncate -s 512K "$work/meta"
truncate -s 4G "$work/origin"
ok 'served with little room' serve
ok 'a write' client 'h.pwrite(b"a", 0)'
ok 'a snapshot that is held, so that digestion makes no room' \
	era_map message "$work/control" take_metadata_snap
fill()
{
	for ((i = 0; i < 100; i++)); do
		client "h.pwrite(b'b', $i * 650 * 65536)" || return 1
		era_map message "$work/control" checkpoint || return 1
	done
}
ok 'full' fails 'not enough space' fill
ok 'the status shows it' sh -c 'era_map status "$1" | grep -q " no_space$"' - "$work/control"
ok 'the snapshot is there' era_check --metadata-snapshot "$work/meta"
ok 'it is dropped for room' era_map message "$work/control" drop_metadata_snap
ok 'an era can be begun again' era_map message "$work/control" checkpoint
ok 'all is well again' sh -c 'era_map status "$1" | grep -q " -$"' - "$work/control"
ok 'a write again' client 'h.pwrite(b"c", 65536 * 60000)'
stop KILL
ok 'sound all the same' era_check "$work/meta"
ok 'and nothing lost' sh -c 'era_invalidate --written-since 1 "$1" | grep -q "block=\"0\"" &&
	era_invalidate --written-since 1 "$1" | grep -q "block=\"60000\""' - "$work/meta"

# So full that no era can be begun while the snapshot is held that nobody can drop: metadata are made
# anew, larger and without it.

ok 'served once more' serve
ok 'a snapshot is taken again' era_map message "$work/control" take_metadata_snap
ok 'full again' fails 'not enough space' fill
stop KILL
cp "$work/meta" "$work/full"
end_of_room() { for ((i = 0; i < 30; i++)); do serve || return 0; stop KILL; done >"$work/said"; return 1; }
ok 'no era can be begun in the end' end_of_room
stop
ok 'nothing lost yet' sh -c 'era_dump --logical "$1" | tail -n +2 >"$3" &&
	era_dump --logical "$2" | tail -n +2 | cmp - "$3"' - "$work/full" "$work/meta" "$work/eras"
truncate -s 2M "$work/larger"
ok 'a larger device' sh -c 'era_dump "$1" | era_restore -q -i - -o "$2"' - "$work/meta" "$work/larger"
mv "$work/larger" "$work/meta"
ok 'is served' serve
stop TERM
ok 'with all that was recorded' sh -c 'era_dump --logical "$1" | tail -n +2 | cmp - "$2"' \
	- "$work/meta" "$work/eras"

# The origin grows and shrinks.

rm "$work/origin"
mv "$work/meta-before" "$work/meta"
mv "$work/origin-before" "$work/origin"
truncate -s 200M "$work/origin"
ok 'grown' serve
ok 'its size' is '0 409600 era' sh -c 'era_map status "$1" | cut -d" " -f1-3' - "$work/control"
ok 'a write at the end' client 'h.pwrite(b"e", 200 * 1048576 - 1)'
stop TERM
ok 'recorded' is '<blocks><blockblock="3199"/></blocks>' changed $((now + 3))
truncate -s 1M "$work/origin"
ok 'shrunk' serve
stop TERM
ok 'sound' era_check "$work/meta"
ok 'what is cut off is gone' is '<blocks></blocks>' changed $((now + 3))

# On a port, without a control socket.

port=$((20000 + RANDOM % 20000))
"${serve_command[@]}" "$work/meta" "$work/origin" 128 --port $port 2>"$work/err" &
server=$!
on_port()
{
	for ((i = 0; i < 100; i++)); do
		timeout 5 nbdinfo --size "nbd://127.0.0.1:$port" 2>/dev/null && return 0
		sleep 0.05
	done
	cat "$work/err"
	return 1
}
ok 'on a port' is 1048576 on_port
ok 'which is on the local address only' sh -c '! grep -q "^ *[0-9]*: 00000000:$1 " /proc/net/tcp' - \
	"$(printf %04X $port)"
stop TERM

# A sparse file of metadata, on a file system that is full.

check_full_file_system()
{
	meta=$work/mounted/meta
	truncate -s 4M "$meta"
	truncate -s 4G "$origin"
	ok 'served on a small file system' serve
	ok 'a snapshot that is held' era_map message "$work/control" take_metadata_snap
	# A checkpoint or a write, whichever comes to it first.
	ok 'full' fails 'input/output error\|No space left' fill
	ok 'the status shows it' sh -c 'era_map status "$1" | grep -q " error$"' - "$work/control"
	mount -o remount,size=8m "$work/mounted"
	ok 'room is made' era_map message "$work/control" checkpoint
	ok 'a write' client 'h.pwrite(b"f", 65536 * 65535)'
	ok 'all is well again' sh -c '! era_map status "$1" | grep -q error' - "$work/control"
	stop KILL
	ok 'sound' era_check "$meta"
	ok 'the first and the last write are there' sh -c 'era_invalidate --written-since 1 "$1" |
		grep -c "block=\"\(0\|65535\)\"" | grep -qx 2' - "$meta"
}

mkdir "$work/mounted"
rm "$origin"
if mount -t tmpfs -o size=400k none "$work/mounted" 2>"$work/out"; then
	check_full_file_system
	umount "$work/mounted"
else
	echo "skipped: a full file system: $(head -n 1 "$work/out")"
	skipped=$((skipped + 1))
fi

# On block devices.

attach()	# FILE SIZE [OPTION...]: loop is one of that size
{
	truncate -s "$2" "$1" && loop=$(losetup -f --show "${@:3}" "$1" 2>"$work/out") && loops+=("$loop")
}

on_devices()	# SECTOR_SIZE
{
	rm -f "$work/meta.img" "$work/origin.img"
	attach "$work/meta.img" 8M -b "$1" || return 1
	meta=$loop
	attach "$work/origin.img" 100M -b "$1" || return 1
	origin=$loop
}

in_use() { du -k "$work/origin.img" | cut -f1; }

# What is on the device, past the page cache.
stored()	# BYTE
{
	dd if="$origin" bs=4096 count=1 skip=$(($1 / 4096)) iflag=direct 2>/dev/null | head -c 3
}

check_devices()
{
	local many

	ok 'served' serve
	ok 'their sizes' is '0 204800 era 8 10/2048 1 -' era_map status "$work/control"
	ok 'a write, flushed, is on the device' client 'h.pwrite(b"abc", 65536 * 3)
h.flush()'
	ok '- there' is abc stored $((65536 * 3))
	ok 'a write through (FUA)' client 'h.pwrite(b"def", 65536 * 5 - 1, nbd.CMD_FLAG_FUA)'
	ok '- there' is ef stored $((65536 * 5))
	ok 'one that takes 20 MiB' client 'h.pwrite(b"x" * (20 << 20), 65536 * 100)
h.flush()'
	ok '- takes them' test "$(in_use)" -gt 20000
	ok 'checkpoint' era_map message "$work/control" checkpoint
	ok 'trim' client 'h.trim(20 << 20, 65536 * 100)
h.flush()
assert h.pread(20 << 20, 65536 * 100) == bytes(20 << 20)'
	ok '- reaches the device' test "$(in_use)" -lt 1000
	ok 'zeroes, with a hole or without' client 'h.pwrite(b"x" * 262144, 65536 * 700)
h.zero(131072, 65536 * 700)
h.zero(131072, 65536 * 702, nbd.CMD_FLAG_NO_HOLE)
try:
    h.zero(131072, 65536 * 702, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)
    assert False, "the kernel writes them: that is not fast"
except nbd.Error as error:
    assert error.errno == "ENOTSUP", error
assert h.pread(262144, 65536 * 700) == bytes(262144)'
	ok 'zeroes and trims of no whole sectors' client 'h.pwrite(b"x" * 262144, 65536 * 800)
h.zero(100000, 65536 * 800 + 77)
h.trim(100, 65536 * 803 + 1)
assert h.pread(262144, 65536 * 800)[:100078] == b"x" * 77 + bytes(100000) + b"x"'
	many='<rangebegin="100"end="420"/><rangebegin="700"end="704"/><rangebegin="800"end="804"/>'
	ok 'all are recorded' is "<blocks>$many</blocks>" sh -c 'era_map snapshot "$1" -- \
		era_invalidate --metadata-snapshot --written-since 2 "$2" | tr -d "\n "' - "$work/control" "$meta"
	ok 'the live device is not checked without a snapshot' fails 'metadata-snapshot' era_check "$meta"
	ok 'nor written to' fails 'busy\|in use' era_restore -i /dev/null -o "$meta"
	ok 'its snapshot is sound' era_map snapshot "$work/control" -- era_check --metadata-snapshot "$meta"
	ok 'it can be dumped' era_map snapshot "$work/control" -- era_dump --metadata-snapshot -o "$work/out" "$meta"
	ok 'what is not flushed yet is copied as well' client 'h.pwrite(b"y" * 100000, 65536 * 800 + 9)'
	ok 'copied' sh -c 'era_map snapshot "$1" -- \
		era_copy -q --metadata-snapshot --written-since 0 "$2" "$3" | era_apply -q "$4"' \
		- "$work/control" "$meta" "$origin" "$work/copy"
	ok 'the copy is the origin' cmp "$work/copy" "$origin"
	rm -f "$work/copy" "$work/copy.era"
	ok 'a second server is refused' fails 'in use' \
		"${serve_command[@]}" "$meta" "$work/origin2" 128 --socket "$work/nbd2"
	ok 'for the origin as well' fails 'in use' \
		"${serve_command[@]}" "$work/meta" "$origin" 128 --socket "$work/nbd2"
	stop KILL
	ok 'sound after a kill' era_check "$meta"
	ok 'nothing lost by it' is "<blocks><rangebegin=\"3\"end=\"6\"/>$many</blocks>" changed 1
	ok 'one device for both' fails 'in use' \
		"${serve_command[@]}" "$origin" "$origin" 128 --socket "$work/nbd2"
}

# The origin's loop is told of the file's new size, as a logical volume is by lvextend.
check_growth()
{
	truncate -s 200M "$work/origin.img"
	losetup -c "$origin"
	ok 'grown' serve
	now=$(era_map status "$work/control" | cut -d' ' -f6)
	ok 'its size' is '0 409600 era' sh -c 'era_map status "$1" | cut -d" " -f1-3' - "$work/control"
	ok 'a write at the end' client 'h.pwrite(b"end", (200 << 20) - 3)'
	stop TERM
	ok 'recorded' is '<blocks><blockblock="3199"/></blocks>' changed "$now"
	truncate -s 1M "$work/origin.img"
	losetup -c "$origin"
	ok 'shrunk' serve
	stop TERM
	ok 'sound' era_check "$meta"
	ok 'what is cut off is gone' is '<blocks><rangebegin="3"end="6"/></blocks>' changed 1
}

# nbdkit on its own goes into the background: it has to come to its end there, also after it has read
# so much at the start that threads helped.
check_background()
{
	local plugin=build/lib/nbdkit/plugins/nbdkit-era-plugin.so pid

	truncate -s 20G "$work/origin.img"
	losetup -c "$origin"
	for ((i = 0; i < 2; i++)); do
		rm -f "$work/nbd" "$work/pid"
		ok 'in the background' timeout 60 "${serve_command[@]:0:${#serve_command[@]}-2}" nbdkit \
			--unix "$work/nbd" --pidfile "$work/pid" $plugin metadata="$meta" origin="$origin" block-size=8
		ok 'a write' client 'h.pwrite(b"x", 0)'
		pid=$(cat "$work/pid")
		kill "$pid"
		ok 'comes to its end' timeout 20 tail -f --pid="$pid" /dev/null
		kill -KILL "$pid" 2>/dev/null
		ok 'sound' era_check "$meta"
	done
}

check_refused_devices()
{
	local spare

	mkdir -p "$work/mounted"
	attach "$work/spare.img" 16M
	spare=$loop
	if mkfs.ext4 -q "$spare" 2>"$work/out" && mount "$spare" "$work/mounted" 2>"$work/out"; then
		ok 'a mounted origin' fails 'in use' \
			"${serve_command[@]}" "$meta" "$spare" 8 --socket "$work/nbd2"
		ok 'mounted metadata' fails 'in use' \
			"${serve_command[@]}" "$spare" "$origin" 8 --socket "$work/nbd2"
		umount "$work/mounted"
	else
		echo "skipped: mounted devices: $(head -n 1 "$work/out")"
		skipped=$((skipped + 1))
	fi
	ok 'a device with something else on it' fails 'superblock' \
		"${serve_command[@]}" "$spare" "$origin" 8 --socket "$work/nbd2"
	blockdev --setro "$spare"
	ok 'an origin that is read-only' fails "$spare.*Read-only" \
		"${serve_command[@]}" "$meta" "$spare" 8 --socket "$work/nbd2"
	ok 'metadata that are' fails "$spare.*Read-only" \
		"${serve_command[@]}" "$spare" "$origin" 8 --socket "$work/nbd2"
}

truncate -s 1M "$work/meta" "$work/origin2"
for sector_size in 512 4096; do
	if on_devices $sector_size; then
		check_devices
		check_growth
	else
		echo "skipped: devices of $sector_size byte sectors: $(head -n 1 "$work/out")"
		skipped=$((skipped + 1))
	fi
	detach
done
if on_devices 512 && losetup -d "${loops[0]}" && loops=("${loops[1]}") && attach "$work/meta.img" 256M; then
	meta=$loop
	check_background
	check_refused_devices
else
	echo "skipped: devices in the background: $(head -n 1 "$work/out")"
	skipped=$((skipped + 1))
fi
detach

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
