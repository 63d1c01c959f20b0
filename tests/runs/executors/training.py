"""One attempt with the real runner and a trainer, started by an executor, and a hub in memory that it reports to."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.processes import find_marked, read_processes
from runs.executors.base import Executor, ExecutorError, JobState, SubmitRequest
from runs.executors.local import LocalExecutor
from runs.executors.slurm import SlurmExecutor
from tests.engines.slurm import Cluster
from tests.runner.conftest import make_claim
from tests.runner.hub import TOKEN, Hub
from tests.runs.executors.conftest import eventually, is_alive

# Notes in `journal` that it started and each SIGTERM; saves for `SAVES` seconds when it is asked to stop.
TRAINER = """
import os, signal, sys, time
from pathlib import Path

journal = open("journal", "a", buffering=1)
stops = []
def stop(*_):
    stops.append(1)
    journal.write("SIGTERM\\n")
signal.signal(signal.SIGTERM, stop)
journal.write(f"start {os.getpid()}\\n")
print("training", flush=True)
while not (stops and SAVES >= 0):
    time.sleep(0.05)
time.sleep(SAVES)
Path("checkpoints").mkdir()
Path("checkpoints/step-9").write_text("weights")
"""


class Training:
    """`executor` starts the attempt `uid`, whose folder and hub are here."""

    def __init__(self, executor: Executor, attempts: Path, *, trainer: str, **claim: Any) -> None:
        self.executor = executor
        self.uid = f"att_{secrets.token_hex(8)}"
        self.folder = attempts / self.uid
        self.hub = Hub(make_claim(attempt=self.uid, trainer=trainer, **claim))
        self.hub.start()
        self.handle = ""

    def request(self, **values: Any) -> SubmitRequest:
        """What a scheduler asks the executor for."""
        return SubmitRequest(name=self.uid, folder=self.folder, hub_url=self.hub.url, token=TOKEN, **values)

    def submit(self, **values: Any) -> Training:
        """Have it started and wait until the trainer says so."""
        self.handle = self.executor.submit(self.request(**values))
        self.hub.wait(lambda: "training" in self.hub.lines(0), 60)
        return self

    def journal(self) -> list[str]:
        """What the trainer noted."""
        path = self.folder / "output" / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def pids(self) -> list[int]:
        """The pids of all trainers that were ever started."""
        return [int(line.split()[1]) for line in self.journal() if line.startswith("start")]

    def state(self) -> JobState:
        """What the engine says of the job."""
        return self.executor.poll({self.uid: self.handle or self.uid})[self.uid]

    def wait_for_state(self, word: str, seconds: float = 300) -> JobState:
        """Wait until the engine calls the job so."""
        return eventually(lambda: (found := self.state()).state == word and found, seconds)

    def wait_for_exit(self, seconds: float = 300) -> dict[str, Any]:
        """Wait for the runner's report and return it."""
        self.hub.wait(lambda: self.hub.exits, seconds)
        return self.hub.exits[0]

    def recover(self) -> dict[str, Any]:
        """Have a recovery started, as a scheduler does until it has delivered, and return its report."""
        eventually(lambda: self.executor.recover(self.handle) or self.hub.exits, 60)
        return self.wait_for_exit()

    def processes(self) -> list[int]:
        """The pids of what the trainer started and left."""
        return [pid for pid in find_marked(self.uid, read_processes()) if is_alive(pid)]

    def close(self) -> None:
        """End everything."""
        self.hub.is_fenced = True  # should a runner be left, it ends its trainer by itself
        with contextlib.suppress(ExecutorError):
            self.executor.cancel(self.handle or self.uid, hard=True)
        eventually(lambda: not self.processes(), 60)
        self.hub.close()


@contextlib.contextmanager
def trained(executor: Executor, attempts: Path, *, saves: float = 0, **claim: Any) -> Iterator[Training]:
    """An attempt to submit, of which nothing is left afterwards; a trainer that never stops with `saves` below 0."""
    training = Training(executor, attempts, trainer=claim.pop("trainer", f"SAVES = {saves}\n{TRAINER}"), **claim)
    try:
        yield training
    finally:
        training.close()


def local_executor(root: Path) -> LocalExecutor:
    """The local executor, below `root`."""
    (root / "attempts").mkdir()
    return LocalExecutor(attempts=root / "attempts", slots=4, gpus=0)


def slurm_executor(root: Path, cluster: Cluster) -> SlurmExecutor:
    """The Slurm executor, below `root`."""
    (root / "attempts").mkdir(exist_ok=True)
    executor = SlurmExecutor(
        folder=root / "attempts",
        slots=50,
        nodes=3,
        gpus=6,
        slurm_conf=cluster.conf,
        poll_seconds=0,
        python=sys.executable,
    )
    executor._jobs._patience = 30.0  # a loaded machine is no silent Slurm
    return executor
