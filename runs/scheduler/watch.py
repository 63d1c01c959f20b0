"""Watching: what the executors say of live attempts, orders to them, and those that are lost."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError

from runs.attempts import REASONS_OF_ENDINGS, end_attempt_without_report, is_silent, note_once
from runs.executors.base import Executor, ExecutorError, JobState, MissingExecutor, SubmitRefused
from runs.executors.folders import CLAIM_SECONDS
from runs.lifecycle import Reason, Status
from runs.models import Attempt
from runs.querysets import WIDE_COLUMNS
from runs.registry import executors
from runs.scheduler.hearing import Hearing
from runs.scheduler.locked import unless_locked
from runs.scheduler.recovery import recover_attempt

logger = logging.getLogger(__name__)
# A runner that died is given this long for the delivery of what it left behind, before the run ends without it; while
# a recovery is heard of, as long as it may upload (`runner.delivery.UPLOAD_SECONDS`) and a bit.
RECOVERY_LIMIT, DELIVERY_LIMIT = timedelta(seconds=45), timedelta(minutes=65)
HARD_CANCEL_AFTER = timedelta(seconds=5)  # after the grace period, which the runner itself enforces
HARD_CANCEL_AGAIN_AFTER = timedelta(seconds=10)
SIGNAL_AGAIN_AFTER = timedelta(seconds=5)  # a soft cancel that did not reach the engine, or found no runner
# Wide, and looked at for the few that are to end: of 1,000 live attempts it would be 10 MB in every pass.
NOT_WATCHED = tuple(f"run__{name}" for name in WIDE_COLUMNS if name != "compute")
ENGINE_FIELDS = ("engine_state", "engine_reason", "engine_ending", "engine_started_at", "engine_ends_at", "nodes")
_signalled_at: dict[int, datetime] = {}  # when the soft cancel of an attempt was last tried
NOBODY_TRIES_LONGER = timedelta(hours=24)  # `runner.client.GIVE_UP_SECONDS`
hearing = Hearing()


def watch_live_attempts(now: datetime) -> None:
    """Ask every executor once for all its live attempts, and act on the answers.

    Attempts of an executor that is not configured any more are watched by their heartbeats alone.
    """
    live: dict[str, list[Attempt]] = defaultdict(list)
    rows = Attempt.objects.filter(ended_at__isnull=True, submitted_at__isnull=False).select_related("run")
    for attempt in rows.defer(*NOT_WATCHED):
        live[attempt.executor].append(attempt)
    for key in set(_signalled_at) - {attempt.pk for attempts in live.values() for attempt in attempts}:
        del _signalled_at[key]
    for name, attempts in live.items():
        executor = executors().get(name) or MissingExecutor(name)
        answers = _ask(executor, attempts)
        _note_engine(answers, now)
        for attempt, state in answers:
            _watch_one(executor, attempt, state, now)


def _ask(executor: Executor, attempts: list[Attempt]) -> list[tuple[Attempt, JobState]]:
    try:
        states = executor.poll({attempt.uid: attempt.handle for attempt in attempts})
    except (ExecutorError, SubmitRefused, OSError) as error:  # handles of another kind of executor, a broken folder
        logger.warning("executor %s cannot be asked: %s", executor.name, error)
        states = {}
    return [(attempt, states.get(attempt.uid, JobState("unknown"))) for attempt in attempts]


def _note_engine(answers: list[tuple[Attempt, JobState]], now: datetime) -> None:
    """Store what an engine says of its jobs, where that changed: for people, and for the reason of the end.

    An engine that does not answer changes nothing. One statement for all.
    """
    changed = [attempt for attempt, state in answers if state.engine and _differs(attempt, state, now)]
    if changed:
        Attempt.objects.bulk_update(changed, ENGINE_FIELDS, batch_size=200)


def _differs(attempt: Attempt, state: JobState, now: datetime) -> bool:
    """Bring the attempt up to date with its engine's word; tell whether that changed it."""
    before = [getattr(attempt, name) for name in ENGINE_FIELDS]
    attempt.engine_state = state.engine[:100]
    attempt.engine_reason = state.reason[:500]
    attempt.engine_ending = state.ending
    attempt.engine_ends_at = state.ends_at or attempt.engine_ends_at
    attempt.nodes = list(state.nodes) or attempt.nodes
    if state.state == "running":
        attempt.engine_started_at = attempt.engine_started_at or now
    return before != [getattr(attempt, name) for name in ENGINE_FIELDS]


