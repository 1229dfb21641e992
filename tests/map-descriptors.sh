#!/bin/bash
# SPDX-License-Identifier: MIT
# So few file descriptors that clients use them up: whoever comes too late is turned away, or waits, and
# the server rests meanwhile.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/support/serving.sh

if [ -n "${ERA_SANITIZED:-}" ]; then
	echo 'a sanitizer needs descriptors of its own'
	exit 77
fi

make_files
crowded() { PATH=/usr/bin:$PATH timeout 60 python3 "$root/tests/support/few_descriptors.py" "$server" "$work" "$1"; }
serve_with() { local serve_command=(prlimit --nofile="$1" "${serve_command[@]}"); serve; }
check 'served with few descriptors at first' serve_with 40:4096
check 'it takes more' crowded all
stop TERM
check 'served with few descriptors' serve_with 40:40
check 'too many clients are turned away' crowded turned-away
check 'whoever has a message waits' crowded waits
check 'an end in the midst of them' crowded ends
stop TERM
check 'sound after that' era_check meta

sum_up
