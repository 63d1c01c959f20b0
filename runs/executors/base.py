"""What every executor promises. No Django here: configuration arrives as arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

State = Literal["queued", "running", "ended", "unknown"]
# Why the engine itself ended a job, or nothing where it ended by itself or the engine does not say.
Ending = Literal["", "node_failed", "time_limit", "preempted", "cancelled", "refused", "out_of_memory"]


class ExecutorError(Exception):
    """The engine could not be asked; nothing is known about the job. Try again later."""


class SubmitRefused(Exception):
    """The engine refused the job for good; the text is the engine's reason."""


@dataclass(frozen=True)
class SubmitRequest:
    """One attempt to start.

    `name` is the attempt's uid and the idempotency key. `folder` is the attempt's private folder, made by the
    executor. `hub_url` and `token` are what the runner needs to claim the attempt. `gpu_indexes` are the GPUs of
    this machine given to a local run, None where the executor or nobody chooses. `recipe` is the recipe's name, for
    what an operator set for it. `choices` are the run's choices among what the operator allows, such as a partition;
    the executor checks them again. `time_limit_minutes` ends the run when it has run that long, and the trainer is
    asked to save `grace_seconds` before.
    """

    name: str
    folder: Path
    hub_url: str
    token: str
    nodes: int = 1
    gpus_per_node: int = 0
    gpu_indexes: tuple[int, ...] | None = None
    recipe: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    time_limit_minutes: int | None = None
    grace_seconds: float = 30


@dataclass(frozen=True)
class JobState:
    """What the engine says of a job; a word that is not understood is `unknown`, never `ended`.

    `detail` is a sentence for people. `engine` is the engine's own word for the state, `reason` that for why it waits,
    explained, `nodes` where it runs, `ends_at` when its time is over; empty where there is no engine that says so.
    `has_begun` is False when it ended before its runner began, so that nothing was left behind.
    """

    state: State
    detail: str = ""
    ending: Ending = ""
    engine: str = ""
    reason: str = ""
    nodes: tuple[str, ...] = ()
    ends_at: datetime | None = None
    has_begun: bool = True


@dataclass(frozen=True)
class Capacity:
    """What an executor has in all.

    `slots`: attempts that it takes at once. `gpus`: on all nodes together; `nodes`: at most a run. With `has_queue` the
    engine itself decides when a job fits: attempts are handed over up to `slots`, and their GPUs are not counted.
    """

    slots: int
    gpus: int
    nodes: int = 1
    has_queue: bool = False


@dataclass(frozen=True)
class Choice:
    """Something about a run's job that its user may choose, among what the operator allows.

    `name` is the key in a run's `compute`; `values` are the allowed ones, of which `default` ("" for none) is used
    when nothing is chosen.
    """

    name: str
    title: str
    values: tuple[str, ...]
    default: str = ""


class Executor(Protocol):
    """Where attempts run. All calls are safe to repeat and keep nothing of importance in memory."""

    name: str
    kind: str

    def capacity(self) -> Capacity:
        """Return what there is in all, used or not."""
        ...

    def submit(self, request: SubmitRequest) -> str:
        """Start a runner and return the handle (at most 500 characters).

        Asking again with the same name finds the first job and never starts a second.
        Raises: SubmitRefused for good, ExecutorError when the engine could not be asked.
        """
        ...

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Return the state for each attempt uid → handle, in one engine call for all. Raises: ExecutorError."""
        ...

    def cancel(self, handle: str, *, hard: bool = False) -> None:
        """Ask the runner to stop its trainer; `hard` ends everything at once. Gone is success, twice is fine."""
        ...

    def problems(self) -> list[str]:
        """Return why the executor cannot be used now, as sentences for operators; empty when it can."""
        ...

    def choices(self, recipe: str) -> tuple[Choice, ...]:
        """Return what a run of `recipe` may choose here."""
        ...

    def max_time_limit_minutes(self, recipe: str) -> int | None:
        """Return the longest time limit that a run of `recipe` may have here; None where there is no bound."""
        ...

    def recover(self, handle: str) -> None:
        """Start what delivers the remains of a dead runner, once the engine said that it is gone; twice is fine.

        Raises: ExecutorError, OSError.
        """
        ...


class MissingExecutor:
    """Stands for an executor that cannot be asked: not configured any more, or declared wrongly. It knows nothing.

    `problem` says why, as a sentence.
    """

    def __init__(self, name: str, problem: str = "", *, kind: str = "missing") -> None:
        self.name = name
        self.kind = kind
        self._problem = problem or f"There is no executor {name} any more."

    def capacity(self) -> Capacity:
        """Return nothing at all."""
        return Capacity(slots=0, gpus=0, nodes=0)

    def submit(self, request: SubmitRequest) -> str:  # noqa: ARG002 - the contract's
        """Raise: there is nobody to ask. What is wrong is for operators, and this text for everybody."""
        raise ExecutorError(f"the executor {self.name} cannot be used")

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Return `unknown` for all."""
        return {uid: JobState("unknown", self.problems()[0]) for uid in handles}

    def cancel(self, handle: str, *, hard: bool = False) -> None:  # noqa: ARG002 - the contract's
        """Raise: the order reaches the runner through its heartbeat alone."""
        raise ExecutorError(self.problems()[0])

    def problems(self) -> list[str]:
        """Say that it is missing, or what is wrong with it."""
        return [self._problem]

    def choices(self, recipe: str) -> tuple[Choice, ...]:  # noqa: ARG002 - the contract's
        """Return nothing: there is nothing to choose."""
        return ()

    def max_time_limit_minutes(self, recipe: str) -> int | None:  # noqa: ARG002 - the contract's
        """Return None: nobody knows."""
        return None

    def recover(self, handle: str) -> None:  # noqa: ARG002 - the contract's
        """Raise: nobody knows where the attempt's folder lies."""
        raise ExecutorError(self.problems()[0])


class ClosedExecutor:
    """An executor whose declaration was broken later: its jobs are watched and cancelled as before, none is started.

    `problem` says what is wrong now, as a sentence.
    """

    def __init__(self, inner: Executor, problem: str) -> None:
        self.inner = inner
        self.name = inner.name
        self.kind = inner.kind
        self._problem = problem

    def capacity(self) -> Capacity:
        """Return what there was before."""
        return self.inner.capacity()

    def submit(self, request: SubmitRequest) -> str:  # noqa: ARG002 - the contract's
        """Raise: nothing starts here until the declaration is mended."""
        raise ExecutorError(f"the executor {self.name} cannot be used")

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Ask the engine as before."""
        return self.inner.poll(handles)

    def cancel(self, handle: str, *, hard: bool = False) -> None:
        """Reach the job as before."""
        self.inner.cancel(handle, hard=hard)

    def problems(self) -> list[str]:
        """Say what is wrong with the declaration."""
        return [self._problem]

    def choices(self, recipe: str) -> tuple[Choice, ...]:
        """Return what could be chosen before."""
        return self.inner.choices(recipe)

    def max_time_limit_minutes(self, recipe: str) -> int | None:
        """Return the bound that counted before: it is held against what runs."""
        return self.inner.max_time_limit_minutes(recipe)

    def recover(self, handle: str) -> None:
        """Deliver the remains as before."""
        self.inner.recover(handle)
