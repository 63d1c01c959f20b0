"""Starting: which waiting runs fit now, and why the others wait."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from runs.attempts import attempt_token, end_attempt_without_report, open_attempt
from runs.executors.base import Executor, ExecutorError, MissingExecutor, SubmitRefused, SubmitRequest
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run
from runs.registry import executors, recipes
from runs.scheduler.room import Room, wanted_gpus
from trainhub.errors import Conflict

logger = logging.getLogger(__name__)
LOOKED_AT_ONCE = 200  # waiting runs loaded at a time, by priority; usually the first ones fill all room
REASON_AGE = timedelta(seconds=20)  # a shown reason is looked at again at least this often (promise: 60 s)
RESUBMIT_AFTER = timedelta(seconds=5)  # an attempt without a handle this old lost its scheduler in between
BEHIND_OTHERS = "Waits behind runs that come first."
_asked_at: dict[int, datetime] = {}  # when a forgotten attempt was last submitted, to leave a silent engine in peace


def start_waiting_runs(now: datetime) -> int:
    """Start what fits, in order; note for the others why they wait. Returns how many were started."""
    started = 0
    rooms: dict[str, Room] | None = None
    for runs in _waiting_in_order():
        rooms = rooms or _rooms()
        reasons: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            why_not = _why_not(run, rooms)
            if why_not:
                reasons[why_not].append(run)
            elif start_run(run=run, room=rooms[run.executor]):
                started += 1
        _note_reasons(reasons, now)
        if all(room.is_closed for room in rooms.values()):
            _note_rest(now)
            break
    return started


def _waiting_in_order() -> Iterator[list[Run]]:
    """Yield the waiting runs, first to start first, some at a time; runs that can never start hold up nobody."""
    keys = list(Run.objects.waiting().values_list("pk", flat=True))
    for start in range(0, len(keys), LOOKED_AT_ONCE):
        yield list(Run.objects.waiting().filter(pk__in=keys[start : start + LOOKED_AT_ONCE]))


def _why_not(run: Run, rooms: dict[str, Room]) -> str:
    """Return why `run` cannot start now; when it waits for GPUs, nothing behind it may start before it."""
    room = rooms.get(run.executor)
    if room is None:
        return MissingExecutor(run.executor).problems()[0]
    why_not = room.why_not(run)
    if why_not:
        room.hold_for(run)
    return why_not[:500]  # as long as the column


def _rooms() -> dict[str, Room]:
    live = defaultdict(list)
    for attempt in Attempt.objects.filter(ended_at__isnull=True).only("executor", "gpu_indexes"):
        live[attempt.executor].append(attempt)
    return {name: Room(executor, live[name]) for name, executor in executors().items()}


def _is_old(now: datetime) -> Q:
    return Q(waiting_checked_at__isnull=True) | Q(waiting_checked_at__lt=now - REASON_AGE)


def _note_reasons(reasons: dict[str, list[Run]], now: datetime) -> None:
    """Write the reasons that are new or old; one statement for each text."""
    for text, runs in reasons.items():
        stale = [
            run.pk
            for run in runs
            if run.waiting_reason != text or run.waiting_checked_at is None or now - run.waiting_checked_at > REASON_AGE
        ]
        if stale:
            Run.objects.filter(pk__in=stale, status=Status.QUEUED).update(waiting_reason=text, waiting_checked_at=now)


def _note_rest(now: datetime) -> None:
    """Say of the runs that were not even looked at that they wait: they are the ones whose reason is old."""
    Run.objects.waiting().filter(_is_old(now)).order_by().update(waiting_reason=BEHIND_OTHERS, waiting_checked_at=now)


def start_run(*, run: Run, room: Room) -> bool:
    """Open an attempt and submit it; False when another scheduler or a cancel was faster."""
    try:
        attempt = open_attempt(run=run, gpu_indexes=room.take(run), slots=room.total.slots)
    except Conflict:
        return False
    note_changed_recipe(attempt)
    submit_attempt(attempt)
    return True


def note_changed_recipe(attempt: Attempt) -> None:
    """Write in the timeline when the recipe's files are no longer those that the run recorded.

    The command and the schemas still come from the run's snapshot; the programs that they start are the new ones.
    """
    run = attempt.run
    recipe = recipes().get(run.recipe)
    if recipe is not None and recipe.digest == run.recipe_digest:
        return
    run.events.create(
        kind="recipe_changed",
        attempt=attempt,
        actor="scheduler",
        message="The recipe's files were changed since the run was queued." if recipe else "The recipe is gone.",
        evidence={"recorded": run.recipe_digest, "found": recipe.digest if recipe else None},
    )


def submit_attempt(attempt: Attempt) -> None:
    """Hand an attempt to its executor; safe to repeat after a crash at any point.

    A refusal ends the attempt; an engine that cannot be asked leaves it for a later pass.
    """
    executor = executors().get(attempt.executor) or MissingExecutor(attempt.executor)
    try:
        handle = executor.submit(_request(attempt, executor))
    except SubmitRefused as refusal:
        end_attempt_without_report(attempt=attempt, reason=Reason.SUBMIT_REFUSED, message=str(refusal))
    except ExecutorError as error:
        logger.warning("attempt %s could not be submitted yet: %s", attempt.uid, error)
    except Exception:  # one attempt that cannot be submitted must not keep all others from starting
        logger.exception("attempt %s could not be submitted yet", attempt.uid)
    else:
        Attempt.objects.filter(pk=attempt.pk).update(handle=handle, submitted_at=timezone.now())


def _request(attempt: Attempt, executor: Executor) -> SubmitRequest:
    nodes, gpus = wanted_gpus(attempt.run)
    has_gpus = executor.capacity().gpus > 0
    return SubmitRequest(
        name=attempt.uid,
        folder=settings.DATA_DIR / "attempts" / attempt.uid,
        hub_url=settings.NODE_URL,
        token=attempt_token(attempt.uid),
        nodes=nodes,
        gpus_per_node=gpus,
        gpu_indexes=tuple(attempt.gpu_indexes) if has_gpus else None,
    )


def submit_forgotten_attempts(now: datetime) -> int:
    """Deal with attempts whose scheduler died between recording and submitting them. Returns how many there are."""
    forgotten = list(Attempt.objects.filter(ended_at__isnull=True, submitted_at__isnull=True).select_related("run"))
    for key in set(_asked_at) - {attempt.pk for attempt in forgotten}:
        del _asked_at[key]
    for attempt in forgotten:
        _deal_with_forgotten(attempt, now)
    return len(forgotten)


def _deal_with_forgotten(attempt: Attempt, now: datetime) -> None:
    """Submit it again, now and then; end it when nobody claimed it in time or it is to be cancelled.

    Ending is safe even when the job was started and only the answer was lost: its runner's claim is fenced.
    """
    is_unclaimed = attempt.claimed_at is None
    if is_unclaimed and attempt.run.status == Status.CANCELLING:
        end_attempt_without_report(attempt=attempt, reason=Reason.CANCELLED)
    elif is_unclaimed and now > attempt.created_at + timedelta(seconds=settings.START_LIMIT_SECONDS):
        message = f"The executor {attempt.executor} did not take the run."
        end_attempt_without_report(attempt=attempt, reason=Reason.START_TIMEOUT, message=message)
    elif now > _asked_at.get(attempt.pk, attempt.created_at) + RESUBMIT_AFTER:
        _asked_at[attempt.pk] = now
        submit_attempt(attempt)
