#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# strace: strace -p on a hot loop shows its system calls with their results,
# detaches, and the loop goes on rightly and becomes hot again.

. "$(dirname "$0")/tap.sh"

if ! command -v strace >/dev/null; then
	skip "strace is not installed" "strace of a hot loop"
	finish
fi

group=/sys/fs/cgroup/ubtest.strace
out=$(mktemp)
if present; then
	mkdir -p "$group"
	echo 1 >"$group/ub.enable"
	"$programs/spin" "$group" >"$out.spin" &
else
	group=''
	"$programs/spin" >"$out.spin" &
fi
spin=$!
hot() { [ -z "$group" ] || chains "$group"; }

# Both calls in turn, with the right results, in the middle of the trace.
in_turn() {
	[ "$(wc -l <"$out")" -gt 20 ] &&
		sed -n 5,20p "$out" | awk -v parent="$$" '
			/^getppid\(\)/ { if ($NF != parent || last == "p") exit 1; last = "p"; next }
			/^getuid\(\)/ { if ($NF != 0 || last == "u") exit 1; last = "u"; next }
			/^(---|\+\+\+|strace)/ { next }
			{ exit 1 }'
}
# How many lines strace has written: at least so many?
lines() { [ "$(cat "$out" 2>/dev/null | wc -l)" -ge "$1" ]; }
# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" || [ $SECONDS -ge $end ]; do sleep 0.1; done
}
no_tracer() { grep -q '^TracerPid:.0$' "/proc/$spin/status"; }

check "the loop is hot" hot
for i in 1 2 3; do
	timeout -k 5 60 strace -p "$spin" -o "$out" 2>/dev/null &
	wait_for 60 lines 21
	kill $!
	wait $!
	check "$i: strace shows its calls ($(wc -l <"$out") lines)" in_turn
	check "$i: strace has detached" no_tracer
	check "$i: the loop is hot again" hot
done
timeout -s INT -k 5 2 strace -c -p "$spin" -o "$out" 2>/dev/null
check "strace -c counts both" eval 'grep -q getppid "$out" && grep -q getuid "$out"'
kill -TERM "$spin"
check "the loop went on rightly" wait "$spin"
cat "$out.spin" | sed 's/^/# /'
rm -f "$out" "$out.spin"
[ -z "$group" ] || rmdir "$group"
finish
