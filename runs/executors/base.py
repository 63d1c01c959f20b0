"""What every executor promises. No Django here: configuration arrives as arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

State = Literal["queued", "running", "ended", "unknown"]


class ExecutorError(Exception):
    """The engine could not be asked; nothing is known about the job. Try again later."""


class SubmitRefused(Exception):
    """The engine refused the job for good; the text is the engine's reason."""


@dataclass(frozen=True)
class SubmitRequest:
    """One attempt to start.

    `name` is the attempt's uid and the idempotency key. `folder` is the attempt's private folder, made by the
    executor. `hub_url` and `token` are what the runner needs to claim the attempt. `gpu_indexes` are the GPUs of
    this machine given to a local run, None where the executor or nobody chooses.
    """

    name: str
    folder: Path
    hub_url: str
    token: str
    nodes: int = 1
    gpus_per_node: int = 0
    gpu_indexes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class JobState:
    """What the engine says of a job; a word that is not understood is `unknown`, never `ended`."""

    state: State
    detail: str = ""


@dataclass(frozen=True)
class Capacity:
    """What an executor has in all. `slots`: runs at once. `gpus`: on all nodes together; `nodes`: at most a run."""

    slots: int
    gpus: int
    nodes: int = 1


class Executor(Protocol):
    """Where attempts run. All calls are safe to repeat and keep nothing of importance in memory."""

    name: str

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


class MissingExecutor:
    """Stands for an executor that attempts were given to and that is not configured any more: it knows nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def capacity(self) -> Capacity:
        """Return nothing at all."""
        return Capacity(slots=0, gpus=0, nodes=0)

    def submit(self, request: SubmitRequest) -> str:  # noqa: ARG002 - the contract's
        """Raise: there is nobody to ask."""
        raise ExecutorError(self.problems()[0])

    def poll(self, handles: Mapping[str, str]) -> dict[str, JobState]:
        """Return `unknown` for all."""
        return {uid: JobState("unknown", self.problems()[0]) for uid in handles}

    def cancel(self, handle: str, *, hard: bool = False) -> None:  # noqa: ARG002 - the contract's
        """Raise: the order reaches the runner through its heartbeat alone."""
        raise ExecutorError(self.problems()[0])

    def problems(self) -> list[str]:
        """Say that it is missing."""
        return [f"There is no executor {self.name} any more."]
