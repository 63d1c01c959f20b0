"""Real Slurm clusters on this machine, with pretend nodes; started and stopped by the scripts in tests/engines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.processes import read_processes

ENGINES = Path(__file__).parent
PATH = f"{os.environ['PATH']}:/usr/sbin"


def free_ports(count: int) -> int:
    """Return the first of `count` ports in a row that nobody listens on."""
    while True:
        first = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


@dataclass
class Cluster:
    """A cluster whose state lies in `folder`. `settings` are variables of slurm-up.sh."""

    folder: Path
    nodes: int = 3
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        """What SLURM_CONF names."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's programs ask this cluster."""
        return {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}

    def start(self) -> Cluster:
        """Start it, or what of it does not run. Skips the test where Slurm is not installed, and fails it in CI."""
        self.settings.setdefault("SLURM_BASE_PORT", str(free_ports(self.nodes + 1)))
        done = self._script("slurm-up.sh", str(self.nodes))
        if done.returncode:
            reason = f"Slurm could not be started: {done.stderr[-500:]}"
            pytest.fail(reason) if os.environ.get("CI") or "missing packages" not in done.stderr else pytest.skip(
                reason
            )
        return self

    def stop(self) -> None:
        """End its jobs and daemons and remove its state."""
        self._script("slurm-down.sh", "--purge")

    def _script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.settings, "SLURM_DEV_DIR": str(self.folder)}
        return subprocess.run(
            [ENGINES / name, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    def call(self, *command: str, check: bool = True) -> str:
        """Return what one of Slurm's programs prints."""
        done = subprocess.run(
            command, check=check, capture_output=True, text=True, timeout=60, env=self.environment, cwd="/"
        )
        return done.stdout

    def kill_controller(self) -> None:
        """kill -9 of slurmctld."""
        self._kill("slurmctld")

    def start_controller(self) -> None:
        """Start slurmctld with the state that it left."""
        self.call("slurmctld", "-f", str(self.conf))

    def kill_node(self, node: str) -> None:
        """kill -9 of a node's slurmd and of everything that it started for jobs: power off."""
        self._kill(f"slurmd-{node}")
        wanted = {f"SLURM_CONF={self.conf}".encode(), f"SLURMD_NODENAME={node}".encode()}
        jobs = [process for process in read_processes().values() if wanted <= _environment_of(process.pid)]
        supervisors = {process.parent for process in jobs if _is_supervisor(process.parent)}
        for pid in (*supervisors, *(process.pid for process in jobs)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd again."""
        self.call("slurmd", "-f", str(self.conf), "-N", node)

    def _kill(self, daemon: str) -> None:
        os.kill(int((self.folder / "run" / f"{daemon}.pid").read_text()), signal.SIGKILL)


def _environment_of(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def _is_supervisor(pid: int) -> bool:
    """Whether it is Slurm's process beside a job, which has nothing of the job in its environment."""
    try:
        return b"slurmstepd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@contextlib.contextmanager
def shared(cluster: Cluster) -> Iterator[Cluster]:
    """Start the cluster with the first user among all test processes and stop it after the last one."""
    cluster.folder.mkdir(parents=True, exist_ok=True)
    _count_users(cluster, 1)
    try:
        yield cluster
    finally:
        _count_users(cluster, -1)


def _count_users(cluster: Cluster, change: int) -> None:
    users, ports = (cluster.folder.with_suffix(suffix) for suffix in (".users", ".port"))
    with cluster.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        count = int(users.read_text()) if users.exists() else 0
        if count and ports.exists():
            cluster.settings["SLURM_BASE_PORT"] = ports.read_text()
        if change > 0 and count == 0:
            cluster.start()
            ports.write_text(cluster.settings["SLURM_BASE_PORT"])
        if change < 0 and count == 1:
            cluster.stop()
        users.write_text(str(count + change))
