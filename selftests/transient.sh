#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# transient: the policy for transient execution (docs/transient.md), row by row. The
# emulator has none of the CPUs, so the module is loaded with the parameter that makes a
# row hold: a refusing one keeps cgroups off, one that clears the branch history is
# called behind each image, one for threads keeps them native.

. "$(dirname "$0")/tap.sh"

begin_loading
group=/sys/fs/cgroup/ubtest.transient
mkdir -p "$group"

parameter() { cat /sys/module/ub/parameters/transient; }
# For a second the group's tasks make system calls, and chain none.
chains_nothing() {
	local c0 s0
	sleep 1
	c0=$(stat_of "$group" chained) s0=$(stat_of "$group" syscalls)
	sleep 1
	[ "$(stat_of "$group" chained)" = "$c0" ] && [ "$(stat_of "$group" syscalls)" -gt $((s0 + 100)) ]
}
refuses() { ! echo 1 2>/dev/null >"$group/ub.enable" && [ "$(cat "$group/ub.enable")" != 1 ]; }
log_names() { dmesg | tail -20 | grep -q "$1"; }

# leaves_by NAME…: behind ub_leave are calls of exactly these functions, one right behind the other
leaves_by() {
	local from bytes at name behind=0
	from=$(module_symbol ub_leave)
	mapfile -t bytes < <(kernel_bytes "$from" 160 | od -An -v -tx1 -w1)
	[ ${#bytes[@]} = 160 ] || return 1
	for ((at = 0; at < 150; at++)); do
		[ "${bytes[at]}" = " e8" ] || continue
		name=$(printf '%x' $((from + at + 5 + (16#${bytes[at + 4]// }${bytes[at + 3]// }${bytes[at + 2]// }${bytes[at + 1]// } ^ 1 << 31) - (1 << 31))))
		name=$(awk -v at="$name" '$1 == at { print $3 }' /proc/kallsyms)
		echo "# ub_leave+$at calls $name"
		[ "$name" = "${1:-}" ] && { [ $behind = 0 ] || [ $behind = $at ]; } || return 1
		behind=$((at + 5))
		shift
	done
	[ $# = 0 ]
}

insmod "$UB_MODULE"
check "no row holds on the emulator's CPU" test -z "$(parameter)"
check "nothing stands between an image and what follows" leaves_by ubk_next_image
rmmod ub
check "a row that is none keeps it out" eval '! insmod "$UB_MODULE" transient=buffers,none 2>/dev/null'

for row in buffers divider returns barrier; do
	insmod "$UB_MODULE" transient=$row
	check "$row: holds" test "$(parameter)" = $row
	check "$row: no cgroup is enabled" refuses
	check "$row: the log says which, and why" log_names 'ubtest.transient stays off: on this CPU'
	check "$row: a cgroup can be switched off" eval 'echo 0 >"$group/ub.enable"'
	rmmod ub
done

for row in history_loop history_fence; do
	insmod "$UB_MODULE" transient=$row
	echo 1 >"$group/ub.enable"
	start_spin "$group"
	check "$row: a task chains" chains "$group"
	check "$row: the history is cleared behind each image" leaves_by ubk_$row ubk_next_image
	check "$row: the task went on rightly" end_spin
	echo 0 >"$group/ub.enable"
	rmmod ub
done

for row in shadow_stack tagged_pointers; do
	insmod "$UB_MODULE" transient=$row
	echo 1 >"$group/ub.enable"
	start_spin "$group"
	check "$row: the thread goes on natively" chains_nothing
	check "$row: the task went on rightly" end_spin
	echo 0 >"$group/ub.enable"
	rmmod ub
done

# locks.c compares what it does with what it did natively; its exits say that it left.
insmod "$UB_MODULE"
check "locked accesses chain" "$programs/locks" chained
rmmod ub
insmod "$UB_MODULE" transient=split_lock
check "split_lock: locked accesses leave, split ones with the native result" "$programs/locks" left
rmmod ub

rmdir "$group"
finish
