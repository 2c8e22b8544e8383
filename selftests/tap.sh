# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# tap.sh - TAP and ub.stat for tests that are bash scripts; sourced.

points=0 failures=0

# check NAME COMMAND...: a point, passed if the command succeeds
check() {
	local name=$1
	shift
	points=$((points + 1))
	if "$@"; then
		echo "ok $points $name"
	else
		failures=$((failures + 1))
		echo "not ok $points $name"
	fi
}

skip() {
	points=$((points + 1))
	echo "ok $points $2 # SKIP $1"
}

finish() {
	echo "1..$points"
	[ "$failures" = 0 ]
	exit
}

here=$(cd "$(dirname "$0")" && pwd)
# Where the programs are: beside the script, or where run-all built them.
programs=${UB_PROGRAMS:-$here}

present() { [ -e /sys/module/ub ]; }
absent() { ! present; }

# begin_loading: for tests that load the module themselves; ends the test where they cannot
begin_loading() {
	if [ -z "${UB_MODULE:-}" ] || [ "$(id -u)" != 0 ]; then
		skip "UB_MODULE does not name a module" "loading"
		finish
	fi
	absent || rmmod ub
}

# start_spin CGROUP, end_spin: a task of the cgroup that makes system calls; were its results right?
start_spin() {
	"$programs/spin" "$1" >"/tmp/spin.$$" &
	spin=$!
}
end_spin() {
	kill -TERM "$spin"
	rm -f "/tmp/spin.$$"
	wait "$spin"
}

# stat_of CGROUP KEY
stat_of() { awk -v key="$2" '$1 == key { print $2 }' "$1/ub.stat"; }

# chains CGROUP: within ten seconds its tasks chain most of what they call
chains() {
	local c0 c1 s0 s1
	for _ in $(seq 50); do
		c0=$(stat_of "$1" chained) s0=$(stat_of "$1" syscalls)
		sleep 0.2
		c1=$(stat_of "$1" chained) s1=$(stat_of "$1" syscalls)
		[ $((s1 - s0)) -le 100 ] || [ $(((c1 - c0) * 10)) -lt $(((s1 - s0) * 8)) ] || return 0
	done
	return 1
}

# module_symbol NAME: its address
module_symbol() { awk -v name="$1" '$3 == name && $4 == "[ub]" { print "0x" $1; exit }' /proc/kallsyms; }

# kernel_bytes FROM COUNT: of the kernel's memory
kernel_bytes() {
	local offset start size
	while read -r offset start size; do
		if [ $(($1 - start)) -ge 0 ] && [ $(($1 - start)) -lt $((size)) ]; then
			dd if=/proc/kcore iflag=skip_bytes,count_bytes skip=$((offset + $1 - start)) count="$2" bs=64k status=none
			return
		fi
	done < <(readelf -lW /proc/kcore | awk '$1 == "LOAD" { print $2, $3, $5 }')
}

echo "TAP version 13"
