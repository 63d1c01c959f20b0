"""A hub under the steady load of many runs: heartbeats, reachability, memory, and nothing lost."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmarks.filled import fill
from benchmarks.hub import ROOT, Hub
from benchmarks.ingest import check_stored, end_attempts
from benchmarks.report import Report
from benchmarks.soak_client import Pace

LINES, POINTS = 100, 20  # of a run in a second
LOOK_SECONDS = 3.0  # between two looks at memory and at the list
FINISH_SECONDS = 120.0  # that the client may take after its time
HEARTBEAT_LIMIT_SECONDS = 1.0
GROWTH_LIMIT = 1.1  # memory in the last third over memory in the second


def measure_soak(report: Report, hub: Hub, runs: int, seconds: int) -> None:
    """Let so many runs report for so many seconds, watch the hub meanwhile, and count everything afterwards."""
    made = fill(hub, "attempts", count=runs)
    pace = Pace(hub.port, [one["token"] for one in made], seconds, LINES, POINTS)
    before, started = sum(hub.cpu_seconds().values()), time.monotonic()
    client, looks = _watch(hub, pace)
    cores = (sum(hub.cpu_seconds().values()) - before) / (time.monotonic() - started)
    end_attempts(hub, pace.tokens)
    for one, calls in zip(made, client["calls"], strict=True):
        check_stored(hub, one["run"], "lines", calls * LINES)
        check_stored(hub, one["run"], "points", calls)
    _add(report, f"{runs} runs, {LINES} lines and {POINTS} points a second each, {seconds} s", client, looks)
    report.add_part("server, cores used", "", [cores])


def _watch(hub: Hub, pace: Pace) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Run the client; return what it saw, and what was seen of the hub meanwhile."""
    command = [sys.executable, "-m", "benchmarks.soak_client"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as client:
        try:
            assert client.stdin
            client.stdin.write(json.dumps(asdict(pace)))
            client.stdin.close()
            client.stdin = None
            looks, end = [], time.monotonic() + pace.seconds
            while time.monotonic() < end and client.poll() is None:
                looks.append(_look(hub, len(pace.tokens)))
                time.sleep(LOOK_SECONDS)
            printed, complaints = client.communicate(timeout=FINISH_SECONDS)
        finally:
            client.kill()
    if client.returncode:
        raise RuntimeError(complaints.strip().splitlines()[-1])
    return json.loads(printed), looks


def _look(hub: Hub, runs: int) -> dict[str, float]:
    found = hub.must("GET", f"/runs?status=running&page_size={min(runs, 500)}")["items"]
    if len(found) != min(runs, 500):
        raise RuntimeError(f"{len(found)} of {runs} runs are shown as running")
    return {"unreachable": sum(run["is_unreachable"] for run in found), "memory": hub.memory_mb()["all"]}


def _add(report: Report, name: str, client: dict[str, Any], looks: list[dict[str, float]]) -> None:
    heartbeat, batch = client["heartbeat"], client["batch"]
    report.add(f"{name}: heartbeat p99", "s", [heartbeat["p99"]], at_most=HEARTBEAT_LIMIT_SECONDS)
    report.add_part("heartbeat p50", "s", [heartbeat["p50"]])
    report.add_part("slowest heartbeat", "s", [heartbeat["slowest"]])
    report.add_part("lines and points p50, from when they were due", "s", [batch["p50"]])
    report.add_part("lines and points p99", "s", [batch["p99"]])
    report.add_part("slowest lines and points", "s", [batch["slowest"]])
    report.add_part("answers 503, sent again", "", [client["refusals"]])
    report.add("runs shown unreachable, the most at a time", "", [max(one["unreachable"] for one in looks)], at_most=0)
    memory = [one["memory"] for one in looks]
    third = max(len(memory) // 3, 1)
    second, last = memory[third : 2 * third] or memory, memory[-third:]
    growth = statistics.median(last) / statistics.median(second)
    report.add("memory (PSS), last third / second third", "×", [growth], at_most=GROWTH_LIMIT)
    report.add_part("memory meanwhile", "MB", memory)
    report.add_part("client, share of a core", "", [client["client_cpu"]])
