"""Measures telemetry at scale: `make bench-telemetry`. Fills databases, starts hubs and peers, compares.

Without PARTs all are measured: start, ingest, logs, charts, lists, soak. SQLite always; PostgreSQL too when
DATABASE_URL names a server. What it made is removed at the end; with --data the filled databases stay and are used
again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import databases, ingest, lists, reads, soak, start
from benchmarks.filled import filled, say
from benchmarks.hub import Hub
from benchmarks.peers import mlflow, mlflow_reads, trackio
from benchmarks.ratios import add_ratios
from benchmarks.report import Report

PARTS = ("start", "ingest", "logs", "charts", "lists", "soak")
ON_FILLED = ("logs", "charts", "lists")


@dataclass(frozen=True)
class Scale:
    """How much is filled and how long is measured."""

    lines: tuple[int, ...] = (1_000, 100_000, 1_000_000, 10_000_000)
    points: tuple[int, ...] = (1_000_000, 10_000_000)
    runs: int = 100_000
    metrics: int = 50
    soak_runs: int = 200
    soak_seconds: int = 60
    starts: int = 5
    rounds: int = 3
    seconds: float = 3.0
    requests: int = 100


FULL = Scale()
SMALL = Scale((1_000, 20_000), (100_000,), 1_000, 50, 10, 5, starts=1, rounds=1, seconds=0.3, requests=10)


@dataclass(frozen=True)
class Plan:
    """What is measured: which parts, on which database, how large; kept in `folder` unless that is None."""

    parts: tuple[str, ...]
    kind: str
    scale: Scale
    folder: Path | None

    def place(self, name: str) -> Path | None:
        """Return where a filled database is kept."""
        return self.folder / f"{name}-{self.kind.lower()}" if self.folder else None

    def wants(self, *parts: str) -> tuple[str, ...]:
        """Return which of the parts are to be measured."""
        return tuple(part for part in parts if part in self.parts)


@contextmanager
def started(hub: Hub) -> Iterator[Hub]:
    """A hub that runs, with a token and nothing to do."""
    with hub:
        hub.start()
        hub.make_token()
        hub.cancel_all()
        yield hub


def measure_hub(report: Report, plan: Plan) -> None:
    """Measure our own server."""
    report.server, scale = f"trainhub, {plan.kind}", plan.scale
    if plan.wants("start"):
        with Hub(plan.kind) as hub:
            start.measure_hub_start(report, hub, scale.starts)
    if plan.wants(*ON_FILLED):
        with Hub(plan.kind, plan.place("hub")) as hub:
            measure_reading(report, plan, hub)
    if plan.wants("ingest"):
        with started(Hub(plan.kind)) as hub:
            target = ingest.HubTarget(hub)
            ingest.measure_cases(report, target, ingest.HUB_CASES, scale.rounds, scale.seconds)
    if plan.wants("soak"):
        with started(Hub(plan.kind)) as hub:
            soak.measure_soak(report, hub, scale.soak_runs, scale.soak_seconds)


def measure_reading(report: Report, plan: Plan, hub: Hub) -> None:
    """Fill first, as the scheduler would only get in the way; then start and ask."""
    scale = plan.scale
    fillers: dict[str, Callable[[], object]] = {
        "logs": lambda: [filled(hub, "lines", count=count) for count in scale.lines],
        "charts": lambda: [filled(hub, "points", count=count) for count in scale.points],
        "lists": lambda: filled(hub, "runs", count=scale.runs, metrics=scale.metrics),
    }
    readers: dict[str, Callable[[], None]] = {
        "logs": lambda: reads.measure_logs(report, hub, scale.lines, scale.rounds, scale.requests),
        "charts": lambda: reads.measure_charts(report, hub, scale.points, scale.rounds, scale.requests),
        "lists": lambda: lists.measure_lists(report, hub, scale.runs, scale.metrics, scale.rounds, scale.requests),
    }
    hub.prepare()
    parts = plan.wants(*ON_FILLED)
    for part in parts:
        fillers[part]()
    with started(hub):
        for part in parts:
            say(f"{report.server}: {part}")
            readers[part]()


def measure_mlflow(report: Report, plan: Plan) -> None:
    """Measure MLflow on the same database."""
    scale = plan.scale
    if plan.wants("start"):
        with mlflow.Mlflow(plan.kind) as server:
            start.measure_peer_start(report, server, min(scale.starts, 2))
    if plan.wants("ingest"):
        with mlflow.Mlflow(plan.kind) as server:
            server.start()
            ingest.measure_cases(report, server, mlflow.CASES, scale.rounds, scale.seconds)
    if plan.wants("charts", "lists"):
        with mlflow.Mlflow(plan.kind, plan.place("mlflow")) as server:
            report.server = server.server
            long_runs = mlflow_reads.prepare(server, runs=scale.runs, metrics=scale.metrics, points=scale.points[:1])
            ingest.wait_until_idle(server)
            if plan.wants("charts"):
                mlflow_reads.measure_charts(report, server, long_runs, scale.rounds)
            if plan.wants("lists"):
                mlflow_reads.measure_lists(report, server, scale.rounds)


def measure_trackio(report: Report, plan: Plan) -> None:
    """Measure trackio, which has SQLite alone."""
    if plan.wants("start"):
        with trackio.Trackio() as server:
            start.measure_peer_start(report, server, min(plan.scale.starts, 2))
    if plan.wants("ingest"):
        with trackio.Trackio() as server:
            server.start()
            ingest.measure_cases(report, server, trackio.CASES, plan.scale.rounds, plan.scale.seconds)


def measure(report: Report, plans: list[Plan], *, with_peers: bool) -> None:
    """Measure every plan, ours and theirs one after the other."""
    if any(plan.kind == databases.POSTGRES for plan in plans):
        report.machine["postgresql"] = databases.server_facts()
    for plan in plans:
        say(f"trainhub, {plan.kind}")
        measure_hub(report, plan)
        if with_peers:
            say(f"MLflow, {plan.kind}")
            measure_mlflow(report, plan)
            if plan.kind == databases.SQLITE:
                say("trackio")
                measure_trackio(report, plan)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-telemetry", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--database", choices=databases.offered(), help="only this one")
    parser.add_argument("--no-peers", action="store_true", help="neither MLflow nor trackio")
    parser.add_argument("--small", action="store_true", help="small databases and short loads: only to see it work")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep the filled databases there, use them again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write. A missed aim is no error; a wrong answer is, after the figures seen until then."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is removed on SIGTERM too
    kinds = [options.database] if options.database else databases.offered()
    scale = SMALL if options.small else FULL
    folder = options.data.absolute() if options.data else None
    plans = [Plan(tuple(options.parts or PARTS), kind, scale, folder) for kind in kinds]
    report = Report()
    try:
        measure(report, plans, with_peers=not options.no_peers)
    finally:
        add_ratios(report)
        print(report.table())
        if options.json:
            options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
