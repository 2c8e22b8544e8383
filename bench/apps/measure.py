#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py - the part of bench/apps in the guest

usage: measure.py [--pairs N] [--seconds S] [--warm S] [--places] CASE...

Loads the module UB_MODULE names and runs each case's program in two cgroups, ub.enable = 0
and 1. A server runs in both at once, each with its port; the client, in neither, asks one and
the other in turn. A tool is run from beginning to end, in turn. One JSON object a case goes to
standard output, in the form of build/results (see bench/apps/run); progress to standard error.

`gaps` counts the system calls of the measured parts, each of which begins one; `entered`
those that began translated, `exits` those that were left inside, by reason, per 1,000 gaps.
A server is warmed up first and what it learned then is in `translations`, `rounds` (the most
of one site), `first_chain_ms`, `learned_ms` (the last translation was made) and `verdict_ms` (no site
is on trial any more), from the first request on. A tool's counts are those of all of its run,
learning included; `hot` has them from when most calls were chained on.

Sites stay translated whether they pay in an emulator or not (put_back=0), and chains may be long, as
a chain's end is a native gap, too, and an emulated gap takes a hundred times as long: what
is measured is which gaps the translator covers. --as-is leaves the settings alone.

--places adds where gaps were left, most often first, from an extra run.
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from shared.guest import (OFF, ON, PARAMETERS, PROGRAMS, first_chain_ms, load, read_stat, row, say,  # noqa: E402
                          start, stat_of, total, watched, write)

APPS = os.environ["UB_APPS"]
LIBRARIES = {"LD_LIBRARY_PATH": f"{APPS}/usr/lib/x86_64-linux-gnu:{APPS}/lib/x86_64-linux-gnu"}
WORK = "/dev/shm/apps"
SITES = "/sys/kernel/debug/ub.sites"
EXIT_EVENT = "/sys/kernel/tracing/events/ub/ub_exit/"
CONNECTIONS = 8
COVERAGE_SETTINGS = {"put_back": 0, "chain_max_us": 1000000, "chain_max": 1000000}


class Options:
    pairs, seconds, warm, places, as_is = 3, 0.2, 4.0, False, False


def sites_of(pids):
    """The lines of ub.sites that are of these processes, as dictionaries."""
    found = []
    with open(SITES) as f:
        for line in f:
            counts, verdict = line.rstrip().split(" verdict=")
            words = counts.split()
            if int(words[1]) in pids:
                found.append({"place": words[2], **dict(word.split("=", 1) for word in words[3:]), "verdict": verdict})
    return found


class Marks:
    """Each run of one of our programs that mark what is measured (mark.h) has a number: the host finds by
    it how many instructions were executed in user mode meanwhile (report.py)."""

    runs = 0

    @classmethod
    def next(cls):
        cls.runs += 1
        return cls.runs - 1


def on_trial(sites):
    return any(site["verdict"] in ("hot", "on trial") for site in sites)


class Server:
    """A server program and a request to it. What its command leaves behind is under WORK."""

    def __init__(self, command, request, prepare=None):
        self.command, self.request, self.prepare = command, request, prepare

    def launch(self, group, port):
        directory = f"{WORK}/{port}"
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        process = start(group, self.command(port, directory), **LIBRARIES)
        for _ in range(20000):
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    if self.prepare:
                        s.sendall(self.prepare)
                        s.recv(4096)
                    return process
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args}: {process.communicate()}") from None
                time.sleep(0.05)
        raise RuntimeError(f"{process.args}: nobody listens")

    def client(self, port, calls, warm_s, group):
        write(WORK + "/request", self.request)
        self.run = Marks.next()
        return start(None, [PROGRAMS + "/client", str(port), str(CONNECTIONS), WORK + "/request", "--calls", str(calls),
                            "--warm", str(int(warm_s * 1000)), "--stat", group + "/ub.stat"])

    def result(self, process):
        out, err = process.communicate()
        if process.returncode:
            raise RuntimeError(f"client: exit status {process.returncode}: {err}")
        words = dict(word.split("=", 1) for word in out.split())
        return {"rate": int(words["calls"]) / (int(words["ns"]) / 1e9), "output": words["checksum"], "run": self.run,
                "first": int(words["first"]) / 1e6, "learned": int(words["learned"]) / 1e6, "stat": stat_of(words)}


