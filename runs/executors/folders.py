"""The private folders of attempts, as every executor makes them: the order for the runner, locks, recoveries."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runs.executors.base import SubmitRefused, SubmitRequest

RUNNER_ROOT = Path(__file__).resolve().parents[2]
LOCK_TRIES, LOCK_PAUSE_SECONDS = 5, 0.01
MIN_FREE_BYTES = 256 * 1024 * 1024  # below this an attempt would soon fail on a full disk
NEARLY_FULL = f"The disk of the attempts folder does not answer, or has less than {MIN_FREE_BYTES // 2**20} MiB free."
CLAIM_SECONDS = 3600.0  # how long a runner asks a hub that is away whether it may start
RECOVER_AGAIN_SECONDS = 5.0  # a recovery that ended without success is not started again sooner
# What a runner may know of the hub's environment; everything else (secrets, database) stays here.
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES")
_children: list[subprocess.Popen[Any]] = []


def folder_of(root: Path, name: str) -> Path:
    """Return the folder of the attempt `name` below `root`. Raises: SubmitRefused for a name that is no uid."""
    if not (name.isascii() and name.replace("_", "").isalnum()):
        raise SubmitRefused("an attempt's name holds letters, digits and _ alone")
    return root / name


def make_folder(folder: Path) -> None:
    """Make the attempt's folder, readable by its owner alone; made before is fine. Raises: OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def is_nearly_full(folder: Path) -> bool:
    """Tell whether the disk of a folder has too little room for another attempt, or cannot be asked."""
    try:
        return shutil.disk_usage(folder).free < MIN_FREE_BYTES
    except OSError:
        return True


def write_job(folder: Path, request: SubmitRequest) -> None:
    """Write what the runner reads first, with the attempt's token. Raises: OSError."""
    job = {
        "protocol": 1,
        "attempt": request.name,
        "hub_url": request.hub_url,
        "token": request.token,
        "claim_seconds": CLAIM_SECONDS,
    }
    write_private(folder / "job.json", json.dumps(job))


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read; after a crash it is whole or absent. Raises: OSError."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def take_lock(folder: Path, kind: int = fcntl.LOCK_EX, *, name: str = "attempt.lock") -> int | None:
    """Return a descriptor that holds the lock of `folder`, or None when another, such as its runner, holds it.

    Raises: OSError.
    """
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take_lock_of_runner(folder: Path) -> int | None:
    """Take the lock to start a runner; None when one holds it. Raises: OSError.

    Another scheduler's look at the lock holds it for microseconds: only a lock that stays taken is a runner's.
    """
    for _ in range(LOCK_TRIES):
        lock = take_lock(folder)
        if lock is not None:
            return lock
        time.sleep(LOCK_PAUSE_SECONDS)
    return None


def start_runner(folder: Path, lock: int, *arguments: str, more: dict[str, str] | None = None) -> None:
    """Start a detached runner on this machine, which holds `lock` as long as it lives; `more` are its variables.

    Raises: OSError.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"PYTHONPATH": str(RUNNER_ROOT), "TRAINHUB_LOCK_FD": str(lock), **(more or {})}
    with (folder / "runner.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-S", "-m", "runner", *arguments, str(folder)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )
    _children.append(process)
    reap_children()


def start_recovery(folder: Path) -> None:
    """Start a runner on this machine that delivers what a dead one left behind in the folder.

    Does nothing while one is alive, nor within RECOVER_AGAIN_SECONDS of the last one's start. Raises: OSError.
    """
    if not (folder / "job.json").exists() or _was_touched(folder / "recovery", within=RECOVER_AGAIN_SECONDS):
        return
    lock = take_lock(folder)
    if lock is None:
        return
    try:
        (folder / "recovery").touch(mode=0o600)
        start_runner(folder, lock, "--recover")
    finally:
        os.close(lock)


def reap_children() -> None:
    """Take note of ended runners, so that they do not stay as zombies while the scheduler lives."""
    _children[:] = [process for process in _children if process.poll() is None]


def _was_touched(path: Path, *, within: float) -> bool:
    """Tell whether the file was written in the last `within` seconds; a time in the future does not count."""
    try:
        return 0 <= time.time() - path.stat().st_mtime < within
    except FileNotFoundError:
        return False
