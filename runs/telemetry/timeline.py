"""Which steps of which attempt are part of a run's story: a restart from a checkpoint undoes what came after it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from runs.models import Attempt
from runs.telemetry.points import INT64_MAX, INT64_MIN

SYSTEM_PREFIX = "system/"  # what the runner samples; its steps count samples of one attempt, not training steps


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last step of each attempt that a later attempt has not undone."""

    last_steps: dict[int, int]

    def last_step(self, key: str, attempt: int) -> int:
        """Return the last step of an attempt to show; below all steps when none is."""
        if key.startswith(SYSTEM_PREFIX):
            return INT64_MAX  # the node did that work, whatever became of it
        return self.last_steps.get(attempt, INT64_MAX)


def read_timeline(run_id: int) -> Timeline:
    """Return what to show of each attempt; one query.

    An attempt that has begun to train and was given a checkpoint at step s undoes what earlier attempts did after
    s; one without a checkpoint undoes all. A checkpoint whose step is not known undoes nothing.
    """
    began = Attempt.objects.filter(Q(started_at__isnull=False) | Q(metric_sequence__gt=0), run_id=run_id)
    rows = began.order_by("-number").values_list("number", "resume_from_id", "resume_from__step")
    last_steps: dict[int, int] = {}
    last_step = INT64_MAX
    for number, checkpoint, step in rows:
        last_steps[number] = last_step
        if checkpoint is None:
            last_step = INT64_MIN - 1
        elif step is not None:
            last_step = min(last_step, step)
    return Timeline(last_steps)