def request_file(text):
    return text.replace("\n", "\r\n")


def redis(port, directory):
    return [f"{APPS}/usr/bin/redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", directory,
            "--bind", "127.0.0.1"]


def redis_command(*words):
    return request_file(f"*{len(words)}\n" + "".join(f"${len(word)}\n{word}\n" for word in words))


NGINX_CONF = """
daemon off; master_process off; worker_processes 1; pid DIR/pid; error_log DIR/error;
events { worker_connections 256; }
http {
	access_log DIR/access; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type text/plain;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	server { listen 127.0.0.1:PORT; root DIR; }
}
"""


def nginx(port, directory):
    write(directory + "/page", "0123456789abcdef" * 256)
    # Both servers' replies tell when it was last modified.
    os.utime(directory + "/page", (10**9, 10**9))
    write(directory + "/conf", NGINX_CONF.replace("DIR", directory).replace("PORT", str(port)))
    return [f"{APPS}/usr/sbin/nginx", "-c", directory + "/conf", "-p", directory, "-e", directory + "/error"]


def memcached(port, _directory):
    return [f"{APPS}/usr/bin/memcached", "-u", "root", "-p", str(port), "-U", "0", "-l", "127.0.0.1", "-t", "1"]


HTTP = request_file("GET /page HTTP/1.1\nHost: localhost\nUser-Agent: client\nAccept: */*\n\n")
SERVERS = {
    "redis-get-3": Server(redis, redis_command("GET", "key"), redis_command("SET", "key", "abc").encode()),
    "redis-set-3": Server(redis, redis_command("SET", "key", "abc")),
    "redis-set-4096": Server(redis, redis_command("SET", "key", "v" * 4096)),
    "nginx-4096": Server(nginx, HTTP),
    "memcached-get": Server(memcached, request_file("get key\n"), request_file("set key 0 0 3\nabc\n").encode()),
    "memcached-set": Server(memcached, request_file("set key 0 0 3\nabc\n")),
}


class Tool:
    """A program that runs to its end. What it prints is the same each time, or `prints` what part of it is."""

    def __init__(self, command, prints=None):
        self.command, self.prints = command, prints or (lambda text: text)

    def run(self, group, command=None):
        """`command`: instead of its own."""
        began, run = time.monotonic(), None
        if not command:
            command, run = [PROGRAMS + "/marked", *self.command(WORK + "/tool")], Marks.next()
        process = start(group, command, **LIBRARIES)
        out, err = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{process.args}: exit status {process.returncode}: {err}")
        return {"seconds": time.monotonic() - began, "output": self.prints(out + err), "run": run}


STAT_LOOP = "import os\nfor i in range(60000): os.stat('/dev/shm/apps/tree/0/0')"
DIRECTORIES, FILES, TREE = 40, 25, WORK + "/tree"


def make_tree():
    """The same files in the same directories each time."""
    for d in range(DIRECTORIES):
        os.makedirs(f"{TREE}/{d}")
        for n in range(FILES):
            with open(f"{TREE}/{d}/{n}", "w") as f:
                for line in range(20):
                    f.write(f"line {line} of file {n * 7919 % 1000} with words {line * d} and {'no' if n % 5 else 'a'} needle\n")


def sqlite(statements):
    def command(directory):
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        write(directory + "/script", statements)
        return [f"{APPS}/usr/bin/sqlite3", "-init", directory + "/script", directory + "/db", ".exit"]
    return command


