#!/bin/bash
# SPDX-License-Identifier: MIT
# era_map and its nbdkit plugin, as a user sees them: serve, write over NBD, message, status, snapshot,
# kill, serve again. What a client wrote must be what era_invalidate lists.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

make_files

# Serving, and what is recorded.

check 'serve' serve
check 'the control socket is for its owner only' is 600 stat -c %a control
check 'status' is '0 204800 era 8 10/1024 1 -' era_map status control
check 'a write and a read' client '
h.pwrite(b"x" * 1000, 65536 * 3 - 500)
assert h.pread(1000, 65536 * 3 - 500) == b"x" * 1000
h.flush()'
check 'checkpoint' era_map message control checkpoint
check 'zero, trim, FUA' client '
h.zero(65536 * 20, 65536 * 100)
h.trim(65536 * 7, 65536 * 200)
h.pwrite(b"y" * 512, 65536 * 300, nbd.CMD_FLAG_FUA)
assert h.pread(65536, 65536 * 100) == bytes(65536)'
check 'messages in capitals, as the kernel takes them' era_map message control CHECKPOINT
extents() { nbdinfo --map "nbd+unix:///?socket=nbd" | awk '{ print $1, $4 }' | tail -n 1; }
check 'extents of the origin' is '19664896 hole,zero' extents

# Snapshots.

check 'take' era_map message control take_metadata_snap
check 'take twice' fails_with 'held already' era_map message control take_metadata_snap
check 'the snapshot lists what was written' \
	is '<blocks><rangebegin="100"end="120"/><rangebegin="200"end="207"/><blockblock="300"/></blocks>' \
	changed 2 --metadata-snapshot
check 'the snapshot is sound' era_check --metadata-snapshot meta
check 'drop' era_map message control drop_metadata_snap
check 'drop twice' fails_with 'no metadata snapshot' era_map message control drop_metadata_snap
check 'snapshot around a command' is '<blocks><rangebegin="2"end="4"/>' era_map snapshot control -- \
	sh -c 'era_invalidate --metadata-snapshot --written-since 1 "$1" | tr -d "\n " | cut -c1-32' - meta
check 'it is dropped then' fails_with 'no metadata snapshot' \
	era_map message control drop_metadata_snap
status_of() { "$@"; echo $?; }
check 'the status is the command'"'"'s' is 7 status_of era_map snapshot control -- sh -c 'exit 7'
check 'a command killed' is 137 status_of era_map snapshot control -- sh -c 'kill -9 $$'
check 'a command that is not there' fails_with 'no-such-command' \
	era_map snapshot control -- no-such-command
check 'the command knows the era that began' era_map snapshot control -- sh -c \
	'[ "$ERA_MAP_ERA" = "$(era_map status "$1" | cut -d" " -f6)" ]' - control
killed()
{
	era_map snapshot control -- sleep 3 &
	local pid=$!
	for ((i = 0; i < 100; i++)); do
		[ "$(era_map status control | cut -d' ' -f7)" = - ] || break
		sleep 0.05
	done
	[ "$i" -lt 100 ] || return 1
	kill "-$1" $pid
	wait $pid 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		[ "$(era_map status control | cut -d' ' -f7)" != - ] || return 0
		sleep 0.05
	done
	return 1
}
check 'era_map terminated: dropped' killed TERM
check 'era_map killed: dropped' killed KILL
check 'an unknown message' fails_with 'unknown message' era_map message control frobnicate

# Ends: in order, and not.

if [ -z "${ERA_SANITIZED:-}" ]; then
check 'a client that asks for nothing is no obstacle' client '
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
check 'an end in order' test $? -eq 0
check 'served again after that' serve
fi
now=$(era_map status control | cut -d' ' -f6)
check 'one more write' client 'h.pwrite(b"z", 65536 * 400)'
stop TERM
check 'sound after an end in order' era_check meta
check 'its last era is there' is '<blocks><blockblock="400"/></blocks>' changed "$now"
check 'the socket has gone' test ! -e control
check 'served again' serve
check 'in the next era' is $((now + 1)) sh -c 'era_map status "$1" | cut -d" " -f6' - control
check 'a write' client 'h.pwrite(b"z", 65536 * 401)'
stop KILL
check 'sound after a kill' era_check meta
check 'nothing lost by a kill' is '<blocks><rangebegin="400"end="402"/></blocks>' changed "$now"
check 'nobody there' fails_with 'nobody serves' era_map status control
check 'both sockets are left' test -S nbd -a -S control
check 'dead sockets are replaced' serve
truncate -s 1M meta2
truncate -s 100M origin2
check 'one that is alive is not' fails_with 'in use' \
	"${serve_command[@]}" meta2 origin2 128 --socket nbd
check 'its server is still there' client 'h.pread(1, 0)'
check 'a client that talks nonsense is no harm' sh -c '
	printf "nonsense\nstatus\n" | timeout 5 python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b\"nonsense\\nstatus\\n\")
t = b\"\"
while t.count(b\"\\n\") < 2: t += s.recv(100)
assert t.startswith(b\"error\") and b\"ok 0 204800\" in t
s.sendall(b\"x\" * 10000)
" "$1"' - control
check 'parallel clients' client '
import threading
def work(k):
    n = nbd.NBD()
    n.connect_uri("nbd+unix:///?socket=nbd")
    for i in range(100):
        n.pwrite(bytes([k]) * 4096, (k * 100 + i) * 65536)
    n.shutdown()
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]'
stop TERM
check 'sound again' era_check meta
check 'all of the parallel writes' is '<blocks><rangebegin="0"end="800"/></blocks>' changed $((now + 2))

# The origin grows and shrinks.

truncate -s 200M origin
check 'grown' serve
check 'its size' is '0 409600 era' sh -c 'era_map status "$1" | cut -d" " -f1-3' - control
check 'a write at the end' client 'h.pwrite(b"e", 200 * 1048576 - 1)'
stop TERM
check 'recorded' is '<blocks><blockblock="3199"/></blocks>' changed $((now + 3))
truncate -s 1M origin
check 'shrunk' serve
stop TERM
check 'sound' era_check meta
check 'what is cut off is gone' is '<blocks></blocks>' changed $((now + 3))

# On a port, without a control socket.

port=$((20000 + RANDOM % 20000))
"${serve_command[@]}" meta origin 128 --port $port 2>err &
server=$!
on_port()
{
	for ((i = 0; i < 100; i++)); do
		timeout 5 nbdinfo --size "nbd://127.0.0.1:$port" 2>/dev/null && return 0
		sleep 0.05
	done
	cat err
	return 1
}
check 'on a port' is 1048576 on_port
check 'which is on the local address only' sh -c '! grep -q "^ *[0-9]*: 00000000:$1 " /proc/net/tcp' - \
	"$(printf %04X $port)"
stop TERM

sum_up
