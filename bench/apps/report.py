#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""report.py - the part of bench/apps on the host: boots the guests, prints the table, writes the results

usage: report.py [--slice] [--places] [--docs] [KERNEL...] [CASE...]        (bench/apps/run calls it)

build/results/gaps.json has a row per case and kernel. Beside what measure.py says there are in it
`instructions`, executed in user mode by the program natively, `instructions_native`, the same under ub, and
`translated_share`, the part of the former that ub took over. count.c has counted them.
"""

import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from shared.host import COUNTED, PROJECT, guest, print_table, write_results  # noqa: E402

CASES = ["redis-get-3", "redis-set-3", "redis-set-4096", "nginx-4096", "memcached-get", "memcached-set",
         "sqlite-select", "sqlite-insert", "python3-stat", "dd", "find", "grep", "ls"]
KERNELS = ("6.1", "6.12")
SLICE = ["redis-get-3", "nginx-4096"]

# The translated share that is called covered, and what a run of the slice has to reach.
SHARE = 0.999
SLICE_CHAINED = 0.5

COUNT = PROJECT + "/build/apps/count"
SECONDS_TO_BOOT, SECONDS_A_CASE = 300, 240
DOCUMENT = PROJECT + "/docs/gaps.md"


def machines():
    """One CPU and a clock that counts, with the plugin."""
    return [(cpus, {**more, "UB_QEMU_ARGS": f"{more['UB_QEMU_ARGS']} -plugin {COUNT}.so,out={COUNT}"})
            for cpus, more in COUNTED]


def add_instructions(rows):
    with open(COUNT) as f:
        marks = [int(line) for line in f]
    for row in rows:
        native, under_ub = (statistics.median(marks[2 * run + 1] - marks[2 * run] for run in row["runs"][side])
                            for side in ("off", "on"))
        row["instructions"], row["instructions_native"] = native, under_ub
        row["translated_share"] = round(1 - under_ub / native, 5)


def exits(row):
    return ", ".join(f"{reason} {count:.3g}" for reason, count in
                     sorted(row["exits_per_1000"].items(), key=lambda item: -item[1])) or "–"


def ms(value):
    return "–" if value is None else f"{value:.0f}"


HEAD = ("case", "kernel", "gaps", "chained", "translated", "exits per 1,000 gaps", "first", "learned", "verdict",
        "translations", "most rounds", "ratio", "equal")


def line(row):
    return (row["case"], row["kernel"], f"{row['gaps']:,}", f"{row['chained']:.2%}", f"{row['translated_share']:.2%}",
            exits(row), ms(row["first_chain_ms"]), ms(row.get("learned_ms")), ms(row.get("verdict_ms")),
            str(row["translations"]), str(row.get("rounds", "–")), f"{row['ratio']:.2f}", "yes" if row["equal"] else "NO")


TEXT = """# What of real gaps runs translated

`make gaps` makes this page; the last time on {date}, of commit {commit}. Debian's programs as they are, on stock kernels, in
an emulator whose clock advances 1 ns an instruction (QEMU TCG, `-icount shift=0`, one CPU, `pti=off`): times are
counts of instructions, and the same whatever else the host does. The emulated CPU has AVX2 and no AVX-512.

A server was asked for {warm} s of that time before it was measured; of a tool everything counts, from its start on. Sites stayed
translated whether they pay in an emulator or not (`put_back=0`), and chains could last a second. Medians of {runs} a side;
a case or kernel that is not in the table was not run.

- *chained*: of all system calls, those made without leaving the kernel.
- *translated*: of the instructions that the program executes in user mode natively, those that user mode did not execute
  under ub for the same work. Counted one by one ([count.c](../bench/apps/count.c)): what comes behind an exit, up to the
  next system call, counts as lost, and so do gaps that ub does not enter.
- *exits*: gaps left inside, by reason, per 1,000 system calls.
- *first*, *learned*, *verdict*: milliseconds from the first request on until a call was chained, until the last translation was made,
  and until no site was on trial any more.
- *translations*: made in all; *most rounds*: of one site.
- *ratio*: throughput with ub on to off, in instructions: it knows nothing of what a crossing costs on a real CPU.

"""


def write_document(results):
    rows = results["rows"]
    with open(DOCUMENT, "w") as f:
        warm = sorted({f"{row['warm_s']:g}" for row in rows if "warm_s" in row})
        runs = min(len(row["runs"]["on"]) for row in rows)
        f.write(TEXT.format(date=results["date"][:10], commit=results["commit"][:12], warm=", ".join(warm) or "no",
                            runs=f"{runs} run" + "s" * (runs > 1)))
        f.write("| " + " | ".join(HEAD) + " |\n|" + "---|" * 2 + "--:|" * 3 + "---|" + "--:|" * 6 + "---|\n")
        for row in rows:
            f.write("| " + " | ".join(line(row)) + " |\n")


def print_places(row):
    for count, reason, place in row.get("places", []):
        print(f"{row['case']}: left {count} times, {reason}: {place}")
    for translation in row.get("log", []):
        print(f"{row['case']}: {translation}")
    for site in row.get("all_sites", []):
        print(f"{row['case']}:", " ".join(f"{key}={value}" for key, value in site.items() if value != "0"))


def tap(rows, complete):
    """The slice as tests. Returns whether all passed."""
    tests = [("every guest ran to its end", complete)]
    for row in rows:
        tests.append((f"{row['case']}: replies are those of the native server", row["equal"]))
        tests.append((f"{row['case']}: {row['chained']:.1%} of {row['gaps']} calls chained, at least {SLICE_CHAINED:.0%}",
                      row["chained"] >= SLICE_CHAINED))
    for number, (name, passed) in enumerate(tests, 1):
        print(f"{'ok' if passed else 'not ok'} {number} {name}")
    print(f"1..{len(tests)}")
    return all(passed for _, passed in tests)


def main():
    words = sys.argv[1:]
    chosen = [word for word in words if word in CASES]
    own = ("--slice", "--docs")
    options = [word for word in words if word not in (*CASES, *KERNELS, *own)]
    part = "--slice" in words
    cases, kernels = (SLICE, KERNELS[:1]) if part else (
        chosen or CASES, [kernel for kernel in KERNELS if kernel in words] or KERNELS)
    if part:
        options += ["--pairs", "1", "--seconds", "0.05", "--warm", "0.4"]
    apps = os.environ.get("UB_CACHE", os.path.expanduser("~/.cache/ub")) + "/apps"
    rows, complete = [], True
    for kernel in kernels:
        got, well = guest("apps", kernel, "pti=off", cases, options, SECONDS_TO_BOOT + SECONDS_A_CASE * len(cases),
                          machines(), {"UB_APPS": apps})
        add_instructions(got)
        rows += got
        complete &= well
    equal = all(row["equal"] for row in rows)
    if part:
        sys.exit(0 if tap(rows, complete) else 1)
    print_table([HEAD, *(line(row) for row in rows)])
    for row in rows:
        print_places(row)
    results = write_results("gaps", rows, sum(row["translated_share"] < SHARE or not row["equal"] for row in rows))
    if "--docs" in words:
        write_document(results)
    sys.exit(0 if complete and equal and rows else 1)


if __name__ == "__main__":
    main()