TABLE = "create table t(k integer primary key, v text);\n"
INSERTS = TABLE + "".join(f"insert into t(v) values('value {n}');\n" for n in range(3000)) + "select sum(k), max(v) from t;\n"
SELECTS = (TABLE + "begin;\n" + "".join(f"insert into t(v) values('value {n}');\n" for n in range(500)) + "commit;\n" +
           "".join(f"select v from t where k = {n * 7 % 500};\n" for n in range(8000)))

TOOLS = {
    "sqlite-select": Tool(sqlite(SELECTS)),
    "sqlite-insert": Tool(sqlite(INSERTS)),
    "python3-stat": Tool(lambda _: ["/usr/bin/python3", "-c", STAT_LOOP]),
    "dd": Tool(lambda _: ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000"],
               lambda text: re.sub(r"copied.*", "", text)),
    "find": Tool(lambda _: ["find", *[TREE] * 30, "-type", "f", "-size", "+1k", "-name", "*7"]),
    "grep": Tool(lambda _: ["grep", "-rc", "a needle", *[TREE] * 12]),
    "ls": Tool(lambda _: ["ls", "-lR", *[TREE] * 6]),
}


def per_thousand(stats):
    gaps = total(stats, "syscalls")
    exits = {key[5:]: total(stats, key) for key in sorted({key for stat in stats for key in stat}) if key.startswith("exit_")}
    return {"gaps": gaps, "chained": round(total(stats, "chained") / gaps, 5) if gaps else 0.0,
            "entered": round(total(stats, "entries") / gaps, 5) if gaps else 0.0,
            "exits_per_1000": {key: round(1000 * count / gaps, 3) for key, count in exits.items() if count},
            "exits_total_per_1000": round(1000 * total(stats, "exits") / gaps, 3) if gaps else 0.0}


def mapping_of(pid, address):
    """FILE+OFFSET of a user address, as ub.sites has it."""
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            words = line.split()
            low, high = (int(word, 16) for word in words[0].split("-"))
            if low <= address < high:
                return f"{words[5] if len(words) > 5 else '[none]'}+{address - low + int(words[2], 16):#x}"
    return f"{address:#x}"


def places(pid, load_it):
    """Where gaps are left while load_it() runs: (count, reason, place), the most frequent first."""
    write(EXIT_EVENT + "trigger", "hist:keys=ip.hex,reason:size=4096")
    load_it()
    found = []
    with open(EXIT_EVENT + "hist") as f:
        for match in re.finditer(r"ip:\s*([0-9a-f]+), reason:\s*(\w+)\s*} hitcount:\s*(\d+)", f.read()):
            found.append((int(match[3]), match[2], mapping_of(pid, int(match[1], 16))))
    write(EXIT_EVENT + "trigger", "!hist:keys=ip.hex,reason:size=4096")
    return sorted(found, reverse=True)


def translations_since(mark):
    """The trace events of translations, in words, and none before."""
    with open("/sys/kernel/tracing/trace") as f:
        lines = [line.split(": ", 1) for line in f if "ub_translate:" in line]
    return [f"{head.split()[-1]} {text.strip()}" for head, text in lines]


def about_sites(sites):
    translated = [site for site in sites if int(site["rounds"])]
    return {"translations": sum(int(site["rounds"]) for site in translated), "sites": len(translated),
            "rounds": max((int(site["rounds"]) for site in translated), default=0)}


def runs_of(results):
    return {"runs": {name: [r["run"] for r in results[group]] for name, group in (("off", OFF), ("on", ON))}}


