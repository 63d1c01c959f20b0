"""Attempts in jobs of a real Slurm, with the hub of these tests."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runs.executors.base import ExecutorError, SubmitRequest
from tests.engines.slurm import Cluster
from tests.runner.conftest import ROOT, Bench, wait_for
from tests.runner.hub import TOKEN
from tests.runs.executors.conftest import slurm
from tests.runs.executors.training import slurm_executor

START_SECONDS = 300.0  # from sbatch to a trainer's first line, on a busy machine

__all__ = ["START_SECONDS", "ClusterBench", "cluster_bench", "slurm"]


class ClusterBench(Bench):
    """One attempt in a job of Slurm."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        root.mkdir(exist_ok=True)
        super().__init__(root)
        self.executor, self.cluster, self.handle = slurm_executor(root, cluster), cluster, ""
        self.path = root / "attempts" / self.attempt

    def submit(self, *, nodes: int = 2, gpus: int = 0) -> None:
        """Have Slurm start the runner, as the batch script of a job."""
        request = SubmitRequest(name=self.attempt, folder=self.path, hub_url=self.hub.url, token=TOKEN)
        self.handle = self.executor.submit(replace(request, nodes=nodes, gpus_per_node=gpus))

    def submit_in_step(self) -> None:
        """Have Slurm start the runner in a step of its own, as an operator's own script may do it."""
        runner = shlex.join([sys.executable, "-s", "-S", "-m", "runner", str(self.path)])
        script = self.path / "own.sh"
        step = f"srun --nodes=1 --ntasks=1 --overlap {runner}"
        script.write_text(f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\n{step}\n")
        options = ["--nodes=2", "--ntasks-per-node=1", "--no-requeue", f"--output={self.path / 'slurm.log'}"]
        job = self.cluster.call("sbatch", "--parsable", f"--job-name={self.attempt}", *options, str(script))
        self.handle = f"{self.attempt}:{job.strip()}"

    def stop(self) -> None:
        """Ask the runner to stop its trainer."""
        self.executor.cancel(self.handle)

    @property
    def log(self) -> str:
        """Return what the runner noted."""
        return (self.path / "slurm.log").read_text()

    def wait_for_report(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Return the exit report, once the job's processes are gone."""
        self.hub.wait(lambda: self.hub.exits, seconds)
        wait_for(lambda: not self.marked(), 30)
        return self.hub.exits[0]

    def clear(self) -> None:
        """End the job, and what it may have left."""
        if self.handle:
            with contextlib.suppress(ExecutorError):
                self.executor.cancel(self.handle, hard=True)
        wait_for(lambda: not self.marked() or super(ClusterBench, self).clear(), 60)


@pytest.fixture
def cluster_bench(tmp_path: Path, slurm: Cluster) -> Iterator[ClusterBench]:
    """A place to run an attempt in a job of Slurm. Whatever the test does, nothing of it outlives the test."""
    bench = ClusterBench(tmp_path / "bench", slurm)
    try:
        yield bench
    finally:
        bench.clear()
        if hasattr(bench, "hub"):
            bench.hub.close()
