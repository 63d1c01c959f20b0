"""Fixtures: a hub, a way to start runners as an executor does, and a last look for processes left behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.processes import find_marked, read_processes

from .hub import TOKEN, Hub

ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, errors: tuple[type[Exception], ...] = ()) -> Any:
    """Return the condition's first true value; fails after `seconds`. `errors` mean "not yet"."""
    deadline = time.monotonic() + seconds
    value = None
    while not value:
        assert time.monotonic() < deadline, f"the condition did not come true in {seconds} s"
        with contextlib.suppress(*errors):
            value = condition()
        time.sleep(0.01)
    return value


def make_claim(**changes: Any) -> dict[str, Any]:
    """Return a claim answer; `trainer` is the source of a Python program to run."""
    trainer = changes.pop("trainer", "pass")
    claim = {
        "command": [sys.executable, "-c", textwrap.dedent(trainer)],
        "environment": {},
        "config": {"run": "run_1", "hyperparameters": {}, "model_parameters": {}, "resume_from": None},
        "datasets": [],
        "checkpoint_pattern": "checkpoints/*",
        "complete_marker": "",
        "grace_seconds": 5.0,
        "resume": None,
        "log_sequence": 0,
        "metric_sequence": 0,
    }
    return claim | changes


class Bench:
    """One attempt folder, its hub, and the runners started on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempt = f"att_{uuid.uuid4().hex}"  # the marker: tests that run at once must not meet
        self.hub: Hub
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment: dict[str, str] = {}

    def prepare(self, **changes: Any) -> Hub:
        """Start a hub with a claim made of `changes`, and write job.json as an executor does."""
        self.hub = Hub(make_claim(attempt=self.attempt, **changes))
        self.hub.start()
        self.path.mkdir(mode=0o700)
        job = {"protocol": 1, "attempt": self.attempt, "hub_url": self.hub.url, "token": TOKEN}
        (self.path / "job.json").write_text(json.dumps(job))
        return self.hub

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a runner, detached, with the lock held on an inherited descriptor."""
        lock = os.open(self.path / "attempt.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT), "TRAINHUB_LOCK_FD": str(lock)}
        with open(self.path / "runner.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-m", "runner", *options, str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=(lock,),
            )
        os.close(lock)
        self.processes.append(process)
        return process

    def run(self, *options: str, seconds: float = 40.0) -> int:
        """Start a runner and wait for its end; return its exit code."""
        return self.start(*options).wait(seconds)

    @property
    def log(self) -> str:
        """Return what the runner noted."""
        return (self.path / "runner.log").read_text()

    @property
    def output(self) -> Path:
        """Return the trainer's output folder."""
        return self.path / "output"

    def is_locked(self) -> bool:
        """Return whether a runner is alive, as an executor finds out."""
        with open(self.path / "attempt.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def marked(self) -> set[int]:
        """Return the processes that carry the attempt's marker."""
        return {pid for pid in find_marked(self.attempt, read_processes()) if is_alive(pid)}

    def clear(self) -> None:
        """End everything that this test started."""
        for process in self.processes:
            process.kill()
            process.wait()
        for pid in self.marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    process = read_processes().get(pid)
    return process is not None and process.state not in "ZX"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A place to run attempts. Whatever the test does, nothing of it outlives the test."""
    bench = Bench(tmp_path / "attempt")
    try:
        yield bench
    finally:
        bench.clear()
        if hasattr(bench, "hub"):
            bench.hub.close()
