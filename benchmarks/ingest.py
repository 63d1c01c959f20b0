"""Metrics and log lines as many trainers send them: calls a second, and what a call costs the server."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import sql

from benchmarks.bodies import Size
from benchmarks.databases import SQLITE
from benchmarks.filled import fill
from benchmarks.hub import Hub, wait_for
from benchmarks.load import Figures, Load, Sender, measure_elsewhere
from benchmarks.report import Report

CONNECTIONS = (1, 8)
THOUSAND, TEN_THOUSAND, SINGLE = Size(10, 100), Size(10, 1000), Size()
LINES = Size(1, 1000)
FOLD_LIMIT_SECONDS = 300.0
IDLE_CORES = 0.1
IDLE_LIMIT_SECONDS = 60.0
_EXIT = {
    "exit_code": 0,
    "signal": None,
    "problem": None,
    "message": "",
    "ended_at_ms": 0,
    **dict.fromkeys(["was_stopped", "was_killed", "out_of_memory", "runner_died"], False),
}
_BATCHES = sql.SQL("SELECT COUNT(*) FROM runs_metricbatch")
CPU_WEB = "server CPU a 1,000, up to the last answer, web alone"
CPU_ALL = "server CPU a 1,000, until all is folded, everything"
CPU_DATABASE = "of it the database server"
CLIENT = "client, share of a core"


@dataclass(frozen=True)
class Case:
    """One kind of call, on so many connections. `what` is points or lines."""

    shape: str
    size: Size
    connections: int
    label: str
    what: str = "points"
    at_once: bool = False
    at_least: float | None = None  # the aim on SQLite, points or lines a second

    @property
    def name(self) -> str:
        """What the report calls it: the same for the same work of every server."""
        many = "1 connection" if self.connections == 1 else f"{self.connections} connections"
        one = self.what if self.size.points > 1 else self.what.removesuffix("s")
        return f"{self.size.points:,} {one} a call{self.label}, {many}"


class Server(Protocol):
    """A server whose processes are watched."""

    server: str

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time used so far, by part of the server."""


class Target(Server, Protocol):
    """A server that takes the calls of cases."""

    def load(self, case: Case, seconds: float) -> Load:
        """Return what to send, from runs that have reported nothing yet."""

    def finish(self, load: Load, case: Case, figures: Figures) -> None:
        """Wait until all deferred work is done and check that all is there. Raises: RuntimeError, TimeoutError."""


def cases_of(shape: str, size: Size, label: str = "", **more: Any) -> list[Case]:
    """Return a case for each number of connections."""
    return [Case(shape, size, connections, label, **more) for connections in CONNECTIONS]


HUB_CASES = [
    *cases_of("metric_columns", THOUSAND, ", columns"),
    *cases_of("metric_objects", THOUSAND, ", objects"),
    *cases_of("metric_columns", TEN_THOUSAND, ", columns"),
    *cases_of("metric_objects", TEN_THOUSAND, ", objects"),
    *cases_of("metric_columns", SINGLE),
    *cases_of("log_columns", LINES, ", columns", what="lines", at_least=300_000),
    *cases_of("log_objects", LINES, ", objects", what="lines"),
]


class HubTarget:
    """A hub; every load comes from attempts of its own, which end with it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.server = f"trainhub, {hub.database.kind}"
        self._runs: dict[str, str] = {}

    def load(self, case: Case, seconds: float) -> Load:
        """Make as many attempts as connections."""
        made = fill(self.hub, "attempts", count=case.connections)
        self._runs = {one["token"]: one["run"] for one in made}
        path = "/node/logs" if case.what == "lines" else "/node/metrics"
        senders = [Sender(token=token) for token in self._runs]
        return Load(self.hub.port, path, senders, seconds, shape=case.shape, size=case.size, expect='{"sequence":')

    def finish(self, load: Load, case: Case, figures: Figures) -> None:
        """End the attempts, wait for the inbox to be empty, and count what is there."""
        end_attempts(self.hub, [sender.token for sender in load.senders])
        for sender, calls in zip(load.senders, figures.calls, strict=True):
            check_stored(self.hub, self._runs[sender.token], case.what, calls * case.size.steps)

    def cpu_seconds(self) -> dict[str, float]:
        """Return what web, scheduler, keeper and the database server used."""
        return self.hub.cpu_seconds()


def end_attempts(hub: Hub, tokens: list[str]) -> None:
    """Report the end of attempts, and wait until the inbox is empty. Raises: TimeoutError."""
    for token in tokens:
        hub.must("POST", "/node/exit", _EXIT, token=token)
    wait_for(lambda: hub.database.value(_BATCHES) == 0, "an empty inbox", FOLD_LIMIT_SECONDS, 0.1)


def check_stored(hub: Hub, run: str, what: str, count: int) -> None:
    """Ask the API whether a run has all its lines, or all points of its first key. Raises: RuntimeError."""
    if what == "lines":
        found = hub.must("GET", f"{run}/logs?page_size=1")["total"]
    else:
        found = hub.must("GET", f"{run}/metrics?key=loss&points=5")["series"]["loss"]["total"]
    if found != count:
        raise RuntimeError(f"{run} holds {found} {what}, {count} were acknowledged")


def measure_cases(report: Report, target: Target, cases: list[Case], rounds: int, seconds: float) -> None:
    """Run every case so many times and add its figures."""
    report.server = target.server
    wait_until_idle(target)
    _measure_once(target, cases[0], seconds)  # warms up every worker
    for case in cases:
        seen = [_measure_once(target, case, seconds) for _ in range(rounds)]
        at_least = case.at_least if SQLITE in target.server else None
        report.add(case.name, f"{case.what}/s", [one["rate"] for one in seen], at_least=at_least)
        for part in list(seen[0])[1:]:
            unit = "" if part == CLIENT else "ms"
            report.add_part(part, unit, [one[part] for one in seen])


def wait_until_idle(target: Server) -> None:
    """Wait until a server that has just started uses less than a tenth of a core, but not for ever."""
    deadline = time.monotonic() + IDLE_LIMIT_SECONDS
    used, before = math.inf, sum(target.cpu_seconds().values())
    while used > IDLE_CORES and time.monotonic() < deadline:
        time.sleep(1)
        now = sum(target.cpu_seconds().values())
        used, before = now - before, now


def _measure_once(target: Target, case: Case, seconds: float) -> dict[str, float]:
    load = target.load(case, seconds)
    before = target.cpu_seconds()
    (figures,) = measure_elsewhere(load)
    answered = target.cpu_seconds()
    target.finish(load, case, figures)
    done = target.cpu_seconds()
    thousands = sum(figures.calls) * case.size.points / 1000
    costs = {
        CPU_WEB: answered["web"] - before["web"],
        CPU_ALL: sum(done.values()) - sum(before.values()),
    }
    if done.get("database"):
        costs[CPU_DATABASE] = done["database"] - before["database"]
    return {
        "rate": figures.requests_per_second * case.size.points,
        "p50": figures.p50_ms,
        "p99": figures.p99_ms,
        **{name: 1000 * cost / thousands for name, cost in costs.items()},
        CLIENT: figures.client_cpu,
    }
