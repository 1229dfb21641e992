#!/bin/bash
# SPDX-License-Identifier: MIT
# One server for each device: what is in use is refused, by whatever name it goes, and by the commands.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

make_files
truncate -s 100M origin2
truncate -s 1M meta2

# Files.

check 'serve' serve
check 'a metadata file that is in use is refused' \
	fails_with 'in use' era_check meta
check 'a metadata file that is in use is not written to' \
	fails_with 'in use' era_restore -i /dev/null -o meta
check 'a second server is refused' not_served 'in use' meta origin
check 'a second server with another origin is refused' not_served 'perhaps by another server' meta origin2
ln meta hard
ln -s meta symbolic
for name in hard symbolic; do
	check "the metadata by a $name link" not_served 'in use' "$name" origin2
done

# What a server has as a file, another has not as a loop device, nor the other way round.

attach_another()	# FILE_OR_DEVICE [OPTION...]
{
	loop=$(losetup -f --show "${@:2}" "$1" 2>out) && loops+=("$loop")
}

detach_last()
{
	losetup -d "${loops[-1]}" && unset 'loops[-1]'
}

# A loop device is there only as long as it is tried.
loop_refused()	# FILE_OR_DEVICE [OPTION...]: as an origin
{
	local r

	attach_another "$@" || return 1
	not_served 'in use' meta2 "$loop"
	r=$?
	detach_last
	return $r
}

metadata_loop_refused()	# FILE_OR_DEVICE
{
	local r

	attach_another "$@" || return 1
	not_served 'in use' "$loop" origin2
	r=$?
	detach_last
	return $r
}

served_alone()	# ORIGIN
{
	local meta=meta2 origin=$1

	serve || return 1
	stop TERM
	rm meta2 && truncate -s 1M meta2
}

# Of one file, part 1 is from 1 to 5 MiB, part 2 from 5 to 7 MiB.
check_parts()
{
	local meta origin

	truncate -s 9M parts
	attach_another parts -o 1M --sizelimit 4M
	meta=$loop
	attach_another parts -o 5M --sizelimit 2M
	origin=$loop
	check 'two parts of a file' serve
	check '- the same part' loop_refused parts -o 1M --sizelimit 4M
	check '- one that begins before it' loop_refused parts -o 512K --sizelimit 1M
	check '- one that ends in it' loop_refused parts -o 6M
	check '- one that begins where the file does' loop_refused parts --sizelimit 512K
	check '- the file' not_served 'in use' meta2 parts
	check '- a loop device of the file' loop_refused parts
	check '- a loop device of one of them' loop_refused "$origin"
	check '- a command that writes' fails_with 'in use' era_restore -i /dev/null -o parts
	stop TERM
	check 'they are free again' served_alone "$origin"
	check_partitions
	detach
}

# The first one is part 2 from above.
check_partitions()
{
	local device

	attach_another parts
	device=$loop
	if addpart "$device" 1 10240 4096 2>out && [ -b "${device}p1" ]; then
		check 'a partition' served_alone "${device}p1"
		check 'served with what is a partition as well' serve
		check '- the partition' not_served 'in use' meta2 "${device}p1"
		check '- a loop device of it' loop_refused "${device}p1"
		stop TERM
		delpart "$device" 1
	else
		skips "partitions: $(head -n 1 out)"
	fi
	detach_last
}

# A file that is served is not to be had two loop devices down, nor three.
check_loops_over_loops()
{
	local meta=meta2 origin i

	attach_another origin && attach_another "$loop"
	origin=$loop
	check 'a loop device over another' serve
	check '- the file' not_served 'in use' meta origin
	check '- a loop device of the file' loop_refused origin
	check '- the one below' not_served 'in use' meta "${loops[0]}"
	stop TERM
	check 'free again' served_alone origin
	origin=origin
	check 'the file' serve
	check '- two loop devices over it' not_served 'in use' meta "${loops[1]}"
	check '- three' loop_refused "${loops[1]}"
	stop TERM
	for i in {3..9}; do
		attach_another "${loops[-1]}" || break
	done
	if [ ${#loops[@]} -eq 9 ]; then
		check 'nine of them' not_served 'Too many levels' meta "$loop"
	else
		skips "nine loop devices: $(head -n 1 out)"
	fi
	detach
}

if losetup -f >out 2>&1; then
	check 'the metadata that are served, by a loop device' metadata_loop_refused meta
	check 'the origin that is served, by a loop device' loop_refused origin
	stop TERM
	check_parts
	check_loops_over_loops
	check 'served again after these' serve
	stop TERM
else
	skips 'loop devices: cannot be had'
fi

# Devices that somebody else has, or that cannot be written.

check_refused_devices()
{
	mkdir mounted
	if mkfs.ext4 -q "$loop" 2>out && mount "$loop" mounted 2>out; then
		check 'a mounted origin' not_served 'in use' meta2 "$loop" 8
		check 'mounted metadata' not_served 'in use' "$loop" origin2 8
		umount mounted
	else
		skips "mounted devices: $(head -n 1 out)"
	fi
	check 'a device with something else on it' not_served 'superblock' "$loop" origin2 8
	blockdev --setro "$loop"
	check 'an origin that is read-only' not_served "$loop.*Read-only" meta2 "$loop" 8
	check 'metadata that are' not_served "$loop.*Read-only" "$loop" origin2 8
}

stop TERM
if attach spare.img 16M; then
	check_refused_devices
else
	skips "devices that cannot be served: $(head -n 1 out)"
fi

sum_up
