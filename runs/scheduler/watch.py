"""Watching: what the executors say of live attempts, orders to them, and those that are lost."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError

from runs.attempts import end_attempt_without_report, note_once
from runs.executors.base import Executor, ExecutorError, JobState, MissingExecutor
from runs.lifecycle import Reason, Status
from runs.models import Attempt
from runs.registry import executors
from runs.scheduler.recovery import recover_attempt

logger = logging.getLogger(__name__)
# A runner that died is given this long for the delivery of what it left behind, before the run ends without it.
RECOVERY_LIMIT = timedelta(seconds=45)
HARD_CANCEL_AFTER = timedelta(seconds=5)  # after the grace period, which the runner itself enforces
HARD_CANCEL_AGAIN_AFTER = timedelta(seconds=10)


def watch_live_attempts(now: datetime) -> None:
    """Ask every executor once for all its live attempts, and act on the answers.

    Attempts of an executor that is not configured any more are watched by their heartbeats alone.
    """
    live: dict[str, list[Attempt]] = defaultdict(list)
    rows = Attempt.objects.filter(ended_at__isnull=True, submitted_at__isnull=False).select_related("run")
    for attempt in rows:
        live[attempt.executor].append(attempt)
    for name, attempts in live.items():
        executor = executors().get(name) or MissingExecutor(name)
        for attempt, state in _ask(executor, attempts):
            _watch_one(executor, attempt, state, now)


def _ask(executor: Executor, attempts: list[Attempt]) -> list[tuple[Attempt, JobState]]:
    try:
        states = executor.poll({attempt.uid: attempt.handle for attempt in attempts})
    except ExecutorError as error:
        logger.warning("executor %s cannot be asked: %s", executor.name, error)
        states = {}
    return [(attempt, states.get(attempt.uid, JobState("unknown"))) for attempt in attempts]


def _watch_one(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    """Act on one attempt; what goes wrong there is logged and does not keep the others from being watched."""
    try:
        _watch(executor, attempt, state, now)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("attempt %s could not be watched", attempt.uid)


def _watch(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    if attempt.run.status == Status.CANCELLING:
        _press_cancel(executor, attempt, now)
    if state.state == "ended":
        _runner_is_gone(executor, attempt, state, now)
    elif attempt.claimed_at is None:
        _expect_claim(executor, attempt, now)
    elif state.state == "unknown":
        _expect_heartbeat(attempt, now)


def _press_cancel(executor: Executor, attempt: Attempt, now: datetime) -> None:
    """Signal the runner at once, and end everything when the grace period passed without effect.

    The grace period counts from our signal, not from the request: a scheduler that was away must not take away the
    time that the trainer was promised for saving.
    """
    patience = timedelta(seconds=attempt.run.grace_seconds) + HARD_CANCEL_AFTER
    if attempt.kill_requested_at is None:
        _note_kill_request(attempt, now)
        _cancel(executor, attempt, hard=False)
    elif now > attempt.kill_requested_at + patience and attempt.phase != "finishing":
        # Dated so that the patience is over again after a short while, should the runner still be there.
        _note_kill_request(attempt, now - patience + HARD_CANCEL_AGAIN_AFTER)
        _note_kill(attempt)
        _cancel(executor, attempt, hard=True)


def _note_kill_request(attempt: Attempt, at: datetime) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(kill_requested_at=at)


def _note_kill(attempt: Attempt) -> None:
    message = "The runner did not end in time: it is killed with its trainer."
    note_once(attempt, "killed", actor="scheduler", message=message)


def _cancel(executor: Executor, attempt: Attempt, *, hard: bool) -> None:
    try:
        executor.cancel(attempt.handle, hard=hard)
    except ExecutorError as error:
        logger.warning("attempt %s could not be signalled: %s", attempt.uid, error)


def _runner_is_gone(executor: Executor, attempt: Attempt, state: JobState, now: datetime) -> None:
    """Let a recovery deliver what the runner left; end the attempt without it when that takes too long."""
    if attempt.runner_gone_at is None:
        if Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True).update(runner_gone_at=now):
            recover_attempt(executor, attempt)
    elif now > attempt.runner_gone_at + RECOVERY_LIMIT:
        reason = Reason.RUNNER_DIED if attempt.claimed_at else Reason.START_FAILED
        end_attempt_without_report(attempt=attempt, reason=reason, message=f"Evidence: {state.detail}.")
    else:
        recover_attempt(executor, attempt)


def _expect_claim(executor: Executor, attempt: Attempt, now: datetime) -> None:
    limit = timedelta(seconds=settings.START_LIMIT_SECONDS)
    if now > attempt.run.status_changed_at + limit:
        _cancel(executor, attempt, hard=True)
        end_attempt_without_report(attempt=attempt, reason=Reason.START_TIMEOUT)


def _expect_heartbeat(attempt: Attempt, now: datetime) -> None:
    """Give up on an attempt of which neither runner nor engine has said anything for too long."""
    last_sign = attempt.heartbeat_at or attempt.created_at
    if now <= last_sign + timedelta(seconds=settings.LOST_AFTER_SECONDS):
        return
    is_cancelling = attempt.run.status == Status.CANCELLING
    reason = Reason.CANCELLED_UNCONFIRMED if is_cancelling else Reason.LOST
    end_attempt_without_report(attempt=attempt, reason=reason, message=f"Last sign: {last_sign:%Y-%m-%d %H:%M:%S} UTC.")
