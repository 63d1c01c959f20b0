"""What people need to know of a run that failed: who is to blame, its last words, what to do next."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from runs.lifecycle import OUTCOMES, Reason, Status
from runs.models import Attempt, Run
from runs.telemetry.log_blocks import LogLine

MAX_LINES = 6
_LOUD = frozenset({"WARNING", "ERROR", "CRITICAL"})  # what a trainer writes to stderr is a warning

# Names of `Outcome.category`.
CAUSES = {
    "program": "the training program",
    "infra": "the infrastructure",
    "user": "a person's request",
    "limit": "a limit of the machine",
    "lost": "not known: nothing was heard",
}
_READ_LOG = "Correct the program or its parameters, then go on from the checkpoint."
ADVICE = {
    Reason.TRAINER_FAILED: _READ_LOG,
    Reason.TRAINER_KILLED: "Find out on the node who sent the signal; the run itself can go on from its checkpoint.",
    Reason.OUT_OF_MEMORY: "Make batches, context or model smaller, or give it a node with more memory.",
    Reason.STOPPED_OUTSIDE: "The run can go on from its checkpoint; on another node if this one is taken down.",
    Reason.RUNNER_DIED: "The run can go on from its checkpoint; look on the node why the runner died.",
    Reason.START_FAILED: "An operator must see to the recipe or its environment; then repeat the run.",
    Reason.START_TIMEOUT: "Look whether the node can reach the hub; then repeat the run.",
    Reason.SUBMIT_REFUSED: "Change what the run asks of the executor, or ask an operator; then repeat it.",
    Reason.CHECKPOINT_DAMAGED: "Resume from another checkpoint.",
    Reason.NODE_FAILED: "The run can go on from its checkpoint; the engine gives it other nodes.",
    Reason.TIME_LIMIT: "Go on from its last checkpoint, or give it more time.",
    Reason.PREEMPTED: "The run can go on from its checkpoint when there is room again.",
    Reason.CANCELLED_IN_ENGINE: "Ask who cancelled its job; the run can go on from its checkpoint.",
    Reason.REPORTED_FAILED: "Its output stayed where it was executed: look there for what went wrong.",
    Reason.LOST: "When its node is reached again, the runner there ends the trainer. Go on from the newest checkpoint.",
}


@dataclass(frozen=True)
class Failure:
    """How a run failed.

    `cause` names who or what is to blame; `lines` are the last loud lines of the log; `detail` is what the end said
    beside them.
    """

    title: str
    detail: str
    cause: str
    ending: str
    advice: str
    lines: list[LogLine]


def describe_failure(run: Run, attempt: Attempt | None, tail: Sequence[LogLine]) -> Failure | None:
    """Return how a run failed, or None when it did not. `tail` is the end of its log."""
    if run.status != Status.FAILED:
        return None
    reason, lines = Reason(run.reason), last_words(tail)
    is_said = any(line.message and line.message in run.reason_detail for line in lines)
    return Failure(
        title=OUTCOMES[reason].text,
        detail="" if is_said else run.reason_detail,
        cause=CAUSES[OUTCOMES[reason].category],
        ending=describe_ending(attempt),
        advice=ADVICE.get(reason, ""),
        lines=lines,
    )


def describe_ending(attempt: Attempt | None) -> str:
    """Return how the trainer's process ended: `exit code 1`, `signal 9 (SIGKILL)`; empty when it is not known."""
    if attempt is None:
        return ""
    if attempt.signal is not None:
        return f"signal {attempt.signal}{_name_of(attempt.signal)}"
    return f"exit code {attempt.exit_code}" if attempt.exit_code is not None else ""


def last_words(tail: Sequence[LogLine]) -> list[LogLine]:
    """Return the last loud lines of a log's end, or its last lines when none is loud."""
    loud = [line for line in tail if line.level in _LOUD]
    return (loud or list(tail))[-MAX_LINES:]


def _name_of(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""
