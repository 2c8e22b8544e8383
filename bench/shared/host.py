# SPDX-License-Identifier: GPL-2.0
"""host.py - what the benchmarks' parts on the host share

Booting a guest that runs a bench/NAME/measure.py and reading its rows, and writing
build/results/NAME.json.
"""

import datetime
import json
import os
import shutil
import subprocess
import sys

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT).stdout.strip()


NOT_BOOTED = 126  # tests/vm/run


# Two CPUs that run at once, as translations are made beside the programs they are for. The
# emulator then sometimes fails to boot (tests/vm/run says why): once more, in turns.
BESIDE = ("2", {"UB_QEMU_ACCEL": "tcg,thread=multi"}), ("2", {"UB_QEMU_ACCEL": "tcg,thread=single"})
# One CPU whose clock advances 1 ns an instruction: times are counts, whatever the host does meanwhile.
COUNTED = (("1", {"UB_QEMU_ARGS": "-icount shift=0,sleep=off"}),)


def run_guest(name, kernel, append, arguments, timeout, machine, environment):
    """One try. Returns the rows and tests/vm/run's status."""
    cpus, variables = machine
    release = output(PROJECT + "/tests/vm/kernel", "release", kernel)
    module = f"{PROJECT}/build/{name}/ub-{kernel}.ko"
    shutil.copy(os.environ.get("UB_MODULE", f"{PROJECT}/build/{release}/ub.ko"), module)
    given = {"UB_MODULE": module, "UB_PROGRAMS": f"{PROJECT}/build/{name}", **environment}
    process = subprocess.Popen(
        [PROJECT + "/tests/vm/run", "--kernel", kernel, "--append", append, "--cpus", cpus,
         "--timeout", str(timeout), "--", "/usr/bin/python3", f"{PROJECT}/bench/{name}/measure.py",
         *arguments],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, **given, **variables, "UB_ENV": " ".join(given)})
    rows = []
    for line in process.stdout:
        rows.append({**json.loads(line), "kernel": kernel, "append": append})
    return rows, process.wait()


def guest(name, kernel, append, cases, options, timeout, machines=BESIDE, environment=None):
    """Runs the cases in one guest, the next of `machines` if it does not boot. Returns their rows, and
    whether it ended well."""
    print(f"{name}: Linux {kernel}, {append}: {len(cases)} cases", file=sys.stderr, flush=True)
    for machine in machines:
        rows, status = run_guest(name, kernel, append, [*options, *cases], timeout, machine, environment or {})
        if status != NOT_BOOTED:
            break
    if status:
        print(f"{name}: that guest ended with exit status {status}", file=sys.stderr)
    return rows, status == 0 and len(rows) == len(cases)


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip())


def cpu_model():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "unknown")


def write_results(name, rows, failed, passed=None, skipped=0):
    """`failed`: how many rows do not reach what is asked of them, the others pass; or `passed` and `skipped` say
    what is counted where that is not rows. Return: what was written."""
    os.makedirs(PROJECT + "/build/results", exist_ok=True)
    results = {"name": name, "commit": output("git", "rev-parse", "HEAD"),
               "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "cpu": "QEMU TCG on " + cpu_model(), "rows": rows,
               "totals": {"passed": len(rows) - failed if passed is None else passed, "failed": failed, "skipped": skipped}}
    with open(f"{PROJECT}/build/results/{name}.json", "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    return results
