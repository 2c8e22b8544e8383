#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py - the demo's part in the guest

usage: measure.py [--pairs N] [--seconds S] CASE...

Loads the module UB_MODULE names, makes a cgroup with ub.enable = 1 and one with 0,
and runs each case's program in both in turn: the same number of calls, chosen so
that the native side takes S seconds. One JSON object a case goes to standard
output, in the form of build/results (see bench/demo/run); progress to standard error.

Each case is first started once to be watched: ub.stat of its cgroup is read every
millisecond for the time from the loop's start to the first chained system call.
Shares and exits are those of the measured calls, after the program's warm-up; dd
knows no warm-up, and they are those from when the watched run was hot on.

The case `outside` compares the module not loaded with a program outside of the
enabled cgroup while that has a task.
"""

import json
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from shared.guest import (OFF, ON, PROGRAMS, first_chain_ms, load, row, say, short_gap_ns, start,  # noqa: E402
                          stat_of, total, unload, watched)

WARM_MS = 300


class Program:
    """A case that one of our programs runs."""

    longer = 1

    def __init__(self, *arguments):
        self.arguments = [PROGRAMS + "/" + arguments[0], *arguments[1:]]

    def command(self, calls, group):
        stat = ["--stat", group + "/ub.stat"] if group else []
        return [*self.arguments, "--calls", str(calls), "--warm", str(WARM_MS), *stat]

    @staticmethod
    def result(process):
        out, err = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{process.args}: exit status {process.returncode}: {err}")
        words = dict(word.split("=", 1) for word in out.split())
        stat = {key[5:]: int(value) for key, value in words.items() if key.startswith("stat.")}
        return {"calls": int(words["calls"]), "seconds": int(words["ns"]) / 1e9,
                "output": (words["calls"], words["checksum"]), "start": int(words["start"]) / 1e9,
                "stat": stat}


class Dd:
    """dd bs=1: two system calls a byte. What it does before it is hot is measured, too, so that
    it runs longer."""

    longer = 4

    def command(self, calls, group):
        return ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={calls // 2}"]

    @staticmethod
    def result(process):
        _, err = process.communicate()
        match = re.search(r"^(\d+)\+0 records in\n(\d+)\+0 records out\n(\d+) bytes.* copied, ([\d.e+-]+) s",
                          err, re.M)
        if process.returncode or not match:
            raise RuntimeError(f"dd: exit status {process.returncode}: {err}")
        return {"calls": 2 * int(match[3]), "seconds": float(match[4]),
                "output": (match[1], match[2], match[3]), "start": None, "stat": {}}

    @staticmethod
    def same_copy():
        """A copied file is the same on both sides."""
        copies = []
        for group in OFF, ON:
            process = start(group, ["dd", "if=/usr/bin/dd", "of=/dev/shm/demo-copy", "bs=1"])
            process.communicate()
            with open("/dev/shm/demo-copy", "rb") as f:
                copies.append(f.read())
        with open("/usr/bin/dd", "rb") as f:
            return copies == 2 * [f.read()]


CASES = {"getppid": Program("getppid"), "udp": Program("udp"), "dd": Dd()}
for size in 64, 256, 1024, 4096:
    CASES[f"pread-{size}"] = Program("pread", "--size", str(size))
    CASES[f"pread-{size}-sum"] = Program("pread", "--size", str(size), "--sum")


def run(case, group, calls):
    return case.result(start(group, case.command(calls, group)))


def calibrate(case, seconds):
    """The number of calls that takes so long natively."""
    calls = 2000
    while True:
        took = run(case, OFF, calls)["seconds"]
        if took > seconds / 8:
            return max(1000, int(calls * seconds / took) // 1000 * 1000)
        calls *= 8


def watch(case, calls):
    """One run on the enabled side, looked at every millisecond. Returns the ms from the loop's
    start to the first chained call, and the differences of ub.stat from when it was hot on."""
    words, result = watched(lambda command: case.result(start(None, command)), case.command(calls, ON))
    return first_chain_ms(words, result["start"]), stat_of(words)


def rates_of_pairs(case, calls, pairs):
    """Interleaved: off on, on off, off on, ..."""
    sides = {OFF: [], ON: []}
    for pair in range(pairs):
        for group in (OFF, ON) if pair % 2 == 0 else (ON, OFF):
            sides[group].append(run(case, group, calls))
    return sides


def measure(name, pairs, seconds):
    case = CASES[name]
    calls = calibrate(case, seconds * case.longer)
    first_ms, since = watch(case, calls)
    sides = rates_of_pairs(case, calls, pairs)
    rates = {group: [r["calls"] / r["seconds"] for r in runs] for group, runs in sides.items()}
    stats = [r["stat"] for r in sides[ON]] if name != "dd" else [since]
    syscalls = total(stats, "syscalls")
    keys = sorted({key for stat in stats for key in stat if key.startswith("exit_")})
    exits = {key[5:]: total(stats, key) for key in keys if total(stats, key)}
    equal = len({r["output"] for runs in sides.values() for r in runs}) == 1
    if name == "dd":
        equal = equal and Dd.same_copy()
    native_ns = 1e9 / statistics.median(rates[OFF])
    return row(name, rates[OFF], rates[ON], equal, {
        "chained": round(total(stats, "chained") / syscalls, 4) if syscalls else 0.0,
        "exits": exits, "exits_total": total(stats, "exits"), "syscalls": syscalls,
        "first_chain_ms": None if first_ms is None else round(first_ms, 1),
        "native_ns": round(native_ns, 1), "calls": calls,
        "long_gap": native_ns > short_gap_ns()})


def measure_outside(pairs, seconds):
    case = CASES["getppid"]
    calls = calibrate(case, seconds)
    off, on, outputs = [], [], set()
    for _ in range(pairs):
        unload()
        result = run(case, None, calls)
        off.append(result["calls"] / result["seconds"])
        outputs.add(result["output"])
        load()
        inside = start(ON, ["sleep", "1000"])
        result = run(case, OFF, calls)
        on.append(result["calls"] / result["seconds"])
        outputs.add(result["output"])
        chained = result["stat"].get("chained", 0)
        inside.kill()
        inside.communicate()
    return row("outside", off, on, len(outputs) == 1 and chained == 0,
               {"chained": 0.0, "exits": {}, "first_chain_ms": None})


def main():
    arguments, names = sys.argv[1:], []
    pairs, seconds = 5, 0.7
    while arguments:
        word = arguments.pop(0)
        if word == "--pairs":
            pairs = int(arguments.pop(0))
        elif word == "--seconds":
            seconds = float(arguments.pop(0))
        else:
            names.append(word)
    load()
    for name in names:
        began = time.monotonic()
        result = measure_outside(pairs, seconds / 2) if name == "outside" else measure(name, pairs, seconds)
        print(json.dumps(result), flush=True)
        say(f"{name}: {result['ratio']:.2f}x, {result['chained']:.1%} chained"
            f" ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
