"""The trainer process: its environment, its start through `launch.py`, and how it ended."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runner.control import Control
from runner.folder import AttemptFolder
from runner.processes import MARKER_VARIABLE
from runner.protocol import ClaimAnswer
from runner.threads import start_thread

LAUNCHER: Final = Path(__file__).with_name("launch.py")
PIPE_BYTES: Final = 1024**2  # the most an ordinary user may ask for; the default is 64 kB
INHERITED: Final = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
)
WITHHELD: Final = ("SLURM_JWT",)  # lets its bearer act for the service at the engine


class CannotStart(Exception):
    """The trainer was not started. `is_missing`: because its program cannot be found or executed."""

    def __init__(self, why: str, *, is_missing: bool) -> None:
        super().__init__(why)
        self.is_missing = is_missing


def make_environment(
    own: Mapping[str, str], claim: ClaimAnswer, folder: AttemptFolder, resume_from: Path | None, hub_url: str
) -> dict[str, str]:
    """Return the trainer's variables, built from nothing: allowed ones, MLflow's, the recipe's, then trainhub's."""
    environment = {name: own[name] for name in INHERITED if name in own}
    environment |= {n: v for n, v in own.items() if n.startswith("SLURM_") and n not in WITHHELD}
    environment |= tracking_variables(claim, hub_url)
    environment |= claim["environment"]
    environment |= {
        "TRAINHUB_CONFIG": str(folder.config),
        "TRAINHUB_OUTPUT_DIR": str(folder.output),
        "TRAINHUB_DATASETS": os.pathsep.join(claim["datasets"]),
        "PYTHONUNBUFFERED": "1",
        MARKER_VARIABLE: claim["attempt"],
    }
    if resume_from is not None:
        environment["TRAINHUB_RESUME_FROM"] = str(resume_from)
    return environment


def tracking_variables(claim: ClaimAnswer, hub_url: str) -> dict[str, str]:
    """Return what makes an MLflow client of the trainer log to this run; nothing where the recipe names a server."""
    tracking = claim.get("tracking")
    if tracking is None or "MLFLOW_TRACKING_URI" in claim["environment"]:
        return {}
    return {
        "MLFLOW_TRACKING_URI": hub_url.rstrip("/") + "/mlflow",
        "MLFLOW_TRACKING_TOKEN": tracking["token"],
        "MLFLOW_EXPERIMENT_ID": tracking["experiment"],
        "MLFLOW_RUN_ID": tracking["run"],
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the links would go to pages that MLflow has
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


class Trainer:
    """A started trainer. Its pid stays valid until `collect`, because nobody else reaps it."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        cwd: Path,
        *,
        stdin: int = subprocess.DEVNULL,
        is_bound: bool = True,
    ) -> None:
        """Start it; must run on the main thread, whose death kills it when it `is_bound`. Raises CannotStart."""
        self.stdout, stdout = _make_pipe()
        self.stderr, stderr = _make_pipe()
        status_read, status = os.pipe2(os.O_CLOEXEC)
        self.ended = threading.Event()
        binding = os.getpid() if is_bound else 0
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(binding), str(status), *command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
                pass_fds=(status,),
            )
        except (OSError, ValueError) as error:
            os.close(status_read)
            self._close_pipes()
            raise CannotStart(f"The trainer could not be started: {error}", is_missing=False) from error
        finally:
            for descriptor in (stdout, stderr, status):
                os.close(descriptor)
        self.pid = self._process.pid
        self._check_start(command[0], status_read)

    def _check_start(self, program: str, status_read: int) -> None:
        """Wait for the launcher's exec. Raises CannotStart."""
        with open(status_read, "rb") as status:
            word, _, number = status.read().decode().partition(" ")
        if word == "ready" and not number:
            return
        code, _signal = self.collect()
        self._close_pipes()
        if number:
            reason = errno.errorcode.get(int(number), number)
            raise CannotStart(f"{program} cannot be executed ({reason}).", is_missing=True)
        raise CannotStart(f"The launcher ended before it could start the trainer (exit code {code}).", is_missing=False)

    def _close_pipes(self) -> None:
        os.close(self.stdout)
        os.close(self.stderr)

    def watch(self, control: Control) -> None:
        """Have `ended` set, and the main thread woken, when the trainer ends."""

        def wait() -> None:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.ended.set()
            control.wake()

        start_thread("wait for trainer", wait)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone; known once it is watched."""
        return self.ended.is_set()

    def kill_elsewhere(self) -> None:
        """Kill what is not on this machine: nothing."""

    def terminate(self) -> None:
        """Send SIGTERM to the trainer process alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def collect(self) -> tuple[int | None, int | None]:
        """Reap it and return (exit code, None) or (None, signal number)."""
        code = self._process.wait()
        return (code, None) if code >= 0 else (None, -code)


def _make_pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing
