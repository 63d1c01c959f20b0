"""Benches: for each executor a way to look behind it, so that one list of tests holds for all."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runs.executors import folders
from runs.executors.base import Executor, SubmitRequest
from runs.executors.local import LocalExecutor
from runs.executors.slurm import SlurmExecutor
from tests.engines.slurm import Cluster, shared

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


def eventually(probe: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Ask until the answer is true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not seen within {seconds:.0f} s"
        time.sleep(0.01)
    return found


class Bench:
    """An executor with a runner that does nothing but wait, and a look at what it started."""

    attempts: Path
    executor: Executor
    suffix = ""

    def uid(self, name: str) -> str:
        """The attempt's uid for a name in a test, so that tests that share an engine do not meet."""
        return name + self.suffix if name.startswith("att_") else name

    def new_executor(self) -> Executor:
        """An executor object as a scheduler that was started anew would have it."""
        raise NotImplementedError

    def request(self, name: str, **values: Any) -> SubmitRequest:
        uid = self.uid(name)
        return SubmitRequest(
            name=uid, folder=self.attempts / uid, hub_url="http://127.0.0.1:1", token="7" * 64, **values
        )

    def starts(self, name: str) -> list[int]:
        """The pids of all runners ever started for the attempt."""
        path = self.attempts / self.uid(name) / "starts"
        return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_runner(self, name: str) -> int:
        """The pid of the runner, once it listens to signals."""
        return eventually(lambda: self.starts(name))[-1]

    def signals(self, name: str) -> list[str]:
        """What the runner was asked."""
        return (self.attempts / self.uid(name) / "signals").read_text().split()

    def wait_for_signal(self, name: str, count: int) -> None:
        """Wait until the runner was asked to stop so many times."""
        eventually(lambda: len(self.signals(name)) == count)

    def finish(self, name: str) -> None:
        """Let the runner end by itself."""
        os.kill(self.wait_for_runner(name), signal.SIGUSR1)
        self.wait_for_end(name)

    def kill(self, *names: str) -> None:
        """kill -9 of the runners."""
        for name in names:
            os.kill(self.wait_for_runner(name), signal.SIGKILL)
        for name in names:
            self.wait_for_end(name)

    def wait_for_end(self, name: str) -> None:
        """Wait for the end of every runner of the attempt; a zombie has ended."""
        eventually(lambda: not any(map(is_alive, self.starts(name))))

    def close(self) -> None:
        """End everything that was started."""
        pids = [pid for path in self.attempts.glob("*/starts") for pid in map(int, path.read_text().split()[::2])]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, pids)))


class LocalBench(Bench):
    """The local executor."""

    def __init__(self, root: Path) -> None:
        self.attempts = root / "attempts"
        self.attempts.mkdir()
        self.executor = self.new_executor()

    def new_executor(self) -> LocalExecutor:
        return LocalExecutor(attempts=self.attempts, slots=4, gpus=0)

    def close(self) -> None:
        super().close()
        eventually(lambda: folders.reap_children() or not folders._children)


class SlurmBench(Bench):
    """The Slurm executor, on a real cluster of pretend nodes."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.root = root
        self.suffix = f"_{secrets.token_hex(6)}"
        self.attempts = root / "attempts"
        self.attempts.mkdir()
        self.executor = self.new_executor()

    def new_executor(self, **values: Any) -> SlurmExecutor:
        given = {"poll_seconds": 0.0, "python": sys.executable, "runner_root": self.root / "program", **values}
        executor = SlurmExecutor(folder=self.attempts, slots=50, nodes=3, gpus=6, slurm_conf=self.cluster.conf, **given)
        executor._jobs._patience = executor._health._patience = 30.0  # a loaded machine is no silent Slurm
        return executor

    def wait_for_end(self, name: str) -> None:
        """Wait until Slurm says that the job has ended, which takes it some seconds."""
        super().wait_for_end(name)
        eventually(lambda: self.executor.poll({"asked": self.uid(name)})["asked"].state == "ended", 60)

    def jobs(self, name: str, form: str = "%A") -> list[str]:
        """What Slurm knows of the attempt's jobs, a line each: their numbers, or another format of squeue."""
        return self.cluster.call("squeue", "-h", "-t", "all", "-o", form, f"--name={self.uid(name)}").splitlines()

    def close(self) -> None:
        names = ",".join(folder.name for folder in self.attempts.iterdir())
        if names:
            self.cluster.call("scancel", f"--name={names}", check=False)
        super().close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the stub as its package `runner`."""
    package = tmp_path / "program" / "runner"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(STUB_RUNNER)
    return package.parent


@pytest.fixture
def local_bench(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBench]:
    """The local executor with the stub for a runner."""
    monkeypatch.setattr(folders, "RUNNER_ROOT", program)
    monkeypatch.setattr(folders, "_children", [])
    bench = LocalBench(tmp_path)
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster of three nodes with two GPUs each, for all tests that kill none of its daemons."""
    folder = tmp_path_factory.getbasetemp().parent / "slurm"
    with shared(Cluster(folder, settings={"SLURM_CPUS": "16", "SLURM_NODE_TIMEOUT": "120"})) as cluster:
        yield cluster


@pytest.fixture
def slurm_bench(tmp_path: Path, program: Path, slurm: Cluster) -> Iterator[SlurmBench]:
    """The Slurm executor with the stub for a runner."""
    bench = SlurmBench(tmp_path, slurm)
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture(params=["local", "slurm"])
def bench(request: pytest.FixtureRequest) -> Any:
    """Each executor in turn."""
    return request.getfixturevalue(f"{request.param}_bench")
