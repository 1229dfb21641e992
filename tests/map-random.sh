#!/bin/bash
# SPDX-License-Identifier: MIT
# A served device under random users, messages, kills and resizes, against a model: see
# support/served_device.py.
#
# ERA_ROUNDS  devices (default 5), each served several times
# ERA_SEED    of the first one; the next one is of the next seed
set -u
cd "$(dirname "$0")/.." || exit 1

for tool in nbdkit /usr/bin/python3; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
/usr/bin/python3 -c 'import nbd' 2>/dev/null || { echo "python3-libnbd is not installed"; exit 77; }
[ -e build/lib/nbdkit/plugins/nbdkit-era-plugin.so ] || { echo "the plugin is not built"; exit 77; }

PATH=$PWD/build/bin:$PATH
# As in support/serving.sh.
if [ -n "${ERA_SANITIZED:-}" ]; then
	preload=$("${CC:-cc}" -print-file-name=libasan.so)
	ubsan=$("${CC:-cc}" -print-file-name=libubsan.so)
	export ASAN_OPTIONS=detect_leaks=0 ERA_PRELOAD="$preload $ubsan"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seed=${ERA_SEED:-$RANDOM}
passed=0 failed=0
for ((i = 0; i < ${ERA_ROUNDS:-5}; i++)); do
	if timeout 600 /usr/bin/python3 tests/support/served_device.py $((seed + i)) "$work"; then
		passed=$((passed + 1))
	else
		echo "FAIL: ERA_SEED=$((seed + i)) ERA_ROUNDS=1"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
