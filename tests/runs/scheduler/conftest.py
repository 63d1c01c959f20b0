"""An engine that does what a test says, in place of the installation's executors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from runs.executors.base import Capacity, ExecutorError, JobState, SubmitRequest
from runs.scheduler import hearing, room, start, watch
from trainhub import reachability


class Engine:
    """An executor in memory. `states` by handle (running when not named); `failure` is raised by every call."""

    name = "local"

    def __init__(self, *, slots: int = 4, gpus: int = 0, nodes: int = 1, has_queue: bool = False) -> None:
        self.total = Capacity(slots=slots, gpus=gpus, nodes=nodes, has_queue=has_queue)
        self.requests: list[SubmitRequest] = []
        self.states: dict[str, str] = {}
        self.polls: list[dict[str, str]] = []
        self.cancels: list[tuple[str, bool]] = []
        self.recoveries: list[str] = []
        self.problem = ""
        self.longest_minutes: int | None = None
        self.failure: Exception | None = None

    def capacity(self) -> Capacity:
        return self.total

    def submit(self, request: SubmitRequest) -> str:
        self.requests.append(request)
        self._fail()
        return f"job-{request.name}"

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        self.polls.append(dict(handles))
        self._fail()
        return {uid: JobState(self.states.get(handle, "running"), "as asked") for uid, handle in handles.items()}

    def cancel(self, handle: str, *, hard: bool = False) -> None:
        self.cancels.append((handle, hard))
        self._fail()

    def max_time_limit_minutes(self, recipe: str) -> int | None:
        return self.longest_minutes

    def problems(self) -> list[str]:
        return [self.problem] if self.problem else []

    def _fail(self) -> None:
        if self.failure:
            raise self.failure

    @property
    def submitted(self) -> list[str]:
        """The attempts' uids, in the order of their submission."""
        return [request.name for request in self.requests]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configured executors by name; a test may add and remove some."""
    configured: dict[str, Any] = {"local": Engine()}
    monkeypatch.setattr(room, "executors", lambda: configured)
    monkeypatch.setattr(start, "executors", lambda: configured)
    monkeypatch.setattr(watch, "executors", lambda: configured)
    monkeypatch.setattr(start, "_asked_at", {})
    monkeypatch.setattr(watch, "_signalled_at", {})
    monkeypatch.setattr(start, "START_SECONDS", 60)  # a loaded machine starts no fewer runs
    return configured


class Web:
    """What a test says of the web server's answers, and how often it was asked."""

    is_up = True
    asked = 0

    def is_ready(self, _url: str, *, timeout: float) -> bool:
        assert timeout > 0
        self.asked += 1
        return self.is_up


@pytest.fixture(autouse=True)
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    """A web server that answers until a test says otherwise, and runners that then need no time to be heard.

    tests/end_to_end kills a real one.
    """
    web = Web()
    monkeypatch.setattr(reachability, "is_ready", web.is_ready)
    monkeypatch.setattr(watch, "hearing", hearing.Hearing())
    monkeypatch.setattr(hearing, "HEARD", timedelta(0))
    return web


@pytest.fixture
def engine(engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The one executor; recoveries are noted, as only real ones have a folder."""
    one: Engine = engines["local"]
    monkeypatch.setattr(watch, "recover_attempt", lambda _, attempt: one.recoveries.append(attempt.handle))
    return one


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


BROKEN = ExecutorError("the engine does not answer")
