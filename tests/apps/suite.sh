# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# suite.sh - what the suites of this directory share; each sources it
#
# A suite is other people's tests, as a command:
#
#   SUITE prepare     installs and builds what it takes; as root, on the host
#   SUITE tests       prints the tests' names, a line each, but those of SUITE.skip, if there is one
#   SUITE run NAME    runs one, in a guest. Exit status: 0 passed, 4 skipped
#
# SUITE.skip has lines "NAME<tab>REASON"; NAME is a shell pattern. ../apps/run runs suites
# natively and under ub, and compares.

set -euo pipefail

suite=${0##*/}
apps=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$apps/../.." && pwd)
# Prepared things live where guests see them, beside the kernels.
cache=${UB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ub}
# shellcheck disable=SC2034 # of the suites
prepared=$cache/suites/$suite

# Of the names on standard input, those that are not left out.
without_skipped() {
	local name pattern reason
	while read -r name; do
		while IFS=$'\t' read -r pattern reason; do
			# shellcheck disable=SC2053 # a pattern
			[[ $name != $pattern ]] || continue 2
		done < <([ ! -e "$apps/$suite.skip" ] || grep -v '^#' "$apps/$suite.skip")
		echo "$name"
	done
}

# packages NAME...: as scripts/setup installs them
packages() {
	"$project/scripts/setup" --packages "$@"
}

# library_path COMMAND...: with the libraries of scripts/setup --apps
library_path() {
	LD_LIBRARY_PATH=$cache/apps/usr/lib/x86_64-linux-gnu:$cache/apps/lib/x86_64-linux-gnu "$@"
}

# unpack_upstream NAME PATTERN...: of the package's upstream source what matches, unless it is there
unpack_upstream() {
	local tar
	tar=$("$project/scripts/setup" --upstream "$1")
	[ "$(cat "$prepared/from" 2>/dev/null)" != "$tar" ] || return 0

	rm -rf "$prepared"
	mkdir -p "$prepared"
	tar -xf "$tar" -C "$prepared" --strip-components=1 --wildcards "${@:2}"
	echo "$tar" >"$prepared/from"
}

# suite_main ARGUMENT...: what each suite ends with
suite_main() {
	case ${1:-} in
	prepare | tests) "$1" ;;
	run) run "${2:?}" ;;
	*)
		echo "usage: $suite prepare | tests | run NAME" >&2
		exit 2
		;;
	esac
}
