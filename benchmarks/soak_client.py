"""Many runs that report at a steady pace, from a process of its own: `python -m benchmarks.soak_client '{"port": …}'`.

Each run sends its lines and points once a second on one connection, and its heartbeat on another, as runners do. Times
are counted from the moment when a call was due, so that a server that falls behind cannot hide it.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import bodies
from benchmarks.bodies import Size
from benchmarks.load import Busy, Connection, Load, Sender, quantile, request_bytes

HEARTBEAT_SECONDS = 5.0
LINE_SHAPE = "log_columns"
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 0.25, 5.0  # before sending again, as runners wait
STACK_BYTES = 256 * 1024  # of a thread, two for each run


@dataclass(frozen=True)
class Pace:
    """How many seconds each run reports, and what it sends in each of them."""

    port: int
    tokens: list[str]
    seconds: int
    lines: int
    points: int


class Patient(Connection):
    """Sends again what the hub was too busy for, as runners do, and counts how often."""

    refusals = 0

    def ask(self, link: socket.socket) -> None:
        """Make the next request until it is answered with 200. Raises: ValueError for any other answer but 503."""
        request, wait = self.next_request(), FIRST_WAIT_SECONDS
        while True:
            try:
                return self.exchange(link, request)
            except Busy:
                self.refusals += 1
                time.sleep(wait)
                wait = min(2 * wait, LAST_WAIT_SECONDS)


class Heartbeat(Patient):
    """Signs of life that carry the time when they are sent."""

    def next_request(self) -> bytes:
        """Return the next one."""
        body = {"phase": "training", "progress": None, "sent_at_ms": int(time.time() * 1000)}
        return request_bytes(self._load, self._sender, json.dumps(body).encode())


class Reporter:
    """One run: its two threads, and what they saw in seconds."""

    def __init__(self, pace: Pace, place: int, calls: dict[str, Callable[[], Patient]], begin: float) -> None:
        share = place / len(pace.tokens)  # runs do not report in step
        self._pace, self._begin = pace, begin
        self._share = share
        self._lines, self._points, self._heartbeat = (calls[name]() for name in ("lines", "points", "heartbeat"))
        self.batches: list[float] = []
        self.heartbeats: list[float] = []
        self.problem = ""
        self.threads = [threading.Thread(target=self._guard, args=[work]) for work in (self._report, self._live)]

    @property
    def refusals(self) -> int:
        """How often the hub was too busy."""
        return self._lines.refusals + self._points.refusals + self._heartbeat.refusals

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            self.problem = str(error)

    def _report(self) -> None:
        with self._lines.open() as link:
            for due in self._moments(1.0):
                self._lines.ask(link)
                self._points.ask(link)
                self.batches.append(time.perf_counter() - due)

    def _live(self) -> None:
        with self._heartbeat.open() as link:
            for due in self._moments(HEARTBEAT_SECONDS):
                self._heartbeat.ask(link)
                self.heartbeats.append(time.perf_counter() - due)

    def _moments(self, every: float) -> Iterator[float]:
        """Yield the moments when a call is due, when they have come."""
        for number in range(int(self._pace.seconds / every)):
            due = self._begin + (self._share + number) * every
            time.sleep(max(0.0, due - time.perf_counter()))
            yield due


def _calls(pace: Pace, token: str, variants: dict[str, list[bytes]]) -> dict[str, Callable[[], Patient]]:
    sender = Sender(token=token)

    def load(path: str, expect: str) -> Load:
        return Load(pace.port, path, [sender], pace.seconds, expect=expect)

    return {
        "lines": lambda: Patient(load("/node/logs", '{"sequence":'), sender, variants["lines"]),
        "points": lambda: Patient(load("/node/metrics", '{"sequence":'), sender, variants["points"]),
        "heartbeat": lambda: Heartbeat(load("/node/heartbeat", '"order":null'), sender, []),
    }


def soak(pace: Pace) -> dict[str, Any]:
    """Report for as long as wanted; return what was seen. Raises: RuntimeError when an answer is not as it must be."""
    threading.stack_size(STACK_BYTES)
    variants = {
        "lines": [body.encode() for body in bodies.variants(LINE_SHAPE, Size(1, pace.lines))],
        "points": [body.encode() for body in bodies.variants("metric_columns", Size(pace.points, 1))],
    }
    begin, before = time.perf_counter() + 1.0, time.process_time()
    reporters = [Reporter(pace, place, _calls(pace, token, variants), begin) for place, token in enumerate(pace.tokens)]
    threads = [thread for reporter in reporters for thread in reporter.threads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems := [reporter.problem for reporter in reporters if reporter.problem]:
        raise RuntimeError(problems[0])
    return {
        "calls": [len(reporter.batches) for reporter in reporters],
        "batch": _summary([value for reporter in reporters for value in reporter.batches]),
        "heartbeat": _summary([value for reporter in reporters for value in reporter.heartbeats]),
        "refusals": sum(reporter.refusals for reporter in reporters),
        "client_cpu": (time.process_time() - before) / (time.perf_counter() - begin),
    }


def _summary(seconds: list[float]) -> dict[str, float]:
    ascending = sorted(seconds)
    return {"p50": quantile(ascending, 0.5), "p99": quantile(ascending, 0.99), "slowest": quantile(ascending, 1.0)}


if __name__ == "__main__":
    print(json.dumps(soak(Pace(**json.load(sys.stdin)))))
