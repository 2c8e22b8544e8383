#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# pressure: the kernel wants memory. Tasks that do nothing lose their translations, and make
# new ones when they go on, with the right results; busy ones keep theirs.

. "$(dirname "$0")/tap.sh"

if ! present || [ "$(id -u)" != 0 ]; then
	skip "ub is not loaded, or this is not root" "memory pressure"
	finish
fi

groups=(/sys/fs/cgroup/ubtest.idle /sys/fs/cgroup/ubtest.busy)
mkdir -p "${groups[@]}"
tasks=()
for group in "${groups[@]}"; do
	echo 1 >"$group/ub.enable"
	"$programs/spin" "$group" >/dev/null &
	tasks+=($!)
	check "${group##*.}: chains" chains "$group"
done

# Asks all shrinkers, for ten seconds at most, until the idle one has nothing.
shrunk() {
	for _ in $(seq 20); do
		echo 2 >/proc/sys/vm/drop_caches
		sleep 0.5
		[ "$(stat_of "${groups[0]}" translations)" != 0 ] || return 0
	done
	return 1
}
nothing_translated() {
	local before
	before=$(stat_of "$1" translated)
	sleep 3
	[ "$(stat_of "$1" translated)" = "$before" ]
}

kill -STOP "${tasks[0]}"
check "idle: has translations" test "$(stat_of "${groups[0]}" translations)" -gt 0
check "idle: loses them" shrunk
check "idle: and their code memory" test "$(stat_of "${groups[0]}" code_bytes)" = 0
check "idle: makes none while it is stopped" nothing_translated "${groups[0]}"
check "busy: still chains" chains "${groups[1]}"
kill -CONT "${tasks[0]}"
check "idle: chains again" chains "${groups[0]}"
for i in 0 1; do
	kill -TERM "${tasks[i]}"
	check "${groups[i]##*.}: went on rightly" wait "${tasks[i]}"
	echo 0 >"${groups[i]}/ub.enable"
	rmdir "${groups[i]}"
done
finish
