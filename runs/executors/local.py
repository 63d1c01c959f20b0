"""Runs attempts as detached processes on this machine.

A runner is alive exactly as long as the exclusive lock on its `attempt.lock` is held: the executor takes the lock,
hands it to the runner, and lets go of its own copy. So no pid is trusted (they are reused, and a reboot forgets
them), a job is found again after any crash, and a second submit of the same attempt sees the lock taken.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runs.executors import folders
from runs.executors.base import Capacity, Choice, ExecutorError, JobState, SubmitRefused, SubmitRequest

ASK_AGAIN_SECONDS: Final = 60.0  # after an nvidia-smi that failed: a driver may take minutes to be ready after a boot
COUNT_SECONDS: Final = 10.0  # a page may wait for it
logger = logging.getLogger(__name__)


class LocalExecutor:
    """Detached process groups on this machine, with slots and GPUs counted by the scheduler.

    `slots`: runs at once. `gpus`: number of GPUs, None to count them with nvidia-smi. `attempts`: the folder that
    holds one private folder for each attempt. `max_time_limit_minutes`: the longest time limit of a run, None for any.
    """

    kind = "local"

    def __init__(
        self,
        *,
        attempts: Path,
        slots: int,
        gpus: int | None = None,
        max_time_limit_minutes: int | None = None,
        name: str = "local",
    ) -> None:
        self.name = name
        self._attempts = attempts
        self._slots = slots
        self._gpus = gpus
        self._counting = threading.Lock()
        self._counted_at: float | None = None  # time.monotonic() of the newest count
        self._max_time_limit_minutes = max_time_limit_minutes

    def capacity(self) -> Capacity:
        """Return slots and GPUs of this machine; no GPUs while nvidia-smi fails."""
        return Capacity(slots=self._slots, gpus=self._known_gpus() or 0)

    def _known_gpus(self) -> int | None:
        """Return the number of GPUs, counted once; None while nvidia-smi fails, which is asked again after a while."""
        with self._counting:
            is_due = self._counted_at is None or time.monotonic() - self._counted_at >= ASK_AGAIN_SECONDS
            if self._gpus is None and is_due:
                self._gpus = count_gpus()
                self._counted_at = time.monotonic()  # after the answer, which may have taken long
                if self._gpus is None:
                    logger.warning("nvidia-smi fails: no GPU is given to runs; it is asked again every minute")
            return self._gpus

    def submit(self, request: SubmitRequest) -> str:
        """Start a detached runner; the handle is the attempt's folder name."""
        folder = self._folder(request.name)
        try:
            folders.make_folder(folder)
            lock = folders.take_lock_of_runner(folder)
            if lock is None:
                return request.name  # a runner of an earlier submit is alive
            try:
                if not (folder / "runner.json").exists():
                    folders.write_job(folder, request)
                    folders.start_runner(folder, lock, more=_visible_gpus(request.gpu_indexes))
            finally:
                os.close(lock)
        except OSError as error:
            raise ExecutorError(f"the attempt's folder or process could not be made: {error.strerror}") from error
        return request.name

    def recover(self, handle: str) -> None:
        """Start a runner that delivers what a dead one left behind; see `folders.start_recovery`. Raises: OSError."""
        folders.start_recovery(self._folder(handle))

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Tell for each attempt whether its runner is alive."""
        return {uid: self._state(handle) for uid, handle in handles.items()}

    def _state(self, handle: str) -> JobState:
        try:
            return self._state_of(self._folder(handle))
        except SubmitRefused:
            return JobState("unknown", "the handle is that of another kind of executor")

    def _state_of(self, folder: Path) -> JobState:
        try:
            if not folder.exists():
                return JobState("ended", "the attempt's folder is gone")
            # Shared, so that two who look at once do not take each other for the runner.
            lock = folders.take_lock(folder, fcntl.LOCK_SH)
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
        if self._state_of(folder).state != "running":
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
        elif folders.is_nearly_full(self._attempts):
            found.append(folders.NEARLY_FULL)
        return found

    def choices(self, recipe: str) -> tuple[Choice, ...]:  # noqa: ARG002 - the contract's
        """Return nothing: this machine is as it is."""
        return ()

    def max_time_limit_minutes(self, recipe: str) -> int | None:  # noqa: ARG002 - the contract's
        """Return the bound that the operator set, for all recipes the same."""
        return self._max_time_limit_minutes

    def _folder(self, name: str) -> Path:
        return folders.folder_of(self._attempts, name)


def _visible_gpus(gpu_indexes: tuple[int, ...] | None) -> dict[str, str]:
    return {} if gpu_indexes is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpu_indexes))}


def count_gpus() -> int | None:
    """Return the number of GPUs that nvidia-smi lists on this machine, 0 without that program, None when it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=COUNT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    if listing.returncode and "no devices" not in listing.stdout.lower():
        return None
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
