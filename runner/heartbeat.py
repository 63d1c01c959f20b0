"""Tells the hub every few seconds that the attempt lives, and brings back its orders."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from runner.client import Backoff, Client, Fenced, NoAnswer, Refused
from runner.control import Control
from runner.durable import note
from runner.protocol import HEARTBEAT_SECONDS, HeartbeatRequest


class Heartbeat:
    """The loop that has a connection of its own, so that nothing else delays it."""

    def __init__(self, client: Client, control: Control, progress: Callable[[], float | None]) -> None:
        self._client, self._control, self._progress = client, control, progress
        self._is_over = self._is_hub_away = False

    def run(self) -> None:
        """Beat until `end` or the attempt is fenced. Also at once when the phase changes."""
        backoff = Backoff()
        while not (self._is_over or self._control.fenced.is_set()):
            started = time.monotonic()
            self._control.beat_now.clear()
            wait = HEARTBEAT_SECONDS
            try:
                self._beat()
                backoff.reset()
                self._note_change(problem=None)
            except NoAnswer as problem:
                self._note_change(problem=problem)
                wait = min(backoff.delay(problem), HEARTBEAT_SECONDS)
            except Refused as refusal:
                note(f"the hub refused a heartbeat: {refusal}")
            except Fenced:
                if not self._is_over:
                    self._control.fence()
            self._control.beat_now.wait(max(0.0, started + wait - time.monotonic()))

    def _beat(self) -> None:
        request: HeartbeatRequest = {
            "phase": self._control.phase,
            "progress": self._progress(),
            "sent_at_ms": time.time_ns() // 1_000_000,
        }
        answer = self._client.post("heartbeat", request)
        if answer.get("order") == "cancel":
            grace = answer.get("grace_seconds")
            if not isinstance(grace, int | float) or not math.isfinite(grace):
                grace = None
            self._control.stop(grace)

    def _note_change(self, *, problem: NoAnswer | None) -> None:
        if (problem is not None) != self._is_hub_away:
            self._is_hub_away = problem is not None
            note(f"the hub does not answer: {problem}" if problem else "the hub answers again")

    def end(self) -> None:
        """The attempt is over; the loop ends by itself."""
        self._is_over = True
        self._control.beat_now.set()
