#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# nomem: allocations of ub fail, each or one in so many, of every kind: while tasks are
# enabled and moved, while sites become hot, while they are translated and published. The
# program goes on natively with the right results, and is fast again afterwards.
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

# range NAME: where a function of the module begins and ends
range() {
	sort /proc/kallsyms | awk -v name="$1" '
		found && "0x" $1 != found { print found, "0x" $1; exit }
		$3 == name && $4 == "[ub]" { found = "0x" $1 }'
}
module_range() {
	awk '$4 == "[ub]" && tolower($2) == "t" && $3 != "ubk_arena" { print "0x" $1 }' /proc/kallsyms | sort | sed -n '1p;$p' | xargs
}

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

trial() { # NAME INTERVAL RANGES…
	local name=$1
	shift
	check "$name: faults can be set" begin_faults "$@"
	echo 1 >"$group/ub.enable"
	"$programs/churn" "$group" >"/tmp/churn.$$" &
	churn=$!
	for _ in 1 2 3 4 5 6; do
		sleep 0.5
		echo 0 >"$group/ub.enable"
		echo 1 >"$group/ub.enable"
		cat "$group/ub.stat" /sys/kernel/debug/ub.sites >/dev/null 2>&1
	done
	set_faults probability 0
	check "$name: allocations failed" counts "$name"
	check "$name: the program is fast again" chains "$group"
	kill -TERM $churn
	check "$name: it went on rightly" wait $churn
	sed 's/^/# /' "/tmp/churn.$$"
	echo 0 >"$group/ub.enable"
}

mapfile -t -d ' ' all < <(module_range)
mapfile -t -d ' ' hook < <(range ubk_hook_syscall)
mapfile -t -d ' ' core < <(range ubk_alloc)
rates=(1 2 5)
[ -z "${UB_QUICK:-}" ] || rates=(1)
for every in "${rates[@]}"; do
	trial "the glue, one in $every" $every "${all[@]}" "${hook[@]}"
	trial "the core, one in $every" $every "${core[@]}"
done
rm -f "/tmp/churn.$$"
rmdir "$group"
finish
