"""Measures the scheduler with a long queue: `make bench-scheduler`. SQLite, and PostgreSQL when DATABASE_URL names one.

With 1,000 and 10,000 runs queued on a machine of four slots and on an engine that queues by itself: nothing can start,
as all slots are taken, or as the project's limit is reached, so that every run is looked at. With 1,000: everything
starts, by one scheduler and by two at once. The engines are in memory: what is measured is the hub's own work.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.databases import offered
from benchmarks.filled import say
from benchmarks.hub import Hub
from benchmarks.passes import KINDS
from benchmarks.report import Report

PASS_LIMIT_SECONDS, FIRST_LIMIT_SECONDS = 1.0, 5.0
STEP_SECONDS = 900.0


def main() -> int:
    """Measure on every database that there is, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="only try it: 200 queued runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    report = Report()
    is_right = True
    for kind in offered():
        report.server = kind
        with Hub(kind) as hub:
            hub.database.create()
            hub.python("manage.py", "migrate", "--verbosity", "0", seconds=STEP_SECONDS)
            for queued in (200,) if options.small else (1_000, 10_000):
                _measure_passes(report, hub, queued)
            for schedulers in (1, 2):
                is_right &= _measure_starts(report, hub, 200 if options.small else 1_000, schedulers)
    print(json.dumps(report.as_json(), indent=1) if options.json else report.table())
    return 0 if is_right else 1


def _measure_passes(report: Report, hub: Hub, queued: int) -> None:
    """Time passes in which nothing can start: with all slots taken, and at the limit of the project."""
    half = dict.fromkeys(KINDS, queued // len(KINDS))
    for what, limit, slots in (("no slot is free", None, 4), ("the project's limit is reached", 0, 100)):
        say(f"{hub.database.kind}: {queued:,} queued, {what}")
        _do(hub, "fill", waiting=half, live=dict.fromkeys(KINDS, 4), limit=limit)
        slots_of = dict.fromkeys(KINDS, slots)
        found = _do(hub, "passes", slots=slots_of, jobs=_jobs(hub), passes=10)
        report.add(f"pass, {queued:,} queued, {what}", "s", found["seconds"], at_most=PASS_LIMIT_SECONDS)
        report.add_part("processor time, without the database's", "s", found["cpu"])
        report.add_part("queries", "", [found["queries"]])
        report.add_part("polls of each engine", "", [max(calls.get("poll", 0) for calls in found["calls"].values())])
        report.add_part("all calls", "", [sum(sum(calls.values()) for calls in found["calls"].values())])


def _measure_starts(report: Report, hub: Hub, queued: int, schedulers: int) -> bool:
    """Time how all of the queue starts; tells whether each run was handed over once and none twice."""
    say(f"{hub.database.kind}: {queued:,} queued, {schedulers} schedulers start them")
    _do(hub, "fill", waiting={"cluster": queued}, live={})
    (hub.data / "jobs").unlink(missing_ok=True)
    asked = {"slots": {"cluster": queued}, "jobs": _jobs(hub), "wanted": queued, "seconds": 300}
    with ThreadPoolExecutor(schedulers) as pool:
        found = list(pool.map(lambda _: _do(hub, "start", **asked), range(schedulers)))
    jobs = (hub.data / "jobs").read_text(encoding="utf-8").split()
    words = "1 scheduler" if schedulers == 1 else f"{schedulers} schedulers at once"
    firsts, passes = [one["first"] for one in found], [one["longest"] for one in found]
    report.add(f"first start of {queued:,}, {words}", "s", firsts, at_most=FIRST_LIMIT_SECONDS)
    report.add_part("longest pass", "s", passes)
    report.add_part("all started", "s", [one["all"] for one in found])
    report.add_part("handed over", "", [len(jobs)])
    report.add_part("of them twice", "", [len(jobs) - len(set(jobs))])
    return len(jobs) == len(set(jobs)) == queued


def _jobs(hub: Hub) -> str:
    return str(hub.data / "jobs")


def _do(hub: Hub, what: str, **arguments: Any) -> Any:
    return json.loads(hub.python("-m", "benchmarks.passes", what, json.dumps(arguments), seconds=STEP_SECONDS))


if __name__ == "__main__":
    raise SystemExit(main())
