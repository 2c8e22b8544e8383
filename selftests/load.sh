#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# load: the module comes and goes: by insmod and by modprobe, five times, with
# nothing and with a task in an enabled cgroup; wrong parameters keep it out; no
# file or directory of it stays. UB_MODULE names the module's file.

. "$(dirname "$0")/tap.sh"

begin_loading
group=/sys/fs/cgroup/ubtest.load
mkdir -p "$group"

no_files() {
	[ ! -e "$group/ub.enable" ] && [ ! -e "$group/ub.stat" ] && [ ! -e /sys/module/ub ] &&
		[ ! -e /sys/kernel/debug/ub.sites ] && [ ! -e /sys/kernel/tracing/events/ub ]
}
refused() { ! insmod "$UB_MODULE" "$@" 2>/dev/null && absent; }
described() {
	local name
	for name in $(modinfo -F parm "$UB_MODULE" | cut -d: -f1); do
		[ -n "$(modinfo -F parm "$UB_MODULE" | sed -n "s/^$name://p" | sed 's/(.*)$//')" ] || return 1
	done
}
fast_rmmod() {
	local start=$SECONDS
	rmmod ub && [ $((SECONDS - start)) -lt 10 ] && absent
}

check "licence is GPL" test "$(modinfo -F license "$UB_MODULE")" = GPL
check "parameters are described" described
check "a value out of range keeps it out" refused chain_max=999999999999
check "so does one that is no number" refused chain_max=x

# The verifier's tables run at load. A file in which one row of them is another instruction
# stands for a verifier that went wrong; the file is otherwise whole.
seeded=/tmp/ub.seeded.ko
# seed FROM TO: the module's file with one place changed
seed() { perl -0777 -pe "\$n = s/$1/$2/; exit 1 if !\$n" "$UB_MODULE" >$seeded; }
seeded_refused() {
	! insmod $seeded selftest=1 2>/dev/null && absent && dmesg | tail -5 | grep -q "not loading: the verifier.*$1"
}
check "the self-test passes" insmod "$UB_MODULE" selftest=1
check "it says so" eval 'dmesg | tail -5 | grep -q "self-test passed"'
rmmod ub
# pshufb xmm0,xmm1; pcmpistri xmm0,xmm1,0; …: cli is among them
check "a row to accept that is not right" seed '\x66\x0f\x38\x00\xc1\x66\x0f\x3a\x63' '\x66\x0f\x38\x00\xc1\xfa\x0f\x3a\x63'
check "keeps it out, with the row's name" seeded_refused verify_accepts.vectors
check "it loads when the test is left out" eval 'insmod $seeded selftest=0 && rmmod ub'
# mov cr3,rax: nop
check "a row to refuse that is not wrong" seed '\x0f\x22\xd8\x00' '\x0f\x1f\xc0\x00'
check "keeps it out, with the row's name" seeded_refused verify_refuses.foreign_registers
rm -f $seeded

for i in 1 2 3 4 5; do
	check "$i: insmod" insmod "$UB_MODULE"
	check "$i: ub.enable reads inherit" test "$(cat "$group/ub.enable")" = inherit
	check "$i: a second insmod fails" eval '! insmod "$UB_MODULE" 2>/dev/null'
	echo 1 >"$group/ub.enable"
	start_spin "$group"
	check "$i: a task chains" chains "$group"
	check "$i: rmmod" fast_rmmod
	check "$i: nothing of it stays" no_files
	check "$i: the task went on rightly" end_spin
done

for i in 1 2 3 4 5; do
	insmod "$UB_MODULE" && rmmod ub || break
done
check "five quick cycles" no_files

# modprobe, in a module tree of our own
tree=$(mktemp -d)
release=$(uname -r)
mkdir -p "$tree/lib/modules/$release/updates"
cp "$UB_MODULE" "$tree/lib/modules/$release/updates/ub.ko"
depmod -b "$tree" "$release" 2>/dev/null
check "modprobe" modprobe -d "$tree" ub
check "it is there" present
check "modprobe -r" modprobe -d "$tree" -r ub
check "it is gone" absent
check "modprobe with a parameter" modprobe -d "$tree" ub enabled=0
check "the parameter is set" grep -q '^[0N]' /sys/module/ub/parameters/enabled
check "rmmod" fast_rmmod
rm -rf "$tree"
rmdir "$group"
finish
