#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast a device is served while its writes are recorded.
#
#   map.sh [PART...]   prints a table for each part; all of them, if none is named:
#
#   marked        writes to marked blocks, and reads, against plain `nbdkit file`: the same origin, the
#                 same number of threads, all asked in turn, some milliseconds each (in_turn.c). A second
#                 plain server, "again", shows how much of a difference is chance.
#   first         first writes, which wait for a commit, and how many commits there are for each time that
#                 a file could be written and flushed twice
#   checkpoints   the longest that a write takes when eras begin meanwhile
#
# BENCH_ROUNDS   runs of each kind, with servers that are started anew; medians are taken (default 7)
# BENCH_MSEC     of each run, times three where three servers are asked in turn (default 1000)
# BENCH_WRITES   first writes of a run (default 4000)
# BENCH_DIR      where the metadata are put (default: a temporary directory): what matters to first writes
#                is what a flush costs there
# BENCH_ORIGIN   where the origin is put (default: /dev/shm, since a disk is noisier than what is compared)
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in nbdkit fio jq strace; do
	command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 77; }
done
if ! fio --enghelp | grep -qw nbd; then
	echo 'this fio has no nbd engine' >&2
	exit 77
fi

rounds=${BENCH_ROUNDS:-7} msec=${BENCH_MSEC:-1000} writes=${BENCH_WRITES:-4000}
origin_size=$((256 << 20))
work=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
origin=$(mktemp -p "${BENCH_ORIGIN:-/dev/shm}")
servers=()
stop()
{
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	servers=()
}
trap 'stop; rm -rf "$work" "$origin"' EXIT

# NAME COMMAND...: serves on a socket of that name
serve()
{
	local name=$1 i

	shift
	rm -f "$work/$name"
	"$@" &
	servers+=($!)
	for ((i = 0; i < 200; i++)); do
		[ ! -S "$work/$name" ] || return 0
		sleep 0.05
	done
	echo "nobody serves $name" >&2
	exit 1
}

serve_plain()	# NAME
{
	serve "$1" nbdkit --foreground --threads 64 --unix "$work/$1" file "$origin"
}

# BLOCK_SIZE in sectors, COMMAND... to run it under; the metadata are made anew
serve_era()
{
	local block_size=$1

	shift
	rm -f "$work/meta"
	truncate -s 64M "$work/meta"
	serve era "$@" build/bin/era_map serve "$work/meta" "$origin" "$block_size" \
		--socket "$work/era" --control "$work/control"
}

# NAME=VALUE...: prints fio's first job, as JSON
run_fio()
{
	fio --name=run --size=$origin_size --randrepeat=1 --output-format=json "${@/#/--}" |
		sed -n '/^{/,$p' | jq '.jobs[0]'
}

client()	# SERVER NAME=VALUE...
{
	run_fio ioengine=nbd uri="nbd+unix:///?socket=$work/$1" "${@:2}"
}

mark_all()
{
	client era rw=write bs=1M iodepth=4 >/dev/null
}

