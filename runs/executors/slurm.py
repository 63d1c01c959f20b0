"""Runs attempts as jobs of a Slurm cluster: sbatch, squeue, scancel, and sacct where there is accounting.

The attempt's uid is the name of its job, and the name is what everything goes by: it finds a job whose answer was lost,
and unlike a job's number it never comes twice. Slurm may still start a job twice; the runner's lock and its claim
let one of them train.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runs.executors import folders
from runs.executors.base import Capacity, Choice, ExecutorError, JobState, SubmitRefused, SubmitRequest
from runs.executors.slurm_commands import Refreshed, SlurmCommands
from runs.executors.slurm_rules import SlurmRules
from runs.executors.slurm_script import Places, write_script
from runs.executors.slurm_words import SACCT_FORMAT, SQUEUE_FORMAT, JobLine, read_jobs, usable_partitions

SECOND_LOOK_SECONDS = 10.0  # a job that Slurm does not know has ended only when it is still unknown then
HEALTH_SECONDS = 15.0  # between two looks at the nodes
NAMED_AT_ONCE = 2000  # names in one argument, of which the kernel takes 128 KiB
ACCOUNTING_DAYS = 30  # how far back accounting is searched for a job that the controller forgot
SUBMIT_TRIES, SUBMIT_PAUSE_SECONDS = 50, 0.1


@dataclass(frozen=True)
class _Answer:
    """What Slurm said of the attempts `asked`; `at` is when it was asked (monotonic)."""

    at: float
    asked: frozenset[str]
    jobs: dict[str, JobLine]


class SlurmExecutor:
    """Jobs of a Slurm cluster, which queues them by itself.

    `folder`: on a file system that hub and nodes share, with one private folder for each attempt. `slots`: jobs handed
    over at once; `nodes`: at most a run; `gpus`: of all nodes, to tell what never fits. `python`: the runner's
    interpreter on the nodes, at least 3.11; `runner_root`: the folder there that holds the package `runner`.
    `programs`: the folder of sbatch and the others, None for PATH; `slurm_conf`: None for the system's.
    `poll_seconds`: Slurm is asked for the jobs at most this often.

    Raises: ValueError for a path that cannot stand in a batch script.
    """

    kind = "slurm"

    def __init__(
        self,
        *,
        folder: Path,
        slots: int,
        nodes: int,
        gpus: int,
        python: str = "/usr/bin/python3",
        runner_root: Path | None = None,
        programs: Path | None = None,
        slurm_conf: Path | None = None,
        rules: SlurmRules | None = None,
        poll_seconds: float = 2.0,
        name: str = "slurm",
    ) -> None:
        self.name = name
        self._capacity = Capacity(slots=slots, gpus=gpus, nodes=nodes, has_queue=True)
        self._places = Places(folder, python, runner_root or folders.RUNNER_ROOT)
        self._rules = rules or SlurmRules()
        self._commands = SlurmCommands(programs=programs, slurm_conf=slurm_conf)
        self._wanted: frozenset[str] = frozenset()
        self._jobs = Refreshed(self._ask_for_jobs, seconds=poll_seconds)
        self._health = Refreshed(self._ask_for_nodes, seconds=HEALTH_SECONDS)
        self._missing_since: dict[str, float] = {}
        self._has_accounting = True

    def capacity(self) -> Capacity:
        """Return what the operator said that there is."""
        return self._capacity

    def choices(self, recipe: str) -> tuple[Choice, ...]:
        """Return what the operator leaves to users."""
        return self._rules.for_recipe(recipe).choices()

    def max_time_limit_minutes(self, recipe: str) -> int | None:
        """Return the bound that the operator set."""
        return self._rules.for_recipe(recipe).max_time_limit_minutes

    def submit(self, request: SubmitRequest) -> str:
        """Submit a batch job that becomes the runner; the handle is `uid:number of the job`."""
        folder = self._folder(request.name)
        script = write_script(request, rules=self._rules.for_recipe(request.recipe), places=self._places)
        try:
            folders.make_folder(folder)
            lock = self._take_turn(folder)
            try:
                return self._find(folder) or self._submit(folder, request, script)
            finally:
                os.close(lock)
        except OSError as error:
            raise ExecutorError(f"the attempt's folder could not be written: {error.strerror}") from error

    def _take_turn(self, folder: Path) -> int:
        """Take the lock of those who submit the attempt: the second finds the first one's job."""
        for _ in range(SUBMIT_TRIES):
            lock = folders.take_lock(folder, name="submit.lock")
            if lock is not None:
                return lock
            time.sleep(SUBMIT_PAUSE_SECONDS)
        raise ExecutorError("another scheduler is submitting the attempt")

    def _find(self, folder: Path) -> str | None:
        """Return the handle of the job that an earlier submit of the attempt made, None when there is none."""
        if not (folder / "job.sh").exists():
            return None  # nobody came as far as sbatch
        name = folder.name
        jobs = read_jobs(self._squeue(f"--name={name}"))
        if name in jobs:
            return f"{name}:{jobs[name].job}"
        # Slurm forgets ended jobs after a while; the runner's record does not go away.
        return name if (folder / "runner.json").exists() else None

    def _submit(self, folder: Path, request: SubmitRequest, script: str) -> str:
        folders.write_job(folder, request)
        folders.write_private(folder / "job.sh", script)
        answer = self._commands.call("sbatch", "--parsable", str(folder / "job.sh"), folder=folder)
        number = answer.strip().partition(";")[0]  # the cluster's name may follow
        if not number.isdigit():
            raise ExecutorError("sbatch's answer is not understood")
        return f"{request.name}:{number}"

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Tell what Slurm says of each attempt. It is asked again when its last answer is `poll_seconds` old."""
        if not handles:
            return {}
        names = {uid: _name_of(handle) for uid, handle in handles.items()}
        self._wanted = frozenset(names.values())
        answer = self._jobs.get()
        self._missing_since = {name: at for name, at in self._missing_since.items() if name in self._wanted}
        return {uid: self._state(name, answer) for uid, name in names.items()}

    def _state(self, name: str, answer: _Answer) -> JobState:
        job = answer.jobs.get(name)
        if job is not None:
            self._missing_since.pop(name, None)
            return self._describe(name, job)
        if name not in answer.asked:
            return JobState("unknown", "Slurm has not been asked for the job yet")
        return self._state_of_missing(name, answer.at)

    def _describe(self, name: str, job: JobLine) -> JobState:
        found = job.describe()
        try:
            has_begun = found.state != "ended" or (self._folder(name) / "runner.json").exists()
        except OSError:  # a file system that is away says nothing of the runner
            has_begun = True
        return found if has_begun else replace(found, has_begun=False)

    def _state_of_missing(self, name: str, at: float) -> JobState:
        """Judge an attempt that Slurm did not know at `at`: by its runner's lock, then by a second answer later on."""
        try:
            lock = folders.take_lock(self._folder(name), fcntl.LOCK_SH)
        except (OSError, SubmitRefused):
            lock = -1
        if lock is None:
            return JobState("running", "Slurm does not know the job, but its runner is alive")
        if lock >= 0:
            os.close(lock)
        since = self._missing_since.setdefault(name, at)
        if at < since + SECOND_LOOK_SECONDS:
            return JobState("unknown", "Slurm does not know the job; it is looked for again")
        return JobState("ended", "Slurm does not know the job any more")

    def _ask_for_jobs(self) -> _Answer:
        at, names = time.monotonic(), self._wanted
        chosen = [f"--name={','.join(sorted(names))}"] if len(names) <= NAMED_AT_ONCE else []
        jobs = read_jobs(self._squeue(*chosen))
        if missing := sorted(names - set(jobs)):
            jobs |= self._ask_accounting(missing[:NAMED_AT_ONCE])
        return _Answer(at, names, jobs)

    def _squeue(self, *options: str) -> str:
        return self._commands.call(
            "squeue", "--me", "--noheader", "--states=all", f"--format={SQUEUE_FORMAT}", *options
        )

    def _ask_accounting(self, names: list[str]) -> dict[str, JobLine]:
        """Return how jobs ended that the controller forgot; what accounting calls alive may be its mistake."""
        if not (self._has_accounting and self._commands.has("sacct")):
            return {}
        options = ("--allocations", "--noheader", "--parsable2", f"--format={SACCT_FORMAT}")
        chosen = (f"--name={','.join(names)}", f"--starttime=now-{ACCOUNTING_DAYS}days")
        try:
            jobs = read_jobs(self._commands.call("sacct", *options, *chosen))
        except ExecutorError as error:
            self._has_accounting = "storage is disabled" not in str(error)
            return {}
        return {name: job for name, job in jobs.items() if job.state == "ended"}

    def cancel(self, handle: str, *, hard: bool = False) -> None:
        """Cancel the job while it waits, else send SIGTERM to the runner alone; `hard` ends everything.

        `hard`: Slurm itself sends SIGTERM to all processes, and SIGKILL after the site's KillWait.
        """
        chosen = (f"--name={_name_of(handle)}", f"--user={self._commands.user}")
        try:
            if hard:
                self._commands.call("scancel", *chosen, seconds=5)
            else:
                # A signal for a job that waits would block until it starts; so would no signal lose its order.
                self._commands.call("scancel", "--state=PENDING", *chosen, seconds=5)
                self._commands.call("scancel", "--state=RUNNING", "--batch", "--signal=TERM", *chosen, seconds=5)
        finally:
            self._jobs.forget()

    def recover(self, handle: str) -> None:
        """Start what delivers the remains of a dead runner on this machine, over the shared folder."""
        folders.start_recovery(self._folder(_name_of(handle)))

    def problems(self) -> list[str]:
        """Name what keeps Slurm from being used."""
        folder = self._places.attempts
        if missing := self._commands.missing():
            return [f"Slurm's programs are missing on this machine: {', '.join(missing)}."]
        if not os.access(folder, os.W_OK):
            return ["The attempts folder of Slurm's jobs cannot be written."]
        if folders.is_nearly_full(folder):
            return [folders.NEARLY_FULL]
        return self._problems_of_nodes()

    def _problems_of_nodes(self) -> list[str]:
        try:
            usable = self._health.get()
        except ExecutorError as error:
            return [f"Slurm does not answer: {error}."]
        if not any(usable.values()):
            return ["All nodes of Slurm are down or drained, or their partitions are closed."]
        wanted = self._rules.partitions
        if wanted and not any(usable.get(partition, False) for partition in wanted):
            return [f"The partition {', '.join(wanted)} is closed, or all its nodes are down or drained."]
        return []

    def _ask_for_nodes(self) -> dict[str, bool]:
        return usable_partitions(self._commands.call("sinfo", "--noheader", "--format=%R|%a|%T"))

    def _folder(self, name: str) -> Path:
        return folders.folder_of(self._places.attempts, name)


def _name_of(handle: str) -> str:
    """Return the attempt's uid. Raises: ExecutorError for a handle that is none."""
    name = handle.partition(":")[0]
    if not (name.isascii() and name.replace("_", "").isalnum()):
        raise ExecutorError("the handle is not one of Slurm's")
    return name
