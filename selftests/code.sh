#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# code: code memory while translations are published and retired under load. No page
# of the kernel's page tables is writable and executable; the arena is executable and read-only; when
# all translations are gone, each of its bytes is an int3.

. "$(dirname "$0")/tap.sh"

if ! present; then
	skip "ub is not loaded" "code memory"
	finish
fi

group=/sys/fs/cgroup/ubtest.code
tables=/sys/kernel/debug/page_tables/kernel
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
mkdir -p "$group"
echo 1 >"$group/ub.enable"

arena=$(module_symbol ubk_arena)
arena_bytes=$((16 << 20))

walk() { cat $tables >"/tmp/tables.$$"; }
# Of a walk, one that came as far as the modules: the pages that are both.
writable_and_executable() { awk '/---\[ Modules \]---/ { whole = 1 } / RW / && / x / { print "# " $0; n++ } END { exit !whole || n }' "/tmp/tables.$$"; }
# Its lines that have a part of the arena: from START-END on.
arena_is_code() {
	local range rest found=0
	while read -r range rest; do
		case $range in 0xffffffff[a-f]*-0x*) ;; *) continue ;; esac
		[ $((${range%-*} - arena)) -lt $arena_bytes ] && [ $((${range#*-} - arena)) -gt 0 ] || continue
		found=1
		case " $rest " in *" ro "*" x "*) ;; *) echo "# $range $rest"; return 1 ;; esac
	done <"/tmp/tables.$$"
	[ $found = 1 ]
}
retires() { # within ten seconds
	local before
	before=$(stat_of "$group" retired)
	for _ in $(seq 50); do
		sleep 0.2
		[ "$(stat_of "$group" retired)" -lt $((before + 10)) ] || return 0
	done
	return 1
}
all_gone() {
	for _ in $(seq 50); do
		[ "$(awk '$1 == "code_bytes" { print $2 }' /sys/fs/cgroup/ub.stat)" != 0 ] || return 0
		sleep 0.2
	done
	return 1
}
other_bytes() { kernel_bytes "$arena" $arena_bytes | tr -d '\314' | wc -c; }
arena_is_int3() { [ "$(kernel_bytes "$arena" $arena_bytes | wc -c)" = $arena_bytes ] && [ "$(other_bytes)" = 0 ]; }

"$programs/churn" "$group" >"/tmp/churn.$$" &
churn=$!
check "translations are retired all the time" retires
if [ -e $tables ]; then
	for i in 1 2 3; do
		walk
		check "$i: no page is writable and executable" writable_and_executable
		check "$i: the arena is executable and read-only" arena_is_code
		check "$i: translations are retired" retires
	done
else
	skip "no $tables in this kernel" "a walk of the page tables"
fi
if [ -e /proc/kcore ]; then
	check "the arena holds images" test "$(other_bytes)" -gt 100
fi
kill -TERM $churn
check "the program went on rightly" wait $churn
sed 's/^/# /' "/tmp/churn.$$"
echo "# $(stat_of "$group" translated) translated, $(stat_of "$group" retired) retired"
check "no image is left" all_gone
if [ -e /proc/kcore ]; then
	check "each byte of the arena is an int3" arena_is_int3
else
	skip "no /proc/kcore in this kernel" "each byte of the arena is an int3"
fi
rm -f "/tmp/tables.$$" "/tmp/churn.$$"
rmdir "$group"
finish
