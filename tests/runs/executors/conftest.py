"""Benches: for each executor a way to look behind it, so that one list of tests holds for all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runs.executors import local
from runs.executors.base import Executor, SubmitRequest
from runs.executors.local import LocalExecutor

# Stands for the runner: notes that it was started and each SIGTERM, and ends on SIGUSR1.
STUB_RUNNER = """
import json, os, signal, sys
from pathlib import Path

folder = Path(sys.argv[-1])
signals = (folder / "signals").open("a", buffering=1)
signal.signal(signal.SIGTERM, lambda *_: signals.write("SIGTERM\\n"))
signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
is_recovery = "--recover" in sys.argv
(folder / "runner.json").write_text(json.dumps({"pid": os.getpid(), "is_recovery": is_recovery}))
with (folder / "starts").open("a") as starts:
    starts.write(f"{os.getpid()} {'recovery' if is_recovery else 'runner'}\\n")
while True:
    signal.pause()
"""


def eventually(probe: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Ask until the answer is true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not seen within {seconds:.0f} s"
        time.sleep(0.01)
    return found


class LocalBench:
    """The local executor with a runner that does nothing but wait."""

    def __init__(self, root: Path) -> None:
        self.attempts = root / "attempts"
        self.attempts.mkdir()
        self.executor: Executor = self.new_executor()

    def new_executor(self) -> LocalExecutor:
        """An executor object as a scheduler that was started anew would have it."""
        return LocalExecutor(attempts=self.attempts, slots=4, gpus=0)

    def request(self, name: str, **values: Any) -> SubmitRequest:
        return SubmitRequest(
            name=name, folder=self.attempts / name, hub_url="http://127.0.0.1:1", token="7" * 64, **values
        )

    def starts(self, name: str) -> list[int]:
        """The pids of all runners ever started for the attempt."""
        path = self.attempts / name / "starts"
        return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_runner(self, name: str) -> int:
        """The pid of the runner, once it listens to signals."""
        return eventually(lambda: self.starts(name))[-1]

    def signals(self, name: str) -> list[str]:
        """What the runner was asked."""
        return (self.attempts / name / "signals").read_text().split()

    def wait_for_signal(self, name: str, count: int) -> None:
        """Wait until the runner was asked to stop so many times."""
        eventually(lambda: len(self.signals(name)) == count)

    def finish(self, name: str) -> None:
        """Let the runner end by itself."""
        os.kill(self.wait_for_runner(name), signal.SIGUSR1)
        self.wait_for_end(name)

    def kill(self, name: str) -> None:
        """kill -9 of the runner."""
        os.kill(self.wait_for_runner(name), signal.SIGKILL)
        self.wait_for_end(name)

    def wait_for_end(self, name: str) -> None:
        """Wait for the end of every runner of the attempt; a zombie has ended."""
        eventually(lambda: not any(map(is_alive, self.starts(name))))

    def close(self) -> None:
        for folder in self.attempts.iterdir():
            for pid in self.starts(folder.name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.wait_for_end(folder.name)
        eventually(lambda: local.reap_children() or not local._children)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def local_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBench]:
    """The local executor with the stub for a runner."""
    program = tmp_path / "program" / "runner"
    program.mkdir(parents=True)
    (program / "__main__.py").write_text(STUB_RUNNER)
    monkeypatch.setattr(local, "RUNNER_ROOT", tmp_path / "program")
    monkeypatch.setattr(local, "_children", [])
    bench = LocalBench(tmp_path)
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture(params=["local"])
def bench(request: pytest.FixtureRequest) -> Any:
    """Each executor in turn."""
    return request.getfixturevalue(f"{request.param}_bench")
