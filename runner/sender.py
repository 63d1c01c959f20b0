"""Carries one stream's batches from the spool to the hub, in order, for as long as it takes."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable
from typing import Any, Protocol

from runner.client import Backoff, Client, Fenced, NoAnswer, Refused
from runner.control import Control
from runner.durable import note
from runner.lines import ERROR, WARNING
from runner.spool import Spool
from runner.telemetry import metric_body, remark_body


class Stream(Protocol):
    """What differs between logs and metrics: the path, and what stands for a batch that cannot be had."""

    path: str

    def gap(self, sequence: int) -> bytes:
        """Return a body for a batch that is gone."""

    def refused(self, sequence: int, body: bytes, why: str) -> bytes:
        """Return a body for a batch that the hub refuses."""


class LogStream:
    """Log batches: the mark is a line of the runner's own in their place."""

    path = "logs"

    def gap(self, sequence: int) -> bytes:
        """Return a body with one line that says what is missing."""
        return remark_body(
            sequence, WARNING, f"Log batch {sequence} is gone from the node; its lines are missing here."
        )

    def refused(self, sequence: int, body: bytes, why: str) -> bytes:
        """Return a body with one line that says what was refused."""
        return remark_body(sequence, ERROR, f"The hub refused {_count(body, 'lines', 'time')} log lines: {why}")


class MetricStream:
    """Metric batches: the mark is a log line, and an empty batch takes the number."""

    path = "metrics"

    def __init__(self, remark: Callable[[int, str], None]) -> None:
        self._remark = remark

    def gap(self, sequence: int) -> bytes:
        """Return an empty body and tell in the log."""
        self._remark(WARNING, f"Metric batch {sequence} is gone from the node; its points are missing.")
        return metric_body(sequence, {})

    def refused(self, sequence: int, body: bytes, why: str) -> bytes:
        """Return an empty body and tell in the log."""
        self._remark(ERROR, f"The hub refused {_count(body, 'metrics')} metric keys of one batch: {why}")
        return metric_body(sequence, {})


class Sender:
    """The loop of one stream. Ends when the spool is closed and empty, or the attempt is fenced."""

    def __init__(self, client: Client, spool: Spool, stream: Stream, control: Control) -> None:
        self._client, self._spool, self._stream, self._control = client, spool, stream, control
        self._resend = range(0)  # numbers that the hub asked for once more
        self._marks: dict[int, bytes] = {}  # bodies that stand for batches that are gone
        self._replaced: set[int] = set()

    def run(self) -> None:
        """Send what waits; retry for ever with growing pauses."""
        backoff = Backoff()
        while not self._control.fenced.is_set():
            waiting = self._spool.wait_next()
            if waiting is None:
                return
            try:
                self._send(self._resend[0] if self._resend else waiting)
                backoff.reset()
            except NoAnswer as problem:
                self._control.fenced.wait(backoff.delay(problem))
            except Fenced:
                self._control.fence()

    def _send(self, number: int) -> None:
        body = self._spool.read(number) or self._mark(number)
        try:
            answer = self._client.post(self._stream.path, body)
        except Refused as refusal:
            self._refused(number, body, refusal)
            return
        stored = answer.get("sequence")
        if not isinstance(stored, int) or stored < number:
            raise NoAnswer("the answer does not acknowledge the batch")
        self._spool.acknowledge(number)
        self._marks.pop(number, None)
        self._resend = self._resend[1:]

    def _mark(self, number: int) -> bytes:
        if number not in self._marks:
            self._marks[number] = self._stream.gap(number)
        return self._marks[number]

    def _refused(self, number: int, body: bytes, refusal: Refused) -> None:
        if refusal.code == "sequence_gap" and refusal.expected is not None:
            self._close_gap(number, refusal.expected)
        elif number in self._replaced:
            raise NoAnswer(f"even the note on a refused batch is refused: {refusal}")
        else:
            note(f"{self._stream.path} batch {number} was refused: {refusal}")
            self._spool.replace(number, self._stream.refused(number, body, str(refusal)))
            self._replaced.add(number)

    def _close_gap(self, number: int, expected: int) -> None:
        if expected > number:  # the hub has this one and more
            self._spool.acknowledge(number)
            self._resend = range(0)
        elif expected == number or expected < 1:
            raise NoAnswer("the hub contradicts itself about the next batch")
        else:
            note(f"the hub wants {self._stream.path} batch {expected}, {number} was sent")
            self._resend = range(expected, number)


def _count(body: bytes, *path: str) -> Any:
    try:
        return len(functools.reduce(operator.getitem, path, json.loads(body)))
    except (ValueError, KeyError, TypeError):
        return "some"
