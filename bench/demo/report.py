#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""report.py - the demo's part on the host: boots the guests, prints the table, writes the results

usage: report.py [--quick] [CASE...]        (bench/demo/run calls it)

build/results/demo.json has a row per case and guest; `totals` counts the rows whose
outputs are equal and that reach what THRESHOLDS asks of them.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from shared.host import guest, print_table, write_results  # noqa: E402

SIZES = (64, 256, 1024, 4096)
CASES = ["getppid", *(f"pread-{n}" for n in SIZES), *(f"pread-{n}-sum" for n in SIZES), "dd", "udp"]

# kernel, command line, cases
GUESTS = (
    ("6.1", "pti=on", CASES),
    ("6.1", "pti=off", CASES + ["outside"]),
    ("6.12", "pti=off", ["getppid"]),
)

# What a row has to reach. The -sum cases whose gap is longer than the profiler calls short
# need not be chained.
CHAINED = 0.95
FIRST_CHAIN_MS = 250
RATIO = 0.97
RATIOS = {
    ("6.1", "pti=on", "getppid"): 4.0,
    ("6.1", "pti=on", "pread-64"): 2.5,
    ("6.1", "pti=on", "dd"): 3.0,
    ("6.1", "pti=off", "getppid"): 1.4,
    ("6.1", "pti=off", "pread-64"): 1.05,
    ("6.1", "pti=off", "dd"): 1.15,
    ("6.1", "pti=off", "outside"): 1 / 1.15,
}


def misses(row):
    """In words, what a row does not reach."""
    found = []
    least = RATIOS.get((row["kernel"], row["append"], row["case"]), RATIO)
    if not row["equal"]:
        found.append("outputs differ")
    if row["ratio"] < least:
        found.append(f"ratio {row['ratio']:.2f} < {least:.2f}")
    if row["case"] == "outside":
        return found
    if row["chained"] < CHAINED and not ("-sum" in row["case"] and row["long_gap"]):
        found.append(f"chained {row['chained']:.1%} < {CHAINED:.0%}")
    if row["first_chain_ms"] is None:
        if not ("-sum" in row["case"] and row["long_gap"]):
            found.append("never chained while watched")
    elif row["first_chain_ms"] > FIRST_CHAIN_MS:
        found.append(f"first chain after {row['first_chain_ms']:.0f} ms > {FIRST_CHAIN_MS}")
    return found


def rate(value):
    return f"{value / 1e6:.3f} M" if value >= 1e6 else f"{value / 1e3:.1f} k"


def table(rows):
    head = ("case", "kernel", "", "off", "on", "ratio", "±", "chained", "exits", "first chain", "equal")
    lines = [head]
    for row in rows:
        exits = ", ".join(f"{reason} {count}" for reason, count in
                          sorted(row["exits"].items(), key=lambda item: -item[1])[:3])
        first = row["first_chain_ms"]
        outside = row["case"] == "outside"
        lines.append((row["case"], row["kernel"], row["append"], rate(row["off"]), rate(row["on"]),
                      f"{row['ratio']:.2f}", f"{row['spread']:.0%}",
                      "" if outside else f"{row['chained']:.1%}", exits or "-",
                      "" if outside else "never" if first is None else f"{first:.0f} ms",
                      "yes" if row["equal"] else "NO"))
    print_table(lines)


def main():
    chosen = [word for word in sys.argv[1:] if not word.startswith("--")]
    options = ["--pairs", "3", "--seconds", "0.3"] if "--quick" in sys.argv else []
    rows, complete = [], True
    for kernel, append, cases in GUESTS:
        cases = [case for case in cases if not chosen or case in chosen]
        if not cases:
            continue
        got, well = guest("demo", kernel, append, cases, options, 120 + 90 * len(cases))
        rows += got
        complete &= well

    table(rows)
    print("calls/s in an emulated CPU; with pti=on the emulator exaggerates what a crossing costs.")
    missed = [(row, misses(row)) for row in rows]
    failed = sum(1 for _, found in missed if found)
    for row, found in missed:
        if found:
            print(f"misses: {row['case']} ({row['kernel']}, {row['append']}): {'; '.join(found)}")
    equal = all(row["equal"] for row in rows)
    write_results("demo", rows, failed)
    if not complete:
        print("not every guest ran to its end")
    if not equal:
        print("outputs differ between off and on")
    sys.exit(0 if complete and equal and rows else 1)


if __name__ == "__main__":
    main()
