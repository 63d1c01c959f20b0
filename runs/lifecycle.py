"""The life of a run: statuses, reasons, allowed transitions, and the only writer of `Run.status`.

    queued → starting → running → completed | failed
       └────────┴─────────┴─────→ cancelling → cancelled     (cancelling may also end completed or failed)

A crash that may be restarted leads from starting or running back to queued; the next attempt starts from there.

An external run, which a tracking client made, has no executor: it is running at once, ends by the client's word, and
runs again when the client goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.utils import timezone

from runs.epoch import milliseconds
from trainhub.errors import IllegalTransition, StatusChanged

if TYPE_CHECKING:
    from runs.models import Attempt, Run


class Status(models.TextChoices):
    """Where a run stands. The last three are terminal: a managed run never leaves them."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
# An attempt exists and may have processes on a node.
LIVE = frozenset({Status.STARTING, Status.RUNNING, Status.CANCELLING})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.CANCELLED, Status.FAILED}),
    Status.STARTING: frozenset({Status.RUNNING, Status.CANCELLING, Status.FAILED, Status.QUEUED}),
    Status.RUNNING: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLING, Status.QUEUED}),
    Status.CANCELLING: frozenset({Status.CANCELLED, Status.COMPLETED, Status.FAILED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

EXTERNAL_TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING}),
    Status.RUNNING: TERMINAL,
    **dict.fromkeys(TERMINAL, frozenset({Status.RUNNING})),
}