def measure_server(name):
    server = SERVERS[name]
    ports = {OFF: 7001, ON: 7002}
    processes = {group: server.launch(group, port) for group, port in ports.items()}
    pid = processes[ON].pid
    before = read_stat(ON)
    if Options.places:
        write("/sys/kernel/tracing/trace", "")
        write(EXIT_EVENT + "../ub_translate/enable", "1")
    learning = server.client(ports[ON], CONNECTIONS, Options.warm, ON)
    began, verdict_ms = time.monotonic(), None
    while learning.poll() is None:
        time.sleep(0.1)
        sites = sites_of([pid])
        if sites and on_trial(sites):
            verdict_ms = None
        elif sites and any(int(site["rounds"]) for site in sites):
            verdict_ms = verdict_ms or (time.monotonic() - began) * 1000
    learned = server.result(learning)
    log = translations_since(0) if Options.places else []
    after = read_stat(ON)
    calls = max(200, int(server.result(server.client(ports[OFF], 400, 0.2, OFF))["rate"] * Options.seconds))

    results = {OFF: [], ON: []}
    for pair in range(Options.pairs):
        for group in (OFF, ON) if pair % 2 == 0 else (ON, OFF):
            # What the other one does from time to time is not to be counted.
            idle = processes[ON if group == OFF else OFF]
            idle.send_signal(signal.SIGSTOP)
            results[group].append(server.result(server.client(ports[group], calls, 0.1, group)))
            idle.send_signal(signal.SIGCONT)
    sites = sites_of([pid])
    more = {}
    if Options.places:
        more["places"] = places(pid, lambda: server.result(server.client(ports[ON], calls, 0, ON)))[:60]
        more["all_sites"] = sites
        more["log"] = log
    for process in processes.values():
        process.kill()
        process.communicate()
    outputs = {r["output"] for runs in results.values() for r in runs}
    return row(name, *([r["rate"] for r in results[group]] for group in (OFF, ON)), len(outputs) == 1, {
        **per_thousand([r["stat"] for r in results[ON]]), **about_sites(sites), "requests": calls, "warm_s": Options.warm, **runs_of(results),
        "translated_while_learning": after["translated"] - before["translated"],
        "translated_while_measured": total([r["stat"] for r in results[ON]], "translated"),
        "first_chain_ms": round(learned["first"], 1) or None, "learned_ms": round(learned["learned"], 1) or None,
        "verdict_ms": verdict_ms and round(verdict_ms), **more}) | {"unit": "requests/s"}


def measure_tool(name):
    tool = TOOLS[name]
    results, outputs, stats = {OFF: [], ON: []}, set(), []
    # What it reads comes over 9p the first time.
    outputs.add(tool.run(None, tool.command(WORK + "/tool"))["output"])
    for pair in range(Options.pairs):
        for group in (OFF, ON) if pair % 2 == 0 else (ON, OFF):
            before = read_stat(ON)
            result = tool.run(group)
            results[group].append(result)
            outputs.add(result["output"])
            if group == ON:
                after = read_stat(ON)
                stats.append({key: after[key] - before[key] for key in after})
    words, result = watched(lambda command: tool.run(None, command), tool.command(WORK + "/tool"))
    outputs.add(result["output"])
    first, hot = first_chain_ms(words), stat_of(words)
    more = {}
    if Options.places:
        more["places"] = places(os.getpid(), lambda: tool.run(ON))[:60]
    return row(name, *([1 / r["seconds"] for r in results[group]] for group in (OFF, ON)), len(outputs) == 1, {
        **per_thousand(stats), **runs_of(results), "hot": per_thousand([hot]), "first_chain_ms": first and round(first, 1),
        "translations": total(stats, "translated") // len(stats), **more}) | {"unit": "runs/s"}


def main():
    words, names = sys.argv[1:], []
    while words:
        word = words.pop(0)
        if word in ("--pairs", "--seconds", "--warm"):
            setattr(Options, word[2:], type(getattr(Options, word[2:]))(words.pop(0)))
        elif word in ("--places", "--as-is"):
            setattr(Options, word[2:].replace("-", "_"), True)
        else:
            names.append(word)
    load()
    if not Options.as_is:
        for parameter, value in COVERAGE_SETTINGS.items():
            write(PARAMETERS + parameter, str(value))
    os.makedirs(WORK)
    make_tree()
    for name in names:
        began = time.monotonic()
        result = measure_server(name) if name in SERVERS else measure_tool(name)
        print(json.dumps(result), flush=True)
        say(f"{name}: {result['chained']:.1%} chained, {result['exits_total_per_1000']} exits per 1,000 gaps, "
            f"{result['ratio']:.2f}x ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
