"""Starting: which waiting runs fit now, and why the others wait."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from runs.attempts import attempt_token, end_attempt_without_report, open_attempt
from runs.executors.base import Executor, ExecutorError, MissingExecutor, SubmitRefused, SubmitRequest
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run
from runs.placement import CHOICES
from runs.registry import executors, recipe_to_run
from runs.scheduler.locked import unless_locked
from runs.scheduler.room import Space, current_space, wanted_gpus
from trainhub.errors import Conflict, InvalidInput

logger = logging.getLogger(__name__)
START_SECONDS = 0.4  # of starting in one pass
LOOKED_AT_ONCE = 500  # waiting runs loaded at a time, by priority; usually the first ones fill all room
REASON_AGE = timedelta(seconds=20)  # a shown reason is looked at again at least this often (promise: 60 s)
RESUBMIT_AFTER = timedelta(seconds=5)  # an attempt without a handle this old lost its scheduler in between
# With so many attempts that an engine with a queue did not take, no more are opened there: the others wait in the hub's
# order. More than one, as what keeps one from being taken may be its own fault.
MAX_NOT_TAKEN = 3
BEHIND_OTHERS = "Waits behind runs that come first."
_asked_at: dict[int, datetime] = {}  # when a forgotten attempt was last submitted, to leave a silent engine in peace


def start_waiting_runs(now: datetime) -> int:
    """Start what fits, in order; note for the others why they wait. Returns how many were started.

    After START_SECONDS the rest waits for the next pass, as those that run must be watched too; but while nothing has
    started all are looked at, so that runs that cannot start hold up nobody.
    """
    started = 0
    space: Space | None = None
    digests: dict[str, str | None] = {}
    over_at = time.monotonic() + START_SECONDS
    for runs in _waiting_in_order():
        space = space or _space_now()
        reasons: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            why_not = space.why_not(run)
            if why_not:
                reasons[why_not].append(run)
            elif not started or time.monotonic() < over_at:
                started += start_run(run=run, space=space, digests=digests)
        _note_reasons(reasons, now)
        if space.is_closed or (started and time.monotonic() >= over_at):
            _note_rest(now)
            break
    return started


def _space_now() -> Space:
    """Return what is free, with nothing where an engine with a queue takes no attempts at present."""
    space = current_space()
    queues = {name: room for name, room in space.rooms.items() if room.total.has_queue and not room.problems}
    if queues:
        waiting = Attempt.objects.filter(submitted_at__isnull=True, claimed_at__isnull=True, ended_at__isnull=True)
        not_taken: dict[str, list[str]] = defaultdict(list)
        for name, problem in waiting.filter(executor__in=queues).values_list("executor", "engine_reason"):
            not_taken[name] += [problem] if problem else []
        for name, problems in not_taken.items():
            if len(problems) >= MAX_NOT_TAKEN:
                queues[name].problems = problems[:1]
    return space


def _waiting_in_order() -> Iterator[list[Run]]:
    """Yield the waiting runs, first to start first, some at a time; runs that can never start hold up nobody."""
    keys = list(Run.objects.waiting().values_list("pk", flat=True))
    for start in range(0, len(keys), LOOKED_AT_ONCE):
        yield list(Run.objects.waiting().with_needs().filter(pk__in=keys[start : start + LOOKED_AT_ONCE]))


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
            queued = Run.objects.filter(pk__in=stale, status=Status.QUEUED)
            with unless_locked("a waiting run"):
                queued.update(waiting_reason=text, waiting_checked_at=now)


def _note_rest(now: datetime) -> None:
    """Say of the runs that were not even looked at that they wait: they are the ones whose reason is old."""
    old = Run.objects.waiting().filter(_is_old(now)).order_by()
    with unless_locked("a waiting run"):
        old.update(waiting_reason=BEHIND_OTHERS, waiting_checked_at=now)


def start_run(*, run: Run, space: Space, digests: dict[str, str | None]) -> bool:
    """Open an attempt and submit it; False when another scheduler or a cancel was faster, or the run is locked.

    An engine with a queue that does not take it gets no further ones in this pass.
    `digests` keeps those of the recipes' files for the pass: they are read once for all runs of a recipe.
    """
    gpu_indexes, slots = space.take(run), space.rooms[run.executor].total.slots
    whole = Run.objects.waiting().filter(pk=run.pk).first()
    if whole is None:
        return False
    attempt = None
    with suppress(Conflict), unless_locked(f"run {run.uid}"):
        attempt = open_attempt(run=whole, gpu_indexes=gpu_indexes, slots=slots)
    if attempt is None:
        return False
    if run.recipe not in digests:
        digests[run.recipe] = digest_now(run.recipe)
    note_changed_recipe(attempt, digests[run.recipe])
    problem, room = submit_attempt(attempt), space.rooms[run.executor]
    if problem and room.total.has_queue:
        room.problems = [problem]
    return True


def digest_now(recipe: str) -> str | None:
    """Return the digest of the recipe's files as they are now; None when it is gone."""
    try:
        return recipe_to_run(recipe).digest
    except InvalidInput:
        return None


