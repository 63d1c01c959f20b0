"""Runs attempts as detached processes on this machine.

A runner is alive exactly as long as the exclusive lock on its `attempt.lock` is held: the executor takes the lock,
hands it to the runner, and lets go of its own copy. So no pid is trusted (they are reused, and a reboot forgets
them), a job is found again after any crash, and a second submit of the same attempt sees the lock taken.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.executors.base import Capacity, ExecutorError, JobState, SubmitRefused, SubmitRequest

RUNNER_ROOT = Path(__file__).resolve().parents[2]
MIN_FREE_BYTES = 256 * 1024 * 1024  # below this an attempt would soon fail on a full disk
LOCK_TRIES, LOCK_PAUSE_SECONDS = 5, 0.01
RECOVER_AGAIN_SECONDS = 5.0  # a recovery that ended without success is not started again sooner
# What a runner may know of the hub's environment; everything else (secrets, database) stays here.
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES")


class LocalExecutor:
    """Detached process groups on this machine, with slots and GPUs counted by the scheduler.

    `slots`: runs at once. `gpus`: number of GPUs, None to count them with nvidia-smi. `attempts`: the folder that
    holds one private folder for each attempt.
    """

    name = "local"

    def __init__(self, *, attempts: Path, slots: int, gpus: int | None = None) -> None:
        self._attempts = attempts
        self._slots = slots
        self._gpus = gpus

    def capacity(self) -> Capacity:
        """Return slots and GPUs of this machine."""
        if self._gpus is None:
            self._gpus = count_gpus()
        return Capacity(slots=self._slots, gpus=self._gpus)

    def submit(self, request: SubmitRequest) -> str:
        """Start a detached runner; the handle is the attempt's folder name."""
        folder = self._folder(request.name)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _take_lock_of_runner(folder)
            if lock is None:
                return request.name  # a runner of an earlier submit is alive
            try:
                if not (folder / "runner.json").exists():
                    _write_job(folder, request)
                    self._spawn(folder, lock, gpu_indexes=request.gpu_indexes)
            finally:
                os.close(lock)
        except OSError as error:
            raise ExecutorError(f"the attempt's folder or process could not be made: {error.strerror}") from error
        return request.name

    def recover(self, handle: str) -> None:
        """Start a runner that delivers what a dead one left behind.

        Does nothing while one is alive, nor within RECOVER_AGAIN_SECONDS of the last one's start. Raises: OSError.
        """
        folder = self._folder(handle)
        if not (folder / "job.json").exists() or _was_touched(folder / "recovery", within=RECOVER_AGAIN_SECONDS):
            return
        lock = _take_lock(folder)
        if lock is None:
            return
        try:
            (folder / "recovery").touch(mode=0o600)
            self._spawn(folder, lock, "--recover")
        finally:
            os.close(lock)

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Tell for each attempt whether its runner is alive."""
        return {uid: self._state(self._folder(handle)) for uid, handle in handles.items()}

    def _state(self, folder: Path) -> JobState:
        try:
            if not folder.exists():
                return JobState("ended", "the attempt's folder is gone")
            # Shared, so that two who look at once do not take each other for the runner.
            lock = _take_lock(folder, fcntl.LOCK_SH)
        except OSError as error:
            return JobState("unknown", f"the attempt's lock cannot be tried: {error.strerror}")
        if lock is None:
            return JobState("running")
        os.close(lock)
        return JobState("ended", "the runner's process is gone")

    def cancel(self, handle: str, *, hard: bool = False) -> None:
        """Signal the runner: SIGTERM to let the trainer save, SIGKILL when hard (the trainer dies with it)."""
        pid = self._living_runner(self._folder(handle))
        if pid is None:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            # The lock is still held after the descriptor was opened, so the descriptor is the runner's.
            if self._living_runner(self._folder(handle)) == pid:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL if hard else signal.SIGTERM)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def _living_runner(self, folder: Path) -> int | None:
        """Return the pid of the runner that supervises a trainer; a recovery is none, it has ended the trainer."""
        if self._state(folder).state != "running":
            return None
        try:
            record = json.loads((folder / "runner.json").read_text())
            return None if record["is_recovery"] else int(record["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def problems(self) -> list[str]:
        """Name what is missing on this machine."""
        found = []
        if sys.platform != "linux":
            found.append("The local executor needs Linux.")
        if not os.access(self._attempts, os.W_OK):
            found.append("The attempts folder cannot be written.")
        elif shutil.disk_usage(self._attempts).free < MIN_FREE_BYTES:
            found.append(f"Less than {MIN_FREE_BYTES // 2**20} MiB are free on the disk of the attempts folder.")
        return found

    def _folder(self, name: str) -> Path:
        if not name.replace("_", "").isalnum():
            raise SubmitRefused("an attempt's name holds letters, digits and _ alone")
        return self._attempts / name

    def _spawn(self, folder: Path, lock: int, *arguments: str, gpu_indexes: tuple[int, ...] | None = None) -> None:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"PYTHONPATH": str(RUNNER_ROOT), "TRAINHUB_LOCK_FD": str(lock)}
        if gpu_indexes is not None:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpu_indexes))
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


_children: list[subprocess.Popen[Any]] = []


def reap_children() -> None:
    """Take note of ended runners, so that they do not stay as zombies while the scheduler lives."""
    _children[:] = [process for process in _children if process.poll() is None]


def _take_lock_of_runner(folder: Path) -> int | None:
    """Take the lock to start a runner; None when one holds it.

    Another scheduler's look at the lock holds it for microseconds: only a lock that stays taken is a runner's.
    """
    for _ in range(LOCK_TRIES):
        lock = _take_lock(folder)
        if lock is not None:
            return lock
        time.sleep(LOCK_PAUSE_SECONDS)
    return None


def _was_touched(path: Path, *, within: float) -> bool:
    """Tell whether the file was written in the last `within` seconds; a time in the future does not count."""
    try:
        return 0 <= time.time() - path.stat().st_mtime < within
    except FileNotFoundError:
        return False


def _take_lock(folder: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """Return a descriptor that holds the lock of `folder`, or None when a runner holds it."""
    descriptor = os.open(folder / "attempt.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _write_job(folder: Path, request: SubmitRequest) -> None:
    job = {"protocol": 1, "attempt": request.name, "hub_url": request.hub_url, "token": request.token}
    temporary = folder / "job.json.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(job, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "job.json")


def count_gpus() -> int:
    """Return the number of GPUs that nvidia-smi lists on this machine, 0 without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
