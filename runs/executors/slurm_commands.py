"""Calls to Slurm's programs: argument lists, an environment of their own, and errors that say which kind they are."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from runs.executors.base import ExecutorError, SubmitRefused

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo")  # sacct is used where there is one
SILENCE_SECONDS = 5.0  # after a call without an answer nobody asks again that long
USED_WHILE_ASKING = 10  # times its age limit: so long an old answer counts while a new one is being asked for
# What Slurm says when a job can never be accepted as it is; anything else may pass.
_REFUSALS = re.compile(
    r"requested node configuration is not available|invalid partition|invalid feature|memory specification"
    r"|invalid account|invalid qos|time limit is invalid|violates accounting|not permitted|not allowed"
    r"|node count specification invalid|more processors requested|invalid generic resource|permission denied"
    r"|partition configuration not available|unrecognized option|invalid option|reservation is invalid"
    r"|trackable resource|invalid license|invalid constraint|invalid argument|batch script|too many tasks"
    r"|requires an argument|invalid .* specification|invalid --",
    re.IGNORECASE,
)
# What passes although it reads like a refusal: limits on jobs in the queue, and partitions that are closed for now.
_PASSING = re.compile(r"job submit limit|not available now|inactive or drain", re.IGNORECASE)
# Newer versions name the limit in a line of its own, before the sentence that is the same for all of them.
_NAMED_LIMIT = re.compile(r"\b(?:QOS|Assoc)[A-Z]\w+")
Answer = TypeVar("Answer")


class SlurmCommands:
    """Slurm's programs in `programs` (None: on PATH), for the cluster of `slurm_conf` (None: the system's).

    The environment is made from nothing: of what the hub knows, no job can learn anything.
    """

    def __init__(self, *, programs: Path | None, slurm_conf: Path | None) -> None:
        path = f"{programs}:/usr/bin:/bin" if programs else os.environ.get("PATH", "/usr/bin:/bin")
        account = pwd.getpwuid(os.geteuid())
        self.user = account.pw_name
        self._environment = {"PATH": path, "HOME": account.pw_dir, "USER": self.user, "LC_ALL": "C", "TZ": "UTC"}
        if slurm_conf:
            self._environment["SLURM_CONF"] = str(slurm_conf)
        self._silences: dict[bool, tuple[float, str]] = {}  # of accounting, and of the controller: until when, and why

    def missing(self) -> list[str]:
        """Return the programs that are not there."""
        return [program for program in PROGRAMS if not self.has(program)]

    def has(self, program: str) -> bool:
        """Tell whether the program is there."""
        return shutil.which(program, path=self._environment["PATH"]) is not None

    def call(self, program: str, *arguments: str, seconds: float = 10.0, folder: Path | None = None) -> str:
        """Return what a program printed.

        Accounting is another service than the controller: when one of them is silent, the other is asked as ever.
        Raises: ExecutorError, at once within SILENCE_SECONDS of a call that Slurm did not answer.
        """
        until, silence = self._silences.get(program == "sacct", (0.0, ""))
        if time.monotonic() < until:
            raise ExecutorError(silence)
        done = self._run(program, arguments, seconds, folder)
        if done.returncode == 0:
            return done.stdout
        problem = _last_words(done.stderr) or f"exit code {done.returncode}"
        if program == "sbatch" and _is_refusal(done.stderr):
            raise SubmitRefused(f"Slurm refused the job: {problem}")
        if re.search(r"unable to contact|timed out|connect|controller", done.stderr, re.IGNORECASE):
            self._note_silence(program, problem)
        raise ExecutorError(f"{program}: {problem}")

    def _run(
        self, program: str, arguments: tuple[str, ...], seconds: float, folder: Path | None
    ) -> subprocess.CompletedProcess[str]:
        found = shutil.which(program, path=self._environment["PATH"])
        if found is None:
            raise ExecutorError(f"{program} is not on this machine")
        try:
            return subprocess.run(
                [found, *arguments],
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                env=self._environment,
                cwd=folder or "/",
                stdin=subprocess.DEVNULL,
                umask=0o077,  # Slurm takes it over for the job's files
            )
        except subprocess.TimeoutExpired:
            problem = f"{program} did not answer within {seconds:g} s"
            self._note_silence(program, problem)
            raise ExecutorError(problem) from None
        except OSError as error:
            raise ExecutorError(f"{program} could not be started: {error.strerror}") from error

    def _note_silence(self, program: str, problem: str) -> None:
        self._silences[program == "sacct"] = (time.monotonic() + SILENCE_SECONDS, problem)


def _is_refusal(stderr: str) -> bool:
    """Tell whether sbatch says that the job can never be accepted as it is."""
    limit = _NAMED_LIMIT.search(stderr)
    may_pass = "Submit" in limit.group() if limit else _PASSING.search(stderr) is not None
    return not may_pass and _REFUSALS.search(stderr) is not None


def _last_words(stderr: str) -> str:
    """Return Slurm's own sentence, the last one that it wrote."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    text = re.sub(r"^\w+: (error: |fatal: )?", "", lines[-1]) if lines else ""
    return text.removeprefix("Batch job submission failed: ")[:500]


class Refreshed(Generic[Answer]):
    """An answer that is asked for again when it is `seconds` old, on a thread of its own, and used until that is back.

    Only who has no answer that is recent enough waits for one, `patience` seconds at most: an engine that hangs must
    not hold up a scheduler's pass, in which others are watched too.
    """

    def __init__(self, ask: Callable[[], Answer], *, seconds: float, patience: float = 1.0) -> None:
        self._ask, self._seconds, self._patience = ask, seconds, patience
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._result: tuple[float, Answer | ExecutorError] | None = None

    def get(self) -> Answer:
        """Return the newest answer. Raises: ExecutorError when asking failed, or takes too long."""
        thread = self._start_when_old()
        if thread and not self._is_younger_than(USED_WHILE_ASKING * self._seconds):
            thread.join(self._patience)
            if thread.is_alive():
                raise ExecutorError("Slurm has not answered yet")
        with self._lock:
            result = self._result
        if result is None:
            raise ExecutorError("Slurm has not answered yet")
        if isinstance(result[1], ExecutorError):
            raise result[1]
        return result[1]

    def _is_younger_than(self, seconds: float) -> bool:
        with self._lock:
            return self._result is not None and time.monotonic() < self._result[0] + seconds

    def forget(self) -> None:
        """Have the next `get` ask anew; what is being asked now does not count."""
        with self._lock:
            self._result = self._asking = None

    def _start_when_old(self) -> threading.Thread | None:
        """Return the thread that asks, None while the answer is recent."""
        if self._is_younger_than(self._seconds):
            return None
        with self._lock:
            if self._asking and self._asking.is_alive():
                return self._asking
            self._asking = threading.Thread(target=self._run, name="ask slurm", daemon=True)
            self._asking.start()
            return self._asking

    def _run(self) -> None:
        answer: Answer | ExecutorError
        try:
            answer = self._ask()
        except ExecutorError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
            answer = ExecutorError(f"asking Slurm failed: {error!r}")
        with self._lock:
            if self._asking is threading.current_thread():
                self._result = (time.monotonic(), answer)