median()	# FILE
{
	sort -g "$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# FILE FILE: the one median by the other
ratio()
{
	echo "$(median "$1") $(median "$2")" | awk '{ print $1 / $2 }'
}

# PATTERN BYTES DEPTH
patterns=('randwrite 4096 1' 'randwrite 4096 16' 'randwrite 4096 64' 'randrw 4096 16' 'randread 4096 16'
	'write 262144 4')

# Servers that are started anew: one process can be a little faster than the next one of the same program.
compare()
{
	local n

	serve_plain plain
	serve_plain again
	serve_era 128
	mark_all
	for n in "${!patterns[@]}"; do
		# shellcheck disable=SC2086 # words
		build/bench/in_turn "$((3 * msec))e-3" ${patterns[n]} "$work"/{plain,era,again} >>"$work/times.$n"
	done
	stop
}

# N AWK_EXPRESSION: its median, over all turns of a pattern
of_turns()
{
	awk "{ print $2 }" "$work/times.$1" >"$work/values"
	median "$work/values"
}

marked()
{
	local i n

	for ((i = 0; i < rounds; i++)); do
		compare
	done
	echo "Marked blocks of 64 KiB: requests a second, medians of $rounds runs of $((3 * msec)) ms"
	printf '%-10s %7s %6s %12s %12s %8s\n' pattern bytes flight 'nbdkit file' era again
	for n in "${!patterns[@]}"; do
		# shellcheck disable=SC2086 # words
		printf '%-10s %7s %6s %12.0f %12.3f %8.3f\n' ${patterns[n]} "$(of_turns "$n" '1e9 / $1')" \
			"$(of_turns "$n" '$1 / $2')" "$(of_turns "$n" '$1 / $3')"
	done
}

# Each block of 4 KiB is written once. The metadata are flushed twice a commit, the origin never.
first_writes()	# DEPTH
{
	client era rw=randwrite bs=4k iodepth="$1" number_ios="$writes"
}

nr_flushes()
{
	grep -c 'fdatasync(' "$work/trace" || true
}

count_commits()	# DEPTH
{
	local before

	serve_era 8 strace --seccomp-bpf -f -q -e trace=fdatasync -o "$work/trace"
	before=$(nr_flushes)
	first_writes "$1" >/dev/null
	echo $((($(nr_flushes) - before) / 2))
	pkill -P "${servers[0]}"
	stop
}

# What two writes of 4 KiB take, each with a flush: no commit takes less.
measure_floor()
{
	run_fio filename="$work/floor" ioengine=psync rw=write bs=4k size=256k overwrite=1 fdatasync=1 \
		time_based runtime="${msec}ms" | jq '.write.iops / 2' >>"$work/floor.iops"
}

first()
{
	local i depth commits

	echo "First writes to blocks of 4 KiB, medians of $rounds runs of $writes"
	printf '%6s %12s %16s %16s\n' flight writes/s commits/write 'of two flushes'
	for depth in 1 16 64; do
		rm -f "$work"/*.iops
		for ((i = 0; i < rounds; i++)); do
			measure_floor
			serve_era 8
			first_writes $depth | jq .write.iops >>"$work/era.iops"
			stop
		done
		commits=$(count_commits $depth)
		printf '%6s %12.0f %16s %16s\n' $depth "$(median "$work/era.iops")" \
			"$(awk -v c="$commits" -v w="$writes" 'BEGIN { printf "%.3f", c / w }')" \
			"$(awk -v r="$(ratio "$work/era.iops" "$work/floor.iops")" -v c="$commits" \
				-v w="$writes" 'BEGIN { printf "%.2f", r * c / w }')"
	done
}

tick()
{
	while sleep 0.2; do
		build/bin/era_map message "$work/control" checkpoint || break
	done
}

under_load()	# NAME
{
	client era rw=randwrite bs=4k iodepth=16 time_based runtime=2 >"$work/json"
	jq .write.iops "$work/json" >>"$work/$1.iops"
	jq '.write.clat_ns.percentile["99.900000"] / 1000000' "$work/json" >>"$work/$1.most"
	jq '.write.clat_ns.max / 1000000' "$work/json" >>"$work/$1.longest"
}

checkpoints()
{
	local i ticker how

	echo "Random writes of 4 KiB, 16 in flight, blocks of 64 KiB, medians of $rounds runs of 2 s"
	printf '%-26s %10s %18s %12s\n' '' writes/s '99.9% within/ms' longest/ms
	rm -f "$work"/*.{iops,most,longest}
	serve_era 128
	for ((i = 0; i < rounds; i++)); do
		mark_all
		under_load none
		tick &
		ticker=$!
		under_load many
		kill $ticker
		wait $ticker 2>/dev/null || true
	done
	stop
	for how in none many; do
		printf '%-26s %10.0f %18.2f %12.2f\n' \
			"$([ $how = none ] && echo no checkpoints || echo a checkpoint each 0.2 s)" \
			"$(median "$work/$how.iops")" "$(median "$work/$how.most")" \
			"$(median "$work/$how.longest")"
	done
}

[ $# -gt 0 ] || set -- marked first checkpoints
# None of it a hole: the first write to one takes longer.
run_fio filename="$origin" ioengine=psync rw=write bs=1M >/dev/null
for part; do
	case $part in
	marked | first | checkpoints) $part ;;
	*) echo "no such part: $part" >&2; exit 2 ;;
	esac
	echo
done