def _watch_one(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    """Act on one attempt; what goes wrong there is logged and does not keep the others from being watched."""
    try:
        with unless_locked(f"attempt {attempt.uid}"):
            _watch(executor, attempt, state, now)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("attempt %s could not be watched", attempt.uid)


def _watch(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    if state.state == "ended":
        _runner_is_gone(executor, attempt, state, now)
        return
    if attempt.run.status == Status.CANCELLING or _must_stop(executor, attempt, now):
        _press_cancel(executor, attempt, now)
    if attempt.claimed_at is None:
        _expect_claim(executor, attempt, state, now)
    elif state.state == "unknown":
        _expect_heartbeat(attempt, now)


def _must_stop(executor: Executor, attempt: Attempt, now: datetime) -> bool:
    """Tell whether the run's time is over, but for the time to save, where no engine sees to that itself.

    It is noted in the attempt when that is, so that the end is judged by it.
    """
    minutes = attempt.run.compute.get("time_limit_minutes") or executor.max_time_limit_minutes(attempt.run.recipe)
    if minutes is None or attempt.started_at is None or executor.capacity().has_queue:
        return False
    end = attempt.started_at + timedelta(minutes=minutes)
    if now < end - timedelta(seconds=attempt.run.grace_seconds):
        return False
    if attempt.engine_ends_at is None:
        Attempt.objects.filter(pk=attempt.pk).update(engine_ends_at=end)
    return True


def _press_cancel(executor: Executor, attempt: Attempt, now: datetime) -> None:
    """Signal the runner at once, and end everything when the grace period passed without effect.

    The grace period counts from our signal, not from the request: a scheduler that was away must not take away the
    time that the trainer was promised for saving. A signal that did not reach the engine is repeated, as is one for a
    job that no runner has claimed: the engine may have been about to start it.
    """
    signalled_at = attempt.kill_requested_at
    patience = timedelta(seconds=attempt.run.grace_seconds) + HARD_CANCEL_AFTER
    # That a trainer has ended and its checkpoint is on its way, a runner says to the web server alone.
    is_deaf = signalled_at is not None and hearing.was_away(now) and now < signalled_at + NOBODY_TRIES_LONGER
    if signalled_at is not None and now > signalled_at + patience and attempt.phase != "finishing" and not is_deaf:
        # Dated so that the patience is over again after a short while, should the runner still be there.
        _note_kill_request(attempt, now - patience + HARD_CANCEL_AGAIN_AFTER)
        if _cancel(executor, attempt, hard=True):
            _note_kill(attempt)
    elif (signalled_at is None or attempt.claimed_at is None) and _is_time_to_signal(attempt, now):
        _signalled_at[attempt.pk] = now
        if _cancel(executor, attempt, hard=False) and signalled_at is None:
            _note_kill_request(attempt, now)


def _is_time_to_signal(attempt: Attempt, now: datetime) -> bool:
    before = _signalled_at.get(attempt.pk)
    return before is None or now > before + SIGNAL_AGAIN_AFTER


def _note_kill_request(attempt: Attempt, at: datetime) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(kill_requested_at=at)


def _note_kill(attempt: Attempt) -> None:
    message = "The runner did not end in time: it is killed with its trainer."
    note_once(attempt, "killed", actor="scheduler", message=message)


def _cancel(executor: Executor, attempt: Attempt, *, hard: bool) -> bool:
    """Give the order to the engine; tell whether it took it."""
    try:
        executor.cancel(attempt.handle, hard=hard)
    except (ExecutorError, SubmitRefused) as error:  # the latter as in `_ask`
        logger.warning("attempt %s could not be signalled: %s", attempt.uid, error)
        return False
    return True


def _runner_is_gone(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    """Let a recovery deliver what the runner left; end the attempt without it when that takes too long.

    Where no runner ever claimed the attempt, and it is known why, or none ever began, nothing is left to wait for.
    """
    is_explained = bool(state.ending) or attempt.run.status == Status.CANCELLING or not state.has_begun
    if attempt.claimed_at is None and state.engine and is_explained:
        _end(attempt, state)
    elif attempt.runner_gone_at is None:
        if Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True).update(runner_gone_at=now):
            recover_attempt(executor, attempt)
    elif hearing.is_over(now, _end_of_delivery(attempt, now), longest=NOBODY_TRIES_LONGER):
        _end(attempt, state)
    else:
        recover_attempt(executor, attempt)


def _end_of_delivery(attempt: Attempt, now: datetime) -> datetime:
    """Return until when a recovery may take. Raises: AssertionError when none was begun."""
    assert attempt.runner_gone_at is not None
    return attempt.runner_gone_at + (DELIVERY_LIMIT if _is_delivering(attempt, now) else RECOVERY_LIMIT)


def _is_delivering(attempt: Attempt, now: datetime) -> bool:
    """Tell whether a recovery is at work, on what may be checkpoints of many gigabytes."""
    return attempt.phase == "finishing" and not is_silent(attempt.heartbeat_at, now)


def _end(attempt: Attempt, state: JobState) -> None:
    usual = Reason.RUNNER_DIED if attempt.claimed_at else Reason.START_FAILED
    reason = REASONS_OF_ENDINGS.get(state.ending, usual)
    end_attempt_without_report(attempt=attempt, reason=reason, message=f"Evidence: {state.detail}.")


def _expect_claim(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    """Give up on a start that nobody reports in time. While an engine lets the job wait, the time does not run.

    Nor while the hub cannot hear: a runner asks for up to an hour whether it may start. Of an executor that is gone, or
    another one by now, nobody knows whether the job waits: one that was seen in a queue is given all the time there is,
    any other as long as a heartbeat. A cancel has its time in any case.
    """
    since: datetime | None = attempt.run.status_changed_at
    if executor.capacity().has_queue:
        since = None if state.state == "queued" else attempt.engine_started_at
    elif attempt.run.status != Status.CANCELLING and (isinstance(executor, MissingExecutor) or attempt.engine_state):
        since = None
        if not attempt.engine_state:
            _expect_heartbeat(attempt, now)
    if since is None:
        return
    deadline = since + timedelta(seconds=settings.START_LIMIT_SECONDS)
    if attempt.run.status == Status.CANCELLING:
        is_over = now > deadline
    else:
        is_over = hearing.is_over(now, deadline, longest=timedelta(seconds=CLAIM_SECONDS))
    # Ended before it is killed: a runner that has just been heard is neither.
    if is_over and end_attempt_without_report(attempt=attempt, reason=Reason.START_TIMEOUT, is_unclaimed=True):
        _cancel(executor, attempt, hard=True)


def _expect_heartbeat(attempt: Attempt, now: datetime) -> None:
    """Give up on an attempt of which neither runner nor engine has said anything for too long."""
    last_sign = attempt.heartbeat_at or attempt.created_at
    deadline = last_sign + timedelta(seconds=settings.LOST_AFTER_SECONDS)
    if not hearing.is_over(now, deadline, longest=NOBODY_TRIES_LONGER):
        return
    is_cancelling = attempt.run.status == Status.CANCELLING
    reason = Reason.CANCELLED_UNCONFIRMED if is_cancelling else Reason.LOST
    end_attempt_without_report(attempt=attempt, reason=reason, message=f"Last sign: {last_sign:%Y-%m-%d %H:%M:%S} UTC.")
