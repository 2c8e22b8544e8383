# SPDX-License-Identifier: GPL-2.0
"""guest.py - what the benchmarks' parts in the guest share

Loading the module UB_MODULE names, a cgroup with ub.enable = 1 and one with 0, starting
programs in them, reading ub.stat, and the form of a row of build/results. Nothing here
knows a case; bench/demo/measure.py and bench/apps/measure.py do.
"""

import os
import statistics
import subprocess
import sys

CGROUPS = "/sys/fs/cgroup"
OFF, ON = CGROUPS + "/bench-off", CGROUPS + "/bench-on"
PARAMETERS = "/sys/module/ub/parameters/"
PROGRAMS = os.environ.get("UB_PROGRAMS", "")


def say(text):
    print(os.path.basename(os.path.dirname(sys.argv[0])) + ": " + text, file=sys.stderr, flush=True)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def parse_stat(text):
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def read_stat(group):
    with open(group + "/ub.stat") as f:
        return parse_stat(f.read())


def load():
    subprocess.run(["insmod", os.environ["UB_MODULE"]], check=True)
    for group, value in (OFF, "0"), (ON, "1"):
        os.makedirs(group, exist_ok=True)
        write(group + "/ub.enable", value)


def unload():
    subprocess.run(["rmmod", "ub"], check=True)


def start(group, command, **environment):
    def join():
        if group:
            write(group + "/cgroup.procs", "0")
    return subprocess.Popen(command, preexec_fn=join, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"], **environment})


def watched(run, command):
    """Runs a command in ON by way of `run`, which is given it as bench/demo/watch's, that is read
    ub.stat every millisecond. Returns what that has seen, as words, and what `run` did."""
    report = "/dev/shm/bench-watch"
    result = run([PROGRAMS + "/watch", ON, report, *command])
    with open(report) as f:
        return dict(word.split("=", 1) for word in f.read().split()), result


def first_chain_ms(words, start=None):
    """From `start`, in s, or else when the program made many calls, to the first one chained. None: none was."""
    first, begun = int(words["first"]) / 1e9, start or int(words["loop"]) / 1e9
    return max(0.0, (first - begun) * 1000) if first and begun else None


def stat_of(words):
    return {key[5:]: int(value) for key, value in words.items() if key.startswith("stat.")}


def spread(ratios, median):
    if len(ratios) < 2:
        return 0.0
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
    return (quartiles[2] - quartiles[0]) / 2 / median


def row(name, off, on, equal, more):
    ratios = [b / a for a, b in zip(off, on)]
    ratio = statistics.median(ratios)
    return {"case": name, "unit": "calls/s", "off": round(statistics.median(off), 1),
            "on": round(statistics.median(on), 1), "ratio": round(ratio, 4),
            "spread": round(spread(ratios, ratio), 4), "equal": equal, **more}


def total(stats, key):
    return sum(stat.get(key, 0) for stat in stats)


def short_gap_ns():
    try:
        with open(PARAMETERS + "short_gap_us") as f:
            return int(f.read()) * 1000
    except OSError:
        return float("inf")
