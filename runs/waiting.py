"""Why a run waits, where it stands in the queue, and what would have to happen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from runs.lifecycle import Status
from runs.models import Attempt, Run

QUIET_AFTER = timedelta(seconds=90)  # the scheduler looks at every reason again within 60 s

# What must happen for each kind of reason; the sentences are those of `runs.scheduler.room` and `.start`.
_REMEDIES = (
    (re.compile(r"this executor has \d+\.$"), "It never fits here: launch it with less, or ask an operator for more."),
    (re.compile(r"^Waits for a free slot"), "It starts by itself when a run ends and those before it have started."),
    (re.compile(r"of \d+ are free\.$"), "It starts by itself as soon as enough GPUs are free."),
    (
        re.compile(r"this project may use \d+ at once\.$"),
        "It never fits: launch it with less, or ask an operator for more.",
    ),
    (
        re.compile(r"^Waits: this project may"),
        "It starts by itself when a run of the project ends; those of other projects pass it meanwhile.",
    ),
    (re.compile(r"^Waits behind"), "It starts by itself after those before it; a higher priority passes it."),
)
_FIRST_LOOK = "The scheduler looks within a second; it starts by itself when there is room."
_PROBLEM = "An operator must see to the executor; the run then starts by itself."


@dataclass(frozen=True)
class Wait:
    """A wait; `position` is from 1 of `waiting` runs on the same executor.

    `quiet_since` is when the scheduler last looked, where that is too long ago.
    """

    reason: str
    remedy: str
    position: int
    waiting: int
    quiet_since: datetime | None


def describe_wait(run: Run) -> Wait | None:
    """Return why a queued run waits; None for any other. One query."""
    if run.status != Status.QUEUED:
        return None
    before = Q(priority__gt=run.priority) | Q(priority=run.priority, queued_at__lt=run.queued_at)
    before |= Q(priority=run.priority, queued_at=run.queued_at, pk__lt=run.pk)
    queue = Run.objects.not_deleted().waiting().filter(executor=run.executor).order_by()
    counted = queue.aggregate(waiting=Count("pk"), ahead=Count("pk", filter=before))
    looked = run.waiting_checked_at or run.queued_at
    return Wait(
        reason=run.waiting_reason or "The scheduler has not looked at it yet.",
        remedy=remedy_of(run.waiting_reason),
        position=counted["ahead"] + 1,
        waiting=max(counted["waiting"], counted["ahead"] + 1),
        quiet_since=looked if timezone.now() - looked > QUIET_AFTER else None,
    )


def waiting_reason(run: Run) -> str:
    """Return why the run waits: for room here, or in the queue of its engine. Its attempts should be loaded."""
    if run.status != Status.STARTING:
        return run.waiting_reason
    return engine_reason(max(run.attempts.all(), key=lambda one: one.number, default=None))


def engine_reason(attempt: Attempt | None) -> str:
    """Return why the job of an attempt waits in its engine's queue; nothing once its runner has claimed it."""
    return attempt.engine_reason if attempt and attempt.claimed_at is None else ""


def remedy_of(reason: str) -> str:
    """Return what would have to happen for a run that waits for `reason`."""
    if not reason:
        return _FIRST_LOOK
    return next((remedy for pattern, remedy in _REMEDIES if pattern.search(reason)), _PROBLEM)
