"""Measures a hub from outside: start, memory, launch, cancel, requests. About three minutes; removes what it made."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.hub import Hub, wait_for
from benchmarks.load import Load, Sender, measure_elsewhere
from benchmarks.report import Report

FIRST_STARTS = 3
SECOND_STARTS = 5
LAUNCHES = 9
LOAD_ROUNDS = 3
LOAD_SECONDS = 3.0
CONNECTIONS = (1, 8)
PROJECTS = 20  # in the measured list
LOG_LINES = 20_000  # of the run whose log page is read
IDLE_SECONDS = 5.0  # before memory is read
TRAIN_SECONDS = 2.0  # before a cancel


def measure_starts(report: Report) -> None:
    """Seconds until the first 200: on fresh data folders, and again once everything is set up."""
    first = []
    for _ in range(FIRST_STARTS):
        with Hub() as hub:
            first.append(hub.start())
            hub.make_token()
            hub.cancel_all()  # the quickstart's run
    report.add("first start to first 200 (database, static files, quickstart)", "s", first)


def measure_second_starts(report: Report, hub: Hub) -> None:
    """Leave the hub running, set up, and with nothing to do."""
    hub.start()
    hub.make_token()
    hub.cancel_all()
    second = []
    for _ in range(SECOND_STARTS):
        hub.stop()
        second.append(hub.start())
    report.add("start to first 200", "s", second, at_most=3)


def measure_memory(report: Report, hub: Hub, when: str, at_most: float | None = None) -> None:
    """Proportional set size of keeper, web and scheduler."""
    time.sleep(IDLE_SECONDS)
    parts = hub.memory_mb()
    report.add(f"memory {when} (PSS)", "MB", [parts.pop("all")], at_most=at_most)
    for name, size in parts.items():
        report.add_part(name, "MB", [size])


def measure_runs(report: Report, hub: Hub, project: str) -> str:
    """Launch and cancel tiny-gpt again and again; returns the path of the last run."""
    launches, cancels, path = [], [], ""
    for _ in range(LAUNCHES):
        path, times = launch_once(hub, project)
        launches.append(times)
        wait_for(lambda: hub.must("GET", path)["progress"] > 0, "a step of tiny-gpt")  # noqa: B023 - called at once
        time.sleep(TRAIN_SECONDS)
        cancels.append(cancel_once(hub, path))
    add_parts(report, "tiny-gpt: POST to first log line in GET logs", launches, at_most=1)
    add_parts(report, "tiny-gpt: cancel to cancelled with verified checkpoint", cancels, at_most=2)
    return path


def launch_once(hub: Hub, project: str) -> tuple[str, dict[str, float]]:
    """Return the run's path and the seconds of each stage, up to the trainer's first line in an answer."""
    asked = time.time()
    path = hub.launch(project, recipe="tiny-gpt")
    page = wait_for(lambda: _first_lines(hub, path), "the first log line")
    seen = time.time()
    attempt = hub.must("GET", f"{path}/attempts")[0]
    marks = {
        "asked to attempt opened by the scheduler": attempt["created_at"],
        "to claim by the runner": attempt["claimed_at"],
        "to trainer process reported": attempt["started_at"],
        "to line written by the trainer": page["items"][0]["timestamp"],
    }
    return path, _stages(asked, marks, seen, "to line in an answer")


def _first_lines(hub: Hub, path: str) -> Any:
    page = hub.must("GET", f"{path}/logs?stream=stdout&page_size=1")
    return page if page["items"] else None


def cancel_once(hub: Hub, path: str) -> dict[str, float]:
    """Cancel, wait for the answer and check it; returns the seconds of each stage."""
    asked = time.time()
    run = hub.must("POST", f"{path}/cancel")
    seen = time.time()
    receipt = run["receipt"]
    checkpoint = receipt["checkpoint"]
    if run["status"] != "cancelled" or not (checkpoint["is_final"] and checkpoint["state"] == "verified"):
        raise RuntimeError(f"{path} was not cancelled as promised: {receipt}")
    recorded = next(item for item in run["artifacts"] if item["id"] == checkpoint["id"])["created_at"]
    marks = {
        "asked to SIGTERM reported by the runner": receipt["signalled_at"],
        "to checkpoint offered by the runner": recorded,
        "to end of the run": receipt["stopped_at"],
    }
    return _stages(asked, marks, seen, "to answer")


def _stages(asked: float, marks: dict[str, str], seen: float, last: str) -> dict[str, float]:
    """Return the seconds between one mark and the next, and from `asked` to `seen` under the empty name."""
    times, before = {"": seen - asked}, asked
    for name, moment in marks.items():
        at = datetime.fromisoformat(moment).timestamp()
        times[name] = at - before
        before = at
    times[last] = seen - before
    return times


def add_parts(report: Report, name: str, samples: list[dict[str, float]], at_most: float) -> None:
    """Add a figure and its stages."""
    report.add(name, "s", [sample[""] for sample in samples], at_most=at_most)
    for stage in list(samples[0])[1:]:
        report.add_part(stage, "s", [sample[stage] for sample in samples])


def measure_requests(report: Report, hub: Hub, paths: dict[str, str]) -> None:
    """Requests per second and times of single requests, on kept connections."""
    for name, path in paths.items():
        for connections in CONNECTIONS:
            load = Load(hub.port, path, [Sender(hub.token)] * connections, LOAD_SECONDS)
            figures = measure_elsewhere(*[load] * LOAD_ROUNDS)
            many = "connection" if connections == 1 else "connections"
            report.add(f"{name}, {connections} {many}", "/s", [found.requests_per_second for found in figures])
            report.add_part("p50", "ms", [found.p50_ms for found in figures])
            report.add_part("p99", "ms", [found.p99_ms for found in figures])


def make_projects(hub: Hub) -> str:
    """Fill the project list up to PROJECTS; returns the id of one of them."""
    there = hub.must("GET", "/projects")
    for number in range(len(there), PROJECTS):
        there.append(hub.must("POST", "/projects", {"name": f"Project {number}", "tags": ["benchmark"]}))
    return str(there[-1]["id"])


def write_long_log(hub: Hub, project: str) -> str:
    """Have a run write LOG_LINES lines; returns its path."""
    path = hub.launch(project, recipe="many-lines", model_parameters={"lines": LOG_LINES})
    wait_for(lambda: hub.must("GET", path)["status"] == "completed", "the end of the long log")
    return path


def run(report: Report) -> None:
    """Measure everything, on hubs that are gone afterwards."""
    _say("starting hubs")
    measure_starts(report)
    with Hub() as hub:
        measure_second_starts(report, hub)
        measure_memory(report, hub, "idle after a start", at_most=250)
        project = make_projects(hub)
        _say("launching and cancelling tiny-gpt")
        last_run = measure_runs(report, hub, project)
        long_log = write_long_log(hub, project)
        _say("asking")
        middle = LOG_LINES // 50 // 2
        measure_requests(
            report,
            hub,
            {
                f"project list ({PROJECTS} projects)": "/projects",
                "run detail": last_run,
                f"log page (50 of {LOG_LINES:,} lines)": f"{long_log}/logs?page={middle}&page_size=50",
            },
        )
        measure_memory(report, hub, "after all this")


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write the JSON. A missed aim is no error: the machine may just be busy."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is removed on SIGTERM too
    report = Report()
    run(report)
    print(report.table())
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
