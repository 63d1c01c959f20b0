"""Which steps of which attempt are part of a run's story: a restart from a checkpoint undoes what came after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runs.telemetry.points import INT64_MAX, INT64_MIN

SYSTEM_PREFIX = "system/"  # what the runner samples; its steps count samples of one attempt, not training steps
NOTHING = INT64_MIN - 1  # a last step below all steps


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last step of each attempt that nothing later has undone.

    `others` is that of attempts that are not named; `before` is the last step of what the run was resumed from.
    """

    last_steps: dict[int, int] = field(default_factory=dict)
    others: int = INT64_MAX
    before: int = INT64_MAX

    def last_step(self, key: str, attempt: int) -> int:
        """Return the last step of an attempt to show; below all steps when none is."""
        if key.startswith(SYSTEM_PREFIX):
            return INT64_MAX  # the node did that work, whatever became of it
        return self.last_steps.get(attempt, self.others)


@dataclass(frozen=True, slots=True)
class BegunAttempt:
    """An attempt that has begun to train or to send, and what it went on from."""

    number: int
    has_checkpoint: bool
    step: int | None

    def last_step_before(self, last_step: int) -> int:
        """Return the last step of what came before, when `last_step` is that of this attempt."""
        if not self.has_checkpoint:
            return NOTHING
        return last_step if self.step is None else min(last_step, self.step)


def make_timeline(
    attempts: Iterable[BegunAttempt], *, last_step: int = INT64_MAX, last_attempt: int | None = None
) -> Timeline:
    """Return what to show of each attempt.

    An attempt that was given a checkpoint at step s undoes what earlier ones did after s; one without a checkpoint
    undoes all. A checkpoint whose step is not known undoes nothing.

    Args:
        attempts: those that have begun, newest first.
        last_step: last step that a run resumed from this one took over.
        last_attempt: the attempt that made the resumed checkpoint; later ones are no part of the story.
    """
    last_steps: dict[int, int] = {}
    left = last_step
    for attempt in attempts:
        if last_attempt is not None and attempt.number > last_attempt:
            last_steps[attempt.number] = NOTHING
            continue
        last_steps[attempt.number] = left
        left = attempt.last_step_before(left)
    return Timeline(last_steps, others=last_step, before=left)
