"""The attempt's private folder: what lies where, its lock, and the runner's own record in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import Any, Final

from runner.durable import read_record, write_record

LOCK_VARIABLE: Final = "TRAINHUB_LOCK_FD"


class AttemptFolder:
    """Paths below one attempt's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job = path / "job.json"  # written by the executor: attempt, hub_url, token, claim_seconds
        self.lock = path / "attempt.lock"  # held: a runner is alive
        self.runner = path / "runner.json"  # which process holds it
        self.claim = path / "claim.json"  # the hub's answer to the claim
        self.left = path / "left"  # why a runner left without starting a trainer
        self.config = path / "config.json"
        self.output = path / "output"
        self.resume = path / "resume"
        self.spool = path / "spool"
        self.processes = path / "processes.json"  # the trainer's tree as last seen
        self.artifacts = path / "artifacts.json"  # what the hub has verified
        self.reserve = path / "reserve"  # space for exit.json on a full disk
        self.exit = path / "exit.json"  # the exit report, as soon as it is known
        self.delivered = path / "delivered"  # nothing is left to do

    def take_lock(self) -> int | None:
        """Return the descriptor that holds the lock, None when another runner lives.

        The descriptor inherited from the executor is used when it is the lock's; it is never passed on.
        """
        inherited = self._inherited_lock()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.lock, flags, 0o600) if inherited is None else inherited
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        os.set_inheritable(descriptor, False)  # noqa: FBT003  its own signature
        return descriptor

    def _inherited_lock(self) -> int | None:
        try:
            descriptor = int(os.environ.pop(LOCK_VARIABLE, ""))
            there, wanted = os.fstat(descriptor), os.stat(self.lock)
        except (OSError, ValueError, OverflowError):
            return None
        return descriptor if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) else None

    def read_job(self) -> dict[str, Any]:
        """Return the executor's order. Raises ValueError when it is missing or incomplete."""
        job = read_record(self.job) or {}
        if not all(isinstance(job.get(key), str) and job[key] for key in ("attempt", "hub_url", "token")):
            raise ValueError("job.json lacks attempt, hub_url or token")
        return job

    def write_runner(self, *, is_recovery: bool) -> None:
        """Record which process this is, so that nobody ever trusts a bare pid."""
        record = {**describe_process(), "is_recovery": is_recovery}
        with contextlib.suppress(OSError):
            write_record(self.runner, record)

    def mark_delivered(self, how: str) -> None:
        """Record that nothing is left to do for this attempt. The first word stays."""
        with contextlib.suppress(OSError):
            if not self.delivered.exists():
                write_record(self.delivered, {"how": how})


def read_boot_id() -> str:
    """Return the word that the kernel draws at each boot; empty where it may not be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def describe_process() -> dict[str, Any]:
    """Return pid, start time (clock ticks since boot), boot id and host of this process."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return {
        "pid": os.getpid(),
        "start_time": int(fields[19]),
        "boot_id": read_boot_id(),
        "host": socket.gethostname(),
    }