def note_changed_recipe(attempt: Attempt, found: str | None) -> None:
    """Write in the timeline when the recipe's files, of digest `found`, are no longer those that the run recorded.

    The command and the schemas still come from the run's snapshot; the programs that they start are the new ones.
    """
    run = attempt.run
    if found == run.recipe_digest:
        return
    run.events.create(
        kind="recipe_changed",
        attempt=attempt,
        actor="scheduler",
        message="The recipe's files were changed since the run was queued." if found else "The recipe is gone.",
        evidence={"recorded": run.recipe_digest, "found": found},
    )


def submit_attempt(attempt: Attempt) -> str:
    """Hand an attempt to its executor; safe to repeat after a crash at any point.

    A refusal ends the attempt; an engine that cannot be asked leaves it for a later pass. Returns why it was left, as a
    sentence, empty when it was not.
    """
    executor = executors().get(attempt.executor) or MissingExecutor(attempt.executor)
    try:
        handle = executor.submit(_request(attempt, executor))
    except SubmitRefused as refusal:
        end_attempt_without_report(attempt=attempt, reason=Reason.SUBMIT_REFUSED, message=str(refusal))
    except ExecutorError as error:
        logger.warning("attempt %s could not be submitted yet: %s", attempt.uid, error)
        return _note_not_taken(attempt, str(error))
    except Exception:  # one attempt that cannot be submitted must not keep all others from starting
        logger.exception("attempt %s could not be submitted yet", attempt.uid)
        return _note_not_taken(attempt, "the scheduler's log says what went wrong")
    else:
        live = Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True)
        if not live.update(handle=handle, submitted_at=timezone.now(), engine_reason=""):
            _end_job(executor, handle)  # it was cancelled meanwhile
    return ""


def _note_not_taken(attempt: Attempt, problem: str) -> str:
    note = f"Not handed over yet: {problem.removesuffix('.')}."[:500]
    waiting = Attempt.objects.filter(pk=attempt.pk, claimed_at__isnull=True, ended_at__isnull=True)
    waiting.exclude(engine_reason=note).update(engine_reason=note)
    return note


def _end_job(executor: Executor, handle: str) -> None:
    """End what the engine may have of an attempt that has ended: it would wait, start, and be sent away."""
    with suppress(ExecutorError):
        executor.cancel(handle, hard=True)


def _request(attempt: Attempt, executor: Executor) -> SubmitRequest:
    nodes, gpus = wanted_gpus(attempt.run)
    total, compute = executor.capacity(), attempt.run.compute
    has_gpus = total.gpus > 0 and not total.has_queue
    return SubmitRequest(
        name=attempt.uid,
        folder=settings.DATA_DIR / "attempts" / attempt.uid,
        hub_url=settings.NODE_URL,
        token=attempt_token(attempt.uid),
        nodes=nodes,
        gpus_per_node=gpus,
        gpu_indexes=tuple(attempt.gpu_indexes) if has_gpus else None,
        recipe=attempt.run.recipe,
        choices={name: value for name, value in compute.items() if name in CHOICES and value},
        time_limit_minutes=compute.get("time_limit_minutes"),
        grace_seconds=attempt.run.grace_seconds,
    )


def submit_forgotten_attempts(now: datetime) -> int:
    """Deal with attempts whose scheduler died between recording and submitting them. Returns how many there are."""
    forgotten = list(Attempt.objects.filter(ended_at__isnull=True, submitted_at__isnull=True).select_related("run"))
    for key in set(_asked_at) - {attempt.pk for attempt in forgotten}:
        del _asked_at[key]
    for attempt in forgotten:
        with unless_locked(f"attempt {attempt.uid}"):
            _deal_with_forgotten(attempt, now)
    return len(forgotten)


def _deal_with_forgotten(attempt: Attempt, now: datetime) -> None:
    """Submit it again, now and then; end it when nobody claimed it in time or it is to be cancelled.

    For an engine with a queue, and for an executor that is not there, it waits for as long as it takes. Ending is safe
    even when the job was started and only the answer was lost: its runner's claim is fenced.
    """
    executor = executors().get(attempt.executor) or MissingExecutor(attempt.executor)
    is_unclaimed = attempt.claimed_at is None
    may_wait = executor.capacity().has_queue or isinstance(executor, MissingExecutor)
    is_late = now > attempt.created_at + timedelta(seconds=settings.START_LIMIT_SECONDS)
    if is_unclaimed and attempt.run.status == Status.CANCELLING:
        if end_attempt_without_report(attempt=attempt, reason=Reason.CANCELLED, is_unclaimed=True):
            _end_job(executor, attempt.handle or attempt.uid)
    elif is_unclaimed and is_late and not may_wait:
        late, message = Reason.START_TIMEOUT, f"The executor {attempt.executor} did not take the run."
        if end_attempt_without_report(attempt=attempt, reason=late, message=message, is_unclaimed=True):
            _end_job(executor, attempt.handle or attempt.uid)
    elif now > _asked_at.get(attempt.pk, attempt.created_at) + RESUBMIT_AFTER:
        _asked_at[attempt.pk] = now
        if may_wait and (problems := executor.problems()):
            _note_not_taken(attempt, problems[0])
        else:
            submit_attempt(attempt)
