"""One attempt from claim to exit report: the runner's main thread."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final, cast

from runner.client import Client, Fenced, NoAnswer, Refused, retry
from runner.control import Control
from runner.durable import note, write_record
from runner.folder import AttemptFolder, describe_process
from runner.protocol import ClaimAnswer, ClaimRequest

CLAIM_SECONDS: Final = 120.0  # where job.json has no `claim_seconds`; then the hub has given the attempt up
TRACKING_KEYS: Final = ("run", "experiment", "token")
CLAIM_SHAPE: Final[dict[str, Any]] = {
    "attempt": str,
    "command": list,
    "environment": dict,
    "config": dict,
    "datasets": list,
    "checkpoint_pattern": str,
    "complete_marker": str,
    "grace_seconds": (int, float),
    "resume": (dict, type(None)),
    "log_sequence": int,
    "metric_sequence": int,
}


class StoppedEarlyError(Exception):
    """A stop came while the hub could not be reached: there is nobody to claim from, and nothing to start."""


def supervise(folder: AttemptFolder) -> int:
    """Claim the attempt, run its trainer and report. Returns the process's exit code."""
    control = Control()
    control.listen_to_signals()
    job = folder.read_job()
    claim = claim_attempt(folder, job, control)
    if claim is None:
        return 0
    from runner.attempt import Attempt  # after the claim: the hub hears of us the sooner

    return 0 if Attempt(folder, job, claim, control).run() else 1


def claim_attempt(folder: AttemptFolder, job: dict[str, Any], control: Control) -> ClaimAnswer | None:
    """Return what to run; None when this runner has to leave without starting anything."""
    process = describe_process()
    request: ClaimRequest = {
        "instance": os.urandom(16).hex(),
        "host": process["host"],
        "pid": process["pid"],
        "boot_id": process["boot_id"],
    }
    client = Client(job["hub_url"], job["token"])

    def call() -> dict[str, Any]:
        if control.is_stopping:
            raise StoppedEarlyError
        return check_claim(client.post("claim", request), job["attempt"])

    try:
        with contextlib.closing(client):
            answer = retry(call, leaving=control.fenced, seconds=_claim_seconds(job))
    except (NoAnswer, Refused, Fenced, StoppedEarlyError) as problem:
        _leave(folder, problem)
        return None
    with contextlib.suppress(OSError):
        # For a recovery, which starts no trainer: it has no use for the trainer's token.
        write_record(folder.claim, {key: value for key, value in answer.items() if key != "tracking"})
    return cast("ClaimAnswer", answer)


def _claim_seconds(job: dict[str, Any]) -> float:
    """Return how long to ask a hub that does not answer: as the executor says, which knows when jobs start."""
    seconds = job.get("claim_seconds")
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else CLAIM_SECONDS


def _leave(folder: AttemptFolder, problem: Exception) -> None:
    note(f"leaving without a trainer: {problem!r}")
    record = {
        "why": str(problem),
        "is_final": isinstance(problem, Refused | Fenced),
        "was_stopped": isinstance(problem, StoppedEarlyError),
    }
    with contextlib.suppress(OSError):
        write_record(folder.left, record)


def check_claim(answer: dict[str, Any], attempt: str) -> dict[str, Any]:
    """Return the answer when it has the protocol's shape; else it is no answer of a hub. Raises NoAnswer."""
    wrong = [key for key, kind in CLAIM_SHAPE.items() if not isinstance(answer.get(key, ...), kind)]
    if wrong or answer["attempt"] != attempt:
        raise NoAnswer(f"the answer to the claim is not one: {', '.join(wrong) or 'another attempt'}")
    texts = [*answer["command"], *answer["datasets"], *answer["environment"].values()]
    if not answer["command"] or not all(isinstance(text, str) for text in texts):
        raise NoAnswer("the answer to the claim has no usable command, datasets or environment")
    if type(answer.get("nodes", 1)) is not int:
        raise NoAnswer("the answer to the claim has no usable number of nodes")
    if "tracking" in answer and not _is_tracking(answer["tracking"]):
        raise NoAnswer("the answer to the claim has no usable tracking")
    return answer


def _is_tracking(tracking: Any) -> bool:
    """Tell whether these are values for variables of the trainer."""
    values = [tracking.get(key) for key in TRACKING_KEYS] if isinstance(tracking, dict) else [None]
    return all(isinstance(value, str) and value.isascii() and value.isprintable() and value for value in values)


def read_claim(folder: AttemptFolder, record: dict[str, Any] | None, attempt: str) -> ClaimAnswer | None:
    """Return the claim that an earlier runner kept, None when there is no usable one."""
    try:
        return cast("ClaimAnswer", check_claim(record or {}, attempt))
    except NoAnswer:
        note(f"no usable claim in {Path(folder.claim).name}")
        return None
