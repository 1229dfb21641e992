# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For scripts that test era_map and its nbdkit plugin, as a user sees them. They source this at the
# project's root, find themselves in an empty directory then, and end with `sum_up`.
#
# meta and origin are what serve() serves, on the sockets nbd and control; server is its process.
. tests/support/checks.sh

root=$PWD
plugin=$root/build/lib/nbdkit/plugins/nbdkit-era-plugin.so
for tool in nbdkit nbdsh nbdinfo; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
[ -e "$plugin" ] || { echo "the plugin is not built"; exit 77; }

PATH=$root/build/bin:$PATH
work=$(mktemp -d)
cd "$work" || exit 1
meta=meta origin=origin
server=
loops=()
# nbdkit itself is not built with the sanitizer that the plugin needs, and leaks what it likes. Nor does it
# always come to its end then: see README.md.
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

detach()
{
	local i

	# Those on others first.
	for ((i = ${#loops[@]} - 1; i >= 0; i--)); do
		blockdev --setrw "${loops[i]}"
		losetup -d "${loops[i]}"
	done
	loops=()
}
trap 'stop KILL; umount mounted 2>/dev/null; detach; rm -rf "$work"' EXIT

limited()	# COMMAND...
{
	if [ "$(type -t "$1")" = function ]; then
		"$@"
	else
		timeout -k 1 20 "$@"
	fi
}

fails_with()	# PATTERN COMMAND...: it must fail, and say so
{
	local pattern=$1

	shift
	! limited "$@" >said 2>&1 && grep -q -- "$pattern" said || {
		cat said
		return 1
	}
}

not_served()	# PATTERN METADATA ORIGIN [BLOCK_SIZE]: because of that
{
	fails_with "$1" "${serve_command[@]}" "$2" "$3" "${4:-128}" --socket nbd2
}

serve()
{
	local i

	"${serve_command[@]}" "$meta" "$origin" 128 --socket nbd --control control 2>err &
	server=$!
	for ((i = 0; i < 200; i++)); do
		nbdinfo --size 'nbd+unix:///?socket=nbd' >out 2>&1 && return 0
		kill -0 $server 2>/dev/null || break
		sleep 0.05
	done
	cat err
	return 1
}

client()	# PYTHON: h is connected
{
	PATH=/usr/bin:$PATH timeout 60 nbdsh -u 'nbd+unix:///?socket=nbd' -c "$1"
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

attach()	# FILE SIZE [OPTION...]: loop is a loop device of that size
{
	truncate -s "$2" "$1" && loop=$(losetup -f --show "${@:3}" "$1" 2>out) && loops+=("$loop")
}

# Metadata of 1024 blocks, and an origin of 1600 data blocks.
make_files()
{
	truncate -s 4M "$meta"
	truncate -s 100M "$origin"
}