class Reason(models.TextChoices):
    """Why an attempt or a run ended; a closed list. `OUTCOMES` says what each means."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    CANCELLED_UNCONFIRMED = "cancelled_unconfirmed"
    TRAINER_FAILED = "trainer_failed"
    TRAINER_KILLED = "trainer_killed"
    OUT_OF_MEMORY = "out_of_memory"
    STOPPED_OUTSIDE = "stopped_outside"
    RUNNER_DIED = "runner_died"
    START_FAILED = "start_failed"
    START_TIMEOUT = "start_timeout"
    SUBMIT_REFUSED = "submit_refused"
    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    LOST = "lost"
    NODE_FAILED = "node_failed"
    TIME_LIMIT = "time_limit"
    PREEMPTED = "preempted"
    CANCELLED_IN_ENGINE = "cancelled_in_engine"
    REPORTED_FAILED = "reported_failed"
    REPORTED_KILLED = "reported_killed"


@dataclass(frozen=True)
class Outcome:
    """What a reason means.

    `status` is the terminal status it leads to, `category` who is to blame (program, infra, user, limit or lost),
    `text` a sentence for people, `may_restart` whether another attempt could go better.
    """

    status: Status
    category: str
    text: str
    may_restart: bool = False


OUTCOMES: dict[Reason, Outcome] = {
    Reason.FINISHED: Outcome(Status.COMPLETED, "program", "The trainer finished."),
    Reason.CANCELLED: Outcome(Status.CANCELLED, "user", "Cancelled on request."),
    Reason.CANCELLED_UNCONFIRMED: Outcome(
        Status.CANCELLED, "lost", "Cancelled on request; its node did not answer, so the end was not seen."
    ),
    Reason.TRAINER_FAILED: Outcome(Status.FAILED, "program", "The trainer ended with an error.", may_restart=True),
    Reason.TRAINER_KILLED: Outcome(
        Status.FAILED, "program", "A signal that trainhub did not send ended the trainer.", may_restart=True
    ),
    Reason.OUT_OF_MEMORY: Outcome(
        Status.FAILED, "limit", "The kernel ended the trainer because memory ran out.", may_restart=True
    ),
    Reason.STOPPED_OUTSIDE: Outcome(
        Status.FAILED, "infra", "The node or its engine asked the run to stop.", may_restart=True
    ),
    Reason.RUNNER_DIED: Outcome(
        Status.FAILED, "infra", "The runner beside the trainer died, and the trainer with it.", may_restart=True
    ),
    Reason.START_FAILED: Outcome(Status.FAILED, "infra", "The trainer could not be started."),
    Reason.START_TIMEOUT: Outcome(
        Status.FAILED, "infra", "No runner reported in time after the start.", may_restart=True
    ),
    Reason.SUBMIT_REFUSED: Outcome(Status.FAILED, "infra", "The executor refused the run."),
    Reason.CHECKPOINT_DAMAGED: Outcome(
        Status.FAILED, "infra", "The checkpoint to resume from did not arrive whole on the node."
    ),
    Reason.LOST: Outcome(Status.FAILED, "lost", "No sign of life from the node for too long.", may_restart=True),
    Reason.NODE_FAILED: Outcome(Status.FAILED, "infra", "A node of the run failed.", may_restart=True),
    Reason.TIME_LIMIT: Outcome(Status.FAILED, "limit", "The run reached its time limit."),
    Reason.PREEMPTED: Outcome(
        Status.FAILED, "infra", "The engine gave the run's nodes to another job.", may_restart=True
    ),
    Reason.CANCELLED_IN_ENGINE: Outcome(Status.FAILED, "infra", "Somebody cancelled the run's job in the engine."),
    Reason.REPORTED_FAILED: Outcome(Status.FAILED, "program", "The tracking client reported a failure."),
    Reason.REPORTED_KILLED: Outcome(Status.CANCELLED, "program", "The tracking client reported that it was stopped."),
}


def transition(
    *,
    run: Run,
    to: Status,
    actor: str,
    reason: Reason | None = None,
    message: str = "",
    attempt: Attempt | None = None,
    user: Any = None,
    evidence: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> Run:
    """Move `run` from the status it was loaded with to `to`, and append the event; in one transaction.

    `actor` names who decided: a user name, "scheduler" or "runner". `reason` is needed for terminal statuses
    and must lead there. `run` is brought up to date in place and returned. With a managed run that ends, the runs that
    its token made end as well: nobody else could end them.

    Raises:
        IllegalTransition: the table has no such step; nothing is written.
        StatusChanged: somebody else moved the run first; nothing is written.
    """
    seen = Status(run.status)
    _check(seen=seen, to=to, reason=reason, is_managed=run.is_managed)
    now = at or timezone.now()
    changes = _changes(run=run, to=to, reason=reason, message=message, now=now)
    with transaction.atomic():
        if type(run).objects.filter(pk=run.pk, status=seen).update(**changes) != 1:
            raise StatusChanged("The run's status changed meanwhile; look again.")
        run.events.create(
            at=now,
            kind=to,
            attempt=attempt,
            actor=actor,
            user=user,
            reason=reason or "",
            message=message,
            evidence={"from": seen.value, **(evidence or {})},
        )
        if to in TERMINAL and run.is_managed:
            _end_made_by(run, actor=actor, now=now)
    for field, value in changes.items():
        setattr(run, field, value)
    return run


def _end_made_by(job: Run, *, actor: str, now: datetime) -> None:
    """End the runs that the token of `job` made and that go on, as killed. The tracked fields first, as elsewhere."""
    made = job.made_by_token.select_for_update(of=("self",)).filter(run__deleted_at=None).order_by("pk")
    for tracking in made.exclude(run__status__in=TERMINAL).select_related("run"):
        tracking.client_status = "KILLED"
        tracking.end_time = milliseconds(now)
        tracking.save(update_fields=["client_status", "end_time"])
        tracking.run.refresh_from_db(fields=["status", "started_at", "completed_at"])
        if tracking.run.status not in TERMINAL:
            transition(
                run=tracking.run,
                to=Status.CANCELLED,
                reason=Reason.REPORTED_KILLED,
                message="Its job ended.",
                actor=actor,
                at=now,
            )


def allowed_next(status: str, *, is_managed: bool) -> list[str]:
    """Return the statuses that a run may come to from `status`, in alphabetical order."""
    allowed = (TRANSITIONS if is_managed else EXTERNAL_TRANSITIONS).get(Status(status), frozenset())
    return sorted(status.value for status in allowed)


def _check(*, seen: Status, to: Status, reason: Reason | None, is_managed: bool) -> None:
    allowed = allowed_next(seen, is_managed=is_managed)
    if to.value not in allowed:
        raise IllegalTransition(
            f"A run that is {seen.value} cannot become {to.value}.", status=seen.value, allowed=allowed
        )
    if to in TERMINAL and (reason is None or OUTCOMES[reason].status != to):
        raise ValueError(f"{reason} does not lead to {to}")


def _changes(*, run: Run, to: Status, reason: Reason | None, message: str, now: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {"status": to, "status_changed_at": now, "updated_at": now, "waiting_reason": ""}
    if to == Status.QUEUED:
        changes.update(queued_at=now)
    if to == Status.RUNNING and run.started_at is None:
        changes.update(started_at=now)
    if to not in TERMINAL and run.completed_at is not None:
        changes.update(completed_at=None, reason="", reason_detail="", progress=0.0)
    if to == Status.CANCELLING:
        changes.update(cancel_requested_at=now)
    if to in TERMINAL:
        changes.update(completed_at=now, reason=reason, reason_detail=message)
    if to == Status.COMPLETED:
        changes.update(progress=1.0)
    return changes
