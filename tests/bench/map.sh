#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast a device is served while its writes are recorded: against plain `nbdkit file` on the same
# origin, with as many threads, in alternation, so that the ratio holds on a noisy machine.
#
#   map.sh            prints a table
#
# BENCH_ROUNDS   alternations; medians are taken (default 7)
# BENCH_SECONDS  of each run (default 2)
# BENCH_WRITES   first writes (default 4000)
# BENCH_DIR      where origin and metadata are put (default: a temporary directory). For the first writes
#                it matters what a flush costs there.
set -eu
cd "$(dirname "$0")/../.."

for tool in nbdkit fio jq; do
	command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 77; }
done
if ! fio --enghelp | grep -qw nbd; then
	echo 'this fio has no nbd engine' >&2
	exit 77
fi

trace=
rounds=${BENCH_ROUNDS:-7} seconds=${BENCH_SECONDS:-2}
size=$((256 << 20))
work=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
plain= era=
stop()
{
	for pid in $plain $era; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	plain= era=
}
trap 'stop; rm -rf "$work"' EXIT

await()	# SOCKET
{
	for ((i = 0; i < 200; i++)); do
		[ ! -S "$1" ] || return 0
		sleep 0.05
	done
	echo "nobody serves $1" >&2
	exit 1
}

serve_plain()
{
	nbdkit --foreground --threads 64 --unix "$work/plain" file "$work/origin" &
	plain=$!
	await "$work/plain"
}

# BLOCK_SIZE in sectors; the metadata are made anew
serve_era()
{
	rm -f "$work/meta" "$work/era"
	truncate -s 64M "$work/meta"
	# shellcheck disable=SC2086 # words
	$trace build/bin/era_map serve "$work/meta" "$work/origin" "$1" --socket "$work/era" \
		--control "$work/control" &
	era=$!
	await "$work/era"
}

# SOCKET NAME=VALUE...: what fio says, in JSON
run_fio()
{
	local socket=$1 options=()

	shift
	for option; do
		options+=("--$option")
	done
	fio --name=run --ioengine=nbd --uri="nbd+unix:///?socket=$work/$socket" --size=$size \
		--randrepeat=1 --output-format=json "${options[@]}" | sed -n '/^{/,$p'
}

median()
{
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# KIND BS DEPTH: iops of both in alternation, all blocks marked already
compare()
{
	local i who iops

	rm -f "$work"/{plain,era}.iops "$work/ratios"
	for ((i = 0; i < rounds; i++)); do
		for who in plain era; do
			iops=$(run_fio $who rw="$1" bs="$2" iodepth="$3" time_based runtime="$seconds" |
				jq '.jobs[0] | .read.iops + .write.iops')
			echo "$iops" >>"$work/$who.iops"
		done
		paste "$work/plain.iops" "$work/era.iops" | tail -n 1 | awk '{ print $2 / $1 }' >>"$work/ratios"
	done
	printf '%-10s %4s %4s %12.0f %12.0f %8.3f\n' "$1" "$2" "$3" "$(median <"$work/plain.iops")" \
		"$(median <"$work/era.iops")" "$(median <"$work/ratios")"
}

echo "Marked blocks of 64 KiB: requests a second, median of $rounds alternating runs of $seconds s"
printf '%-10s %4s %6s %12s %12s %8s\n' pattern size flight 'nbdkit file' era ratio
truncate -s $size "$work/origin"
serve_plain
serve_era 128
run_fio era rw=write bs=1M iodepth=4 >/dev/null
for depth in 1 16 64; do
	compare randwrite 4k $depth
done
compare randrw 4k 16
compare randread 4k 16
compare write 256k 4
stop

# First writes: each block of 4 KiB is written once. The metadata are flushed twice a commit, and the
# origin never.
first_writes()	# DEPTH
{
	run_fio era rw=randwrite bs=4k iodepth="$1" number_ios=$((BENCH_WRITES))
}

count_commits()	# DEPTH
{
	trace='strace --seccomp-bpf -f -q -e trace=fdatasync -o '$work/trace
	serve_era 8
	trace=
	before=$(wc -l <"$work/trace")
	first_writes "$1" >/dev/null
	after=$(wc -l <"$work/trace")
	pkill -P "$era" 2>/dev/null || true
	stop
	echo $(((after - before) / 2))
}

: "${BENCH_WRITES:=4000}"
echo
echo "First writes to blocks of 4 KiB: $BENCH_WRITES of them"
printf '%6s %12s %16s\n' flight writes/s commits/write
for depth in 1 16 64; do
	serve_era 8
	iops=$(first_writes $depth | jq .jobs[0].write.iops)
	stop
	commits='-'
	if command -v strace >/dev/null; then
		commits=$(count_commits $depth | awk -v n="$BENCH_WRITES" '{ printf "%.3f", $1 / n }')
	fi
	printf '%6s %12.0f %16s\n' $depth "$iops" "$commits"
done

checkpoints()
{
	while sleep 0.2; do
		build/bin/era_map message "$work/control" checkpoint || break
	done
}

echo
echo 'Random writes of 4 KiB, 16 in flight, blocks of 64 KiB: the longest that one took'
printf '%-28s %10s %12s\n' '' writes/s longest/ms
for how in 'no checkpoints' 'a checkpoint every 0.2 s'; do
	serve_era 128
	run_fio era rw=write bs=1M iodepth=4 >/dev/null
	ticker=
	if [ "$how" != 'no checkpoints' ]; then
		checkpoints &
		ticker=$!
	fi
	run_fio era rw=randwrite bs=4k iodepth=16 time_based runtime=$((seconds * 3)) >"$work/json"
	[ -z "$ticker" ] || { kill $ticker; wait $ticker 2>/dev/null || true; }
	printf '%-28s %10.0f %12.2f\n' "$how" "$(jq .jobs[0].write.iops "$work/json")" \
		"$(jq '.jobs[0].write.clat_ns.max / 1000000' "$work/json")"
	stop
done
