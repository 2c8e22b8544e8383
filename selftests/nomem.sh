#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# nomem: allocations of ub fail, each or one in so many, of every kind: while tasks are
# enabled and moved, while sites become hot, while they are translated and published. The
# program goes on natively with the right results, and the next one is fast.
#
# A kernel with failslab, fail_page_alloc and their filter by stack is needed: what has ub on its
# stack fails. Chained system calls have, too; they are left out by rejecting the hook, and
# what the core allocates below it is filtered by the function that does.

. "$(dirname "$0")/tap.sh"

mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
faults=/sys/kernel/debug
if ! present || [ ! -e $faults/failslab/require-start ]; then
	skip "ub is not loaded, or this kernel has no failslab with a filter by stack" "allocation failures"
	finish
fi

group=/sys/fs/cgroup/ubtest.nomem
mkdir -p "$group"

# set_faults FILE VALUE: of both kinds
set_faults() {
	local kind
	for kind in failslab fail_page_alloc; do
		echo "$2" >$faults/$kind/"$1" || return 1
	done
}

# The module's functions, by address.
functions=$(mktemp)
awk '$4 == "[ub]" && tolower($2) == "t" && $3 != "ubk_arena" { print "0x" $1, $3 }' /proc/kallsyms | LC_ALL=C sort >"$functions"

# range NAME: where a function begins, and the next one
range() { awk -v name="$1" 'found && $1 != found { print found, $1; exit } $2 == name { found = $1 }' "$functions"; }

# begin_faults INTERVAL REQUIRE-START REQUIRE-END [REJECT-START REJECT-END]
begin_faults() {
	set_faults require-start "$2" && set_faults require-end "$3" &&
		set_faults reject-start "${4:-0}" && set_faults reject-end "${5:-0}" &&
		set_faults stacktrace-depth 32 && set_faults interval "$1" && set_faults times 1000000 &&
		set_faults verbose 0 && echo 0 >$faults/failslab/ignore-gfp-wait &&
		echo 0 >$faults/fail_page_alloc/ignore-gfp-wait && echo 0 >$faults/fail_page_alloc/min-order &&
		set_faults probability 100
}
failed() { echo $((2000000 - $(cat $faults/failslab/times) - $(cat $faults/fail_page_alloc/times))); }
counts() { echo "# $1: $(failed) allocations failed"; [ "$(failed)" -gt 0 ]; }

# enable 0|1: may fail while allocations do
enable() { echo "$1" 2>/dev/null >"$group/ub.enable"; }

trial() { # NAME INTERVAL RANGES…
	local name=$1
	shift
	check "$name: faults can be set" begin_faults "$@"
	enable 1
	"$programs/churn" "$group" >"/tmp/churn.$$" &
	churn=$!
	for _ in 1 2 3 4 5 6; do
		sleep 0.5
		enable 0
		enable 1
		cat "$group/ub.stat" /sys/kernel/debug/ub.sites >/dev/null 2>&1
	done
	set_faults probability 0
	check "$name: allocations failed" counts "$name"
	kill -TERM $churn
	check "$name: the program went on rightly" wait $churn
	sed 's/^/# /' "/tmp/churn.$$"
	check "$name: the cgroup can be enabled" enable 1
	start_spin "$group"
	check "$name: the next one is fast" chains "$group"
	check "$name: and right" end_spin
	enable 0
}

read -ra hook < <(range ubk_hook_syscall)
read -ra core < <(range ubk_alloc)
all=("$(awk 'NR == 1 { print $1 }' "$functions")" "$(awk 'END { print $1 }' "$functions")")
rates=(1 2 5)
[ -z "${UB_QUICK:-}" ] || rates=(1)
for every in "${rates[@]}"; do
	trial "the glue, one in $every" $every "${all[@]}" "${hook[@]}"
	trial "the core, one in $every" $every "${core[@]}"
done
rm -f "/tmp/churn.$$" "$functions"
rmdir "$group"
finish
