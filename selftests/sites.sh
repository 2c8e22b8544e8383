#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# sites: ub.sites in debugfs names the sites of a hot loop, what they chained and
# what their gaps take, is root's alone, and keeps nothing when its process is gone.

. "$(dirname "$0")/tap.sh"

if ! present; then
	skip "ub is not loaded" "ub.sites"
	finish
fi
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
sites=/sys/kernel/debug/ub.sites
group=/sys/fs/cgroup/ubtest.sites
mkdir -p "$group"
echo 1 >"$group/ub.enable"
sh -c 'echo $$ >"$1/cgroup.procs" && exec dd if=/dev/zero of=/dev/null bs=1' sh "$group" 2>/dev/null &
dd=$!

seen=$(mktemp)
# look: the loop's lines
look() { awk -v pid="$dd" '$2 == pid' "$sites" >"$seen"; }
# value SYSCALL KEY: of the loop's site behind that system call
value() { sed -n "s/.* syscall=$1 .* $2=\([^ ]*\).*/\1/p" "$seen"; }
# between LOW VALUE HIGH
between() { [ -n "$2" ] && [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
each_place_is_code() {
	local path offset
	while read -r _ _ path _; do
		offset=$((${path##*+}))
		# 0f 05: a system call is what a gap begins behind
		[ "$(od -An -tx1 -j $((offset - 2)) -N 2 "${path%+*}")" = " 0f 05" ] || return 1
	done <"$seen"
}
paid() {
	local _
	for _ in $(seq 50); do
		look
		[ "$(value 0 verdict)/$(value 1 verdict)" != pays/pays ] || return 0
		sleep 0.2
	done
	return 1
}
sum_is_chained() {
	local before after sum
	before=$(stat_of "$group" chained)
	look
	after=$(stat_of "$group" chained)
	sum=$(sed 's/.* chained=\([0-9]*\).*/\1/' "$seen" | awk '{ sum += $1 } END { print sum + 0 }')
	# Calls of chains under way are in neither, and one that ends at a new site is in no line.
	between $((before - before / 10)) "$sum" "$after"
}

check "the loop is hot" chains "$group"
check "its two sites pay" paid
sed 's/^/# /' "$seen"
check "a line for each begins with the name and the process" \
	test "$(grep -c "^dd $dd /" "$seen")" = "$(wc -l <"$seen")"
check "a site is behind a system call of a file" each_place_is_code
check "the calls of all sites are those chained" sum_is_chained
for nr in 0 1; do
	check "$nr: it was translated" between 1 "$(value $nr rounds)" 400
	check "$nr: native gaps took their time" between 1 "$(value $nr native_ns)" 1000000000
	check "$nr: so did translated ones" between 1 "$(value $nr translated_ns)" 1000000000
done
check "nobody but root reads it" test "$(stat -c %a:%u "$sites")" = 400:0
exec 9<"$sites"
check "the module stays while somebody has it open" eval '! rmmod ub 2>/dev/null'
exec 9<&-
kill -KILL "$dd"
wait "$dd"
look
check "no line is left of an ended process" test ! -s "$seen"
rm -f "$seen"
rmdir "$group"
finish
